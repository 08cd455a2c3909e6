// SPDX-License-Identifier: MIT
// Sockets on the native lane: transfers in many parts, peers that end, offsets that a socket has not.
#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <liburing.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/files.hpp"
#include "support/lane_tasks.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

/// What a test asks of the kernel with either flag on the descriptor.
constexpr std::array blocking_and_not = {0, int{SOCK_NONBLOCK}};

/// Counts the attempts of writes, and changes nothing.
class CountedWrites final : public detail::UringFaults {
public:
    void on_prepare(io_uring_sqe& entry) noexcept override { count_ += entry.opcode == IORING_OP_WRITE ? 1 : 0; }
    [[nodiscard]] int count() const noexcept { return count_; }

private:
    std::atomic<int> count_{0};
};

/// Of which no part can be mistaken for another one near it.
std::string numbered_text(std::size_t length, int from) {
    std::string text;
    text.reserve(length + 8);
    for (int number = from; text.size() < length; ++number) {
        text += std::to_string(number) + ' ';
    }
    text.resize(length);
    return text;
}

class NativeLaneSockets : public UringTest {
protected:
    /// Until what was spawned before waits in the ring of either shard.
    void wait_until_in_ring(std::uint64_t operations) const {
        wait_until_pending(handle_, operations);
        for (const ShardId shard : {ShardId{0}, ShardId{1}, ShardId{0}, ShardId{1}}) {
            finish_step(handle_, shard);
        }
    }

    Watchdog watchdog_{"sockets on a lane"};
    Runtime runtime_ = builder(2).build();
    RuntimeHandle handle_ = runtime_.handle();
    std::optional<NativeLane> lane_ = first_lane(handle_);
};

/// Two texts one after the other in each direction, of many times what the sockets hold.
TEST_F(NativeLaneSockets, WholeTransfersInBothDirectionsAreInOrder) {
    constexpr std::size_t length = 1U << 20U;
    const std::vector<std::string> sent = {numbered_text(length, 0), numbered_text(length, 1'000'000)};
    for (const int flags : blocking_and_not) {
        CountedWrites writes;
        const InstalledFaults installed(writes);
        const Runtime two = builder(2).build();
        const auto handle = two.handle();
        const SocketPair pair(flags);
        const auto write_all = [&sent](NativeLane lane, int fd) -> Task<> {
            for (const std::string& text : sent) {
                const auto written = co_await lane.write_all_at(fd, current_position, bytes_of(text));
                EXPECT_TRUE(written.has_value());
            }
        };
        const auto read_all = [&sent](NativeLane lane, int fd) -> Task<> {
            for (const std::string& text : sent) {
                std::vector<std::byte> room(text.size());
                const auto read = co_await lane.read_exact_at(fd, current_position, room);
                EXPECT_TRUE(read.has_value());
                EXPECT_TRUE(text_of(room) == text);
            }
        };
        std::vector<JoinHandle<>> tasks;
        const std::array ends = {pair.first.get(), pair.second.get()};
        for (const ShardId shard : {ShardId{0}, ShardId{1}}) {
            tasks.push_back(handle.spawn_pinned(shard, write_all(handle.native_lane(0).value(), ends[shard])));
        }
        while (writes.count() < 4) {  // The first of each was short, and is gone on with.
            std::this_thread::yield();
        }
        for (const ShardId shard : {ShardId{0}, ShardId{1}}) {
            tasks.push_back(handle.spawn_pinned(shard, read_all(handle.native_lane(1).value(), ends[1 - shard])));
        }
        for (auto& task : tasks) {
            task.get();
        }
        EXPECT_EQ(bytes_ready(pair.first), 0);
        EXPECT_EQ(bytes_ready(pair.second), 0);
        EXPECT_EQ(handle.stats_snapshot().pending_native_ops, 0U);
    }
}

TEST_F(NativeLaneSockets, ThatThePeerHasShutDownAreAtTheirEndAndCanStillBeWritten) {
    for (const int flags : blocking_and_not) {
        const SocketPair pair(flags);
        ASSERT_EQ(write(pair.second.get(), "abc", 3), 3);
        ASSERT_EQ(shutdown(pair.second.get(), SHUT_WR), 0);
        runtime_.block_on([&]() -> Task<> {
            const int fd = pair.first.get();
            std::array<std::byte, 10> room{};
            const auto part = co_await lane_->read_exact_at(fd, current_position, std::span(room));
            EXPECT_EQ(part.error(), IoError::UnexpectedEof);
            EXPECT_EQ(text_of(std::span(room).first(3)), "abc");
            const auto owned = co_await lane_->read_at(fd, current_position, 10);
            EXPECT_TRUE(owned.value().empty());
            const auto count = co_await lane_->read_at(fd, current_position, std::span(room));
            EXPECT_EQ(count.value(), 0U);
            const auto nothing = co_await lane_->read_exact_at(fd, current_position, std::span(room));
            EXPECT_EQ(nothing.error(), IoError::UnexpectedEof);
            const auto written = co_await lane_->write_all_at(fd, current_position, bytes_of("xyz"));
            EXPECT_TRUE(written.has_value());
            const auto back = co_await lane_->read_at(pair.second.get(), current_position, 10);
            EXPECT_EQ(text_of(back.value()), "xyz");
        });
    }
}

TEST_F(NativeLaneSockets, TheEndOfThePeerEndsReadsThatWait) {
    for (const int flags : blocking_and_not) {
        for (const bool closes : {false, true}) {
            SocketPair pair(flags);
            const int fd = pair.first.get();
            auto one = handle_.spawn_pinned(0, [this, fd]() -> Task<Result<std::vector<std::byte>>> {
                co_return co_await lane_->read_at(fd, current_position, 10);
            });
            auto whole = handle_.spawn_pinned(1, [this, fd]() -> Task<std::error_code> {
                std::byte room[10];
                const auto read = co_await lane_->read_exact_at(fd, current_position, std::span(room));
                co_return read.error();
            });
            wait_until_in_ring(2);
            if (closes) {
                pair.second.close();
            } else {
                ASSERT_EQ(shutdown(pair.second.get(), SHUT_WR), 0);
            }
            const auto bytes = one.get();
            EXPECT_TRUE(bytes.value().empty());
            EXPECT_EQ(whole.get(), IoError::UnexpectedEof);
        }
    }
}

/// Each form of a write, as the error that it gives.
std::vector<std::function<Task<std::error_code>(NativeLane, int fd)>> ways_to_write() {
    static const std::string text(1 << 20, 'w');  // More than the sockets hold.
    return {
        [](NativeLane lane, int fd) -> Task<std::error_code> {
            const auto count = co_await lane.write_at(fd, current_position, bytes_of(text));
            co_return count.error();
        },
        [](NativeLane lane, int fd) -> Task<std::error_code> {
            std::vector<std::byte> owned(10);
            const auto count = co_await lane.write_at(fd, current_position, std::move(owned));
            co_return count.error();
        },
        [](NativeLane lane, int fd) -> Task<std::error_code> {
            const auto done = co_await lane.write_all_at(fd, current_position, bytes_of(text));
            co_return done.error();
        },
        [](NativeLane lane, int fd) -> Task<std::error_code> {  // By a thread of the kernel's.
            auto send = [fd](io_uring_sqe* sqe) {
                io_uring_prep_send(sqe, fd, "x", 1, 0);
                sqe->flags |= IOSQE_ASYNC;
            };
            const auto sent = co_await lane.submit(send);
            co_return sent.error();
        },
    };
}

/// What a signal does, until this goes.
class SignalAction {
public:
    SignalAction(int signal, void (*handler)(int)) : signal_(signal) {
        struct sigaction action {};
        action.sa_handler = handler;
        EXPECT_EQ(sigaction(signal, &action, &before_), 0);
    }
    SignalAction(const SignalAction&) = delete;
    SignalAction& operator=(const SignalAction&) = delete;
    ~SignalAction() { EXPECT_EQ(sigaction(signal_, &before_, nullptr), 0); }

private:
    int signal_;
    struct sigaction before_ {};
};

/// SIGPIPE would end the process: shards block signals, and so do the threads that the kernel gives them.
TEST_F(NativeLaneSockets, AWriteToAPeerThatIsGoneIsAnErrorAndNoSignal) {
    const SignalAction would_end_us(SIGPIPE, SIG_DFL);  // Ignored, as in some services, it would go unnoticed.
    for (const int flags : blocking_and_not) {
        for (const auto& write_it : ways_to_write()) {
            for (const ShardId shard : {ShardId{0}, ShardId{1}}) {
                SocketPair pair(flags);
                pair.second.close();
                const auto error = handle_.spawn_pinned(shard, write_it(*lane_, pair.first.get())).get();
                EXPECT_EQ(error, std::errc::broken_pipe);
            }
        }
    }
}

TEST_F(NativeLaneSockets, TheEndOfThePeerEndsAWriteThatWaits) {
    for (const int flags : blocking_and_not) {
        for (const ShardId shard : {ShardId{0}, ShardId{1}}) {
            SocketPair pair(flags);
            auto writing = handle_.spawn_pinned(shard, ways_to_write()[2](*lane_, pair.first.get()));
            wait_until_in_ring(1);
            EXPECT_GT(bytes_ready(pair.second), 0);
            pair.second.close();
            EXPECT_EQ(writing.get(), std::errc::broken_pipe);
        }
    }
}

/// A peer that closes what it has not read takes the connection with it.
TEST_F(NativeLaneSockets, AResetIsAnError) {
    SocketPair pair;
    ASSERT_EQ(write(pair.first.get(), "unread", 6), 6);
    pair.second.close();
    const auto error = runtime_.block_on([&]() -> Task<std::error_code> {
        const auto read = co_await lane_->read_at(pair.first.get(), current_position, 10);
        co_return read.error();
    });
    EXPECT_EQ(error, std::errc::connection_reset);
}

TEST_F(NativeLaneSockets, HaveNoOffsetButTheirOwnPosition) {
    for (const int flags : blocking_and_not) {
        const SocketPair pair(flags);
        auto writing = handle_.spawn_pinned(0, [&]() -> Task<std::error_code> {
            const std::string text(1 << 20, 'w');
            const auto written = co_await lane_->write_all_at(pair.first.get(), 0, bytes_of(text));
            co_return written.error();
        });
        EXPECT_EQ(writing.get(), std::errc::invalid_seek);
        EXPECT_GT(bytes_ready(pair.second), 0) << "the first part was sent";
        const auto error = runtime_.block_on([&]() -> Task<std::error_code> {
            const auto read = co_await lane_->read_at(pair.second.get(), 1, 10);
            co_return read.error();
        });
        EXPECT_EQ(error, std::errc::invalid_seek);
    }
}

}  // namespace
}  // namespace spargio::test
