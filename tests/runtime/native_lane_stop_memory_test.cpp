// SPDX-License-Identifier: MIT
// When the await of an operation that was stopped has returned, the kernel has nothing of it any more: it writes
// nothing into the buffer, takes nothing out of it, and holds no descriptor.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <liburing.h>
#include <poll.h>
#include <unistd.h>

#include "support/files.hpp"
#include "support/lane_tasks.hpp"
#include "support/streams.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

using ReadInto = std::function<Task<std::error_code>(NativeLane, int fd, std::span<std::byte> into)>;

Task<std::error_code> read_part_into(NativeLane lane, int fd, std::span<std::byte> into) {
    const auto count = co_await lane.read_at(fd, current_position, into);
    co_return count.error();
}

Task<std::error_code> read_all_into(NativeLane lane, int fd, std::span<std::byte> into) {
    const auto done = co_await lane.read_exact_at(fd, current_position, into);
    co_return done.error();
}

/// By a thread of the kernel's, which is inside the read when it is stopped.
Task<std::error_code> read_in_worker_into(NativeLane lane, int fd, std::span<std::byte> into) {
    auto prepare = [fd, into](io_uring_sqe* sqe) {
        io_uring_prep_read(sqe, fd, into.data(), static_cast<unsigned>(into.size()), current_position);
        sqe->flags |= IOSQE_ASYNC;
    };
    const auto count = co_await lane.submit(prepare);
    co_return count.error();
}

Task<std::error_code> write_part_of(NativeLane lane, int fd, std::span<const std::byte> bytes) {
    const auto count = co_await lane.write_at(fd, current_position, bytes);
    co_return count.error();
}

Task<std::error_code> write_all_of(NativeLane lane, int fd, std::span<const std::byte> bytes) {
    const auto done = co_await lane.write_all_at(fd, current_position, bytes);
    co_return done.error();
}

/// What the other end of a closed descriptor is told at once: POLLERR or POLLHUP, or nothing if it is still held.
bool hears_of_the_close(const Descriptor& peer) {
    pollfd end{peer.get(), 0, 0};
    return poll(&end, 1, 10'000) == 1;
}

class NativeLaneStopGivesBack : public UringTest, public ::testing::WithParamInterface<StreamKind> {
protected:
    [[nodiscard]] static std::vector<std::byte> canaries() {
        const auto bytes = bytes_of(untouched);
        return {bytes.begin(), bytes.end()};
    }

    [[nodiscard]] NativeLane lane(ShardId shard) const { return handle_.native_lane(shard).value(); }

    /// Until so many operations wait in the kernel, those of the lane among them.
    void wait_until_in_ring(const NativeLane& lane, std::uint64_t operations) const {
        wait_until_pending(handle_, operations);
        finish_step(handle_, lane.shard());
        finish_step(handle_, lane.shard());
    }

    /// Begins it from the shard, and stops it when it is in the ring.
    void stop_in_ring(ShardId shard, const NativeLane& lane, Task<std::error_code> task) {
        auto running = handle_.spawn_pinned(shard, std::move(task));
        wait_until_in_ring(lane, 1);
        running.request_stop();
        EXPECT_EQ(running.get(), std::errc::operation_canceled);
    }

    /// An operation that was left in the ring, and is ready by now, goes on here.
    void enter_kernel(const NativeLane& lane) const {
        const auto nop = [](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); };
        EXPECT_EQ(handle_.spawn_pinned(lane.shard(), run_once(lane, nop)).get().value(), 0);
    }

    /// What the lane reads now: at once, else it would wait for ever.
    std::string next_read(ShardId shard, const NativeLane& lane, const Descriptor& from) {
        EXPECT_GT(bytes_ready(from), 0) << "somebody has taken them";
        if (bytes_ready(from) <= 0) {
            return {};
        }
        const auto read = [&]() -> Task<std::string> {
            const auto bytes = co_await lane.read_at(from.get(), current_position, 100);
            co_return text_of(bytes.value());
        };
        return handle_.spawn_pinned(shard, read).get();
    }

    template <class Body>
    void from_each_shard_on_each_lane(const Body& body) {
        for (const ShardId shard : {ShardId{0}, ShardId{1}}) {
            for (const ShardId owner : {ShardId{0}, ShardId{1}}) {
                body(shard, lane(owner));
            }
        }
    }

    static inline const std::string untouched = "sixteen canaries";

    Watchdog watchdog_{"what a stop gives back"};
    Runtime runtime_ = builder(2).build();
    RuntimeHandle handle_ = runtime_.handle();
};

INSTANTIATE_TEST_SUITE_P(, NativeLaneStopGivesBack, all_stream_kinds(),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST_P(NativeLaneStopGivesBack, TheBufferOfARead) {
    std::vector<ReadInto> forms = {&read_part_into, &read_all_into};
    if (GetParam().blocking) {
        forms.emplace_back(&read_in_worker_into);
    }
    for (const ReadInto& form : forms) {
        from_each_shard_on_each_lane([&](ShardId shard, const NativeLane& lane) {
            const Stream stream(GetParam());
            std::vector<std::byte> room = canaries();
            stop_in_ring(shard, lane, form(lane, stream.reader.get(), room));
            ASSERT_EQ(write(stream.writer.get(), "0123456789", 10), 10);
            enter_kernel(lane);
            EXPECT_EQ(text_of(room), untouched);
            EXPECT_EQ(next_read(shard, lane, stream.reader), "0123456789");
            EXPECT_EQ(text_of(room), untouched);
        });
    }
}

TEST_P(NativeLaneStopGivesBack, TheRestOfTheBufferOfAWholeRead) {
    from_each_shard_on_each_lane([&](ShardId shard, const NativeLane& lane) {
        const Stream stream(GetParam());
        std::vector<std::byte> room = canaries();
        auto reading = handle_.spawn_pinned(shard, read_all_into(lane, stream.reader.get(), room));
        ASSERT_EQ(write(stream.writer.get(), "abc", 3), 3);
        while (bytes_ready(stream.reader) != 0) {
            std::this_thread::yield();
        }
        wait_until_in_ring(lane, 1);
        reading.request_stop();
        EXPECT_EQ(reading.get(), std::errc::operation_canceled);
        ASSERT_EQ(write(stream.writer.get(), "0123456789", 10), 10);
        enter_kernel(lane);
        EXPECT_EQ(next_read(shard, lane, stream.reader), "0123456789");
        EXPECT_EQ(text_of(room), "abc" + untouched.substr(3));
    });
}

TEST_P(NativeLaneStopGivesBack, TheBytesOfAWriteThatHasNoRoom) {
    for (const auto& form : {&write_part_of, &write_all_of}) {
        from_each_shard_on_each_lane([&](ShardId shard, const NativeLane& lane) {
            const Stream stream(GetParam());
            const std::size_t filled = stream.fill();
            std::string bytes(1000, 'o');
            stop_in_ring(shard, lane, form(lane, stream.writer.get(), bytes_of(bytes)));
            std::fill(bytes.begin(), bytes.end(), 'n');
            EXPECT_EQ(stream.drain(), std::string(filled, 'f'));
            enter_kernel(lane);
            ASSERT_EQ(bytes_ready(stream.reader), 0);
            ASSERT_EQ(write(stream.writer.get(), "next", 4), 4);
            EXPECT_EQ(next_read(shard, lane, stream.reader), "next");
        });
    }
}

TEST_P(NativeLaneStopGivesBack, TheRestOfTheBytesOfAWholeWrite) {
    from_each_shard_on_each_lane([&](ShardId shard, const NativeLane& lane) {
        const Stream stream(GetParam());
        std::string bytes(100'000, 'o');
        auto writing = handle_.spawn_pinned(shard, write_all_of(lane, stream.writer.get(), bytes_of(bytes)));
        while (bytes_ready(stream.reader) == 0) {
            std::this_thread::yield();
        }
        wait_until_in_ring(lane, 1);
        writing.request_stop();
        EXPECT_EQ(writing.get(), std::errc::operation_canceled);
        std::fill(bytes.begin(), bytes.end(), 'n');
        const std::string written = stream.drain();
        EXPECT_EQ(written, std::string(written.size(), 'o'));
        enter_kernel(lane);
        ASSERT_EQ(bytes_ready(stream.reader), 0);
        ASSERT_EQ(write(stream.writer.get(), "next", 4), 4);
        EXPECT_EQ(next_read(shard, lane, stream.reader), "next");
    });
}

/// The number is another stream's as soon as it is closed. Stopped at random moments: on the way to the ring, in it.
TEST_P(NativeLaneStopGivesBack, TheNumberOfADescriptor) {
    const unsigned rounds = scaled(2'000, 200);
    Random random(stress_seed());
    for (unsigned round = 0; round < rounds && !HasFailure(); ++round) {
        const auto shard = ShardId(random.below(2));
        const auto owner = lane(ShardId(random.below(2)));
        Stream before(GetParam());
        const int number = before.reader.get();
        std::vector<std::byte> room = canaries();
        auto reading = handle_.spawn_pinned(
            shard, random.one_in(2) ? read_part_into(owner, number, room) : read_all_into(owner, number, room));
        if (random.one_in(4)) {
            wait_until_in_ring(owner, 1);
        } else {
            spin_for(std::chrono::nanoseconds(random.below(20'000)));
        }
        reading.request_stop();
        EXPECT_EQ(reading.get(), std::errc::operation_canceled);
        before.reader.close();
        const Stream after(GetParam());
        ASSERT_EQ(after.reader.get(), number);
        const std::string tag = "tag " + std::to_string(round);
        ASSERT_EQ(write(after.writer.get(), tag.data(), tag.size()), static_cast<ssize_t>(tag.size()));
        enter_kernel(owner);
        EXPECT_TRUE(hears_of_the_close(before.writer));
        EXPECT_EQ(next_read(shard, owner, after.reader), tag);
        EXPECT_EQ(text_of(room), untouched);
    }
}

TEST_P(NativeLaneStopGivesBack, TheDescriptorSoThatThePeerHearsOfItsClose) {
    const auto stop_all = [](std::vector<JoinHandle<std::error_code>>& running) {
        for (auto& one : running) {
            one.request_stop();
        }
        for (auto& one : running) {
            EXPECT_EQ(one.get(), std::errc::operation_canceled);
        }
    };
    from_each_shard_on_each_lane([&](ShardId shard, const NativeLane& lane) {
        std::vector<std::byte> room(3);
        std::vector<JoinHandle<std::error_code>> running;
        Stream read(GetParam());
        for (std::size_t i = 0; i < room.size(); ++i) {
            const auto one = std::span(room).subspan(i, 1);
            running.push_back(handle_.spawn_pinned(shard, read_part_into(lane, read.reader.get(), one)));
        }
        wait_until_in_ring(lane, running.size());
        stop_all(running);
        read.reader.close();
        EXPECT_TRUE(hears_of_the_close(read.writer));

        running.clear();
        Stream written(GetParam());
        const std::size_t filled = written.fill();
        for (std::size_t i = 0; i < room.size(); ++i) {
            running.push_back(handle_.spawn_pinned(shard, write_part_of(lane, written.writer.get(), room)));
        }
        wait_until_in_ring(lane, running.size());
        stop_all(running);
        written.writer.close();
        EXPECT_TRUE(hears_of_the_close(written.reader));
        EXPECT_EQ(written.drain().size(), filled);
        char end = 0;
        EXPECT_EQ(::read(written.reader.get(), &end, 1), 0);
    });
}

/// A task of many that open, read, stop and close beside each other, so that one's number is the next one's at once.
Task<unsigned> open_and_close(RuntimeHandle runtime, StreamKind kind, std::uint64_t seed, unsigned rounds) {
    Random random(seed);
    unsigned wrong = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        const Stream stream(kind);
        const auto tag = bytes_of(std::string_view(reinterpret_cast<const char*>(&seed), sizeof seed));
        std::array<std::byte, sizeof seed> room{};
        const NativeLane lane = runtime.native_lane(ShardId(random.below(2))).value();
        auto reading = ShardCtx::current()->spawn_local(read_all_into(lane, stream.reader.get(), std::span(room)));
        const bool stops = !random.one_in(4);
        const bool stops_first = random.one_in(2);
        for (auto turns = random.below(4); turns > 0; --turns) {
            co_await yield();
        }
        if (stops && stops_first) {
            reading.request_stop();
        }
        wrong += ::write(stream.writer.get(), tag.data(), tag.size()) == std::ssize(tag) ? 0 : 1;
        if (stops && !stops_first) {
            reading.request_stop();
        }
        const std::error_code error = co_await std::move(reading);
        const std::string got = error ? stream.drain() : text_of(std::span(room));
        wrong += (!error || error == std::errc::operation_canceled) && got == text_of(tag) ? 0 : 1;
        ++seed;
    }
    co_return wrong;
}

TEST_P(NativeLaneStopGivesBack, NumbersInAStormOfClosesAndOpens) {
    const unsigned rounds = scaled(1'000, 150);
    std::vector<JoinHandle<unsigned>> tasks;
    for (std::uint64_t i = 0; i < 8; ++i) {
        auto task = open_and_close(handle_, GetParam(), stress_seed() + (i << 32U), rounds);
        tasks.push_back(handle_.spawn_pinned(ShardId(i % 2), std::move(task)));
    }
    for (auto& task : tasks) {
        EXPECT_EQ(task.get(), 0U);
    }
    EXPECT_EQ(handle_.stats_snapshot().pending_native_ops, 0U);
}

}  // namespace
}  // namespace spargio::test
