// SPDX-License-Identifier: MIT
// Stops and shutdowns of operations: what was asked for and did not happen costs no byte, and nothing is freed early.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <unistd.h>

#include "support/event.hpp"
#include "support/files.hpp"
#include "support/lane_tasks.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

class NativeLaneStopTest : public UringTest {
protected:
    Watchdog watchdog_{"a stop of an operation"};
    Runtime runtime_ = builder(2).build();
    RuntimeHandle handle_ = runtime_.handle();
    std::optional<NativeLane> lane_ = first_lane(handle_);
    Pipe pipe_;
};

// A worker of the kernel's that is cancelled says EINTR.
TEST_F(NativeLaneStopTest, OfAnOperationOfOnesOwnIsACancellationWhereverItRuns) {
    std::byte one{};
    const auto read_in_worker = [this, &one]() -> Task<std::error_code> {
        auto read_it = [this, &one](io_uring_sqe* sqe) {
            io_uring_prep_read(sqe, pipe_.reader.get(), &one, 1, static_cast<__u64>(-1));
            sqe->flags |= IOSQE_ASYNC;
        };
        const auto read = co_await lane_->submit(std::move(read_it));
        co_return read.error();
    };
    for (int round = 0; round < 50; ++round) {
        auto reading = handle_.spawn_pinned(0, read_in_worker());
        wait_until_pending(handle_, 1);
        reading.request_stop();
        EXPECT_EQ(reading.get(), std::errc::operation_canceled);
    }
}

TEST_F(NativeLaneStopTest, EndsAnOperationInTheKernelFromEveryShard) {
    const auto expect_canceled = [this](ShardId shard, auto stop) {
        auto reading = handle_.spawn_pinned(shard, read_one(*lane_, pipe_.reader.get()));
        wait_until_pending(handle_, 1);
        stop(reading);
        EXPECT_EQ(reading.get(), std::errc::operation_canceled);
    };
    for (const ShardId shard : {ShardId{0}, ShardId{1}}) {
        expect_canceled(shard, [](auto& reading) { reading.request_stop(); });
        for (const ShardId stopper : {ShardId{0}, ShardId{1}}) {
            expect_canceled(shard, [&](auto& reading) {
                handle_.spawn_pinned(stopper, [&reading] { reading.request_stop(); }).get();
            });
        }
    }
    ASSERT_EQ(write(pipe_.writer.get(), "x", 1), 1);
    char left = 0;
    EXPECT_EQ(read(pipe_.reader.get(), &left, 1), 1) << "what came after the stop is for the next reader";
}

/// Kernels before 5.17 refuse an entry whose success need not be told; also a cancellation.
TEST_F(NativeLaneStopTest, EndsAnOperationOfAnOldKernel) {
    const Environment mask("SPARGIO_URING_DISABLE", "msg_ring,cqe_skip");
    Runtime old = builder(1).build();
    const auto handle = old.handle();
    const auto lane = handle.native_lane(0).value();
    auto reading = handle.spawn_pinned(0, read_one(lane, pipe_.reader.get()));
    auto left = handle.spawn_pinned(0, read_one(lane, pipe_.reader.get()));
    wait_until_pending(handle, 2);
    reading.request_stop();
    EXPECT_EQ(reading.get(), std::errc::operation_canceled);
    old.shutdown();
    EXPECT_TRUE(left.done());
}

TEST_F(NativeLaneStopTest, WhatBeginsAfterAStopIsNotSubmitted) {
    ASSERT_EQ(write(pipe_.writer.get(), "x", 1), 1);
    Event stopped;
    auto reading = handle_.spawn_pinned(0, [&]() -> Task<std::error_code> {
        stopped.wait();
        co_return co_await read_one(*lane_, pipe_.reader.get());
    });
    reading.request_stop();
    stopped.set();
    EXPECT_EQ(reading.get(), std::errc::operation_canceled);
    pollfd ready{pipe_.reader.get(), POLLIN, 0};
    EXPECT_EQ(poll(&ready, 1, 0), 1) << "the byte is still there";
}

/// A step of the ring's own shard stops it: such a stop does not go through the inbox, where the start lies.
TEST_F(NativeLaneStopTest, OvertakesAStartThatHasNotArrived) {
    const auto lane = handle_.native_lane(1).value();
    for (const bool something : {false, true}) {
        Event inside;
        Event begun;
        JoinHandle<std::error_code> reading;
        auto stopper = handle_.spawn_pinned(1, [&] {
            inside.set();
            begun.wait();
            reading.request_stop();
        });
        inside.wait();
        if (something) {
            ASSERT_EQ(write(pipe_.writer.get(), "x", 1), 1);
        }
        reading = handle_.spawn_pinned(0, read_one(lane, pipe_.reader.get()));
        finish_step(handle_, 0);  // The start is in the inbox of shard 1.
        begun.set();
        stopper.get();
        EXPECT_EQ(reading.get(), std::errc::operation_canceled);
        EXPECT_EQ(bytes_ready(pipe_.reader), something ? 1 : 0) << "it was submitted all the same";
    }
    EXPECT_EQ(handle_.stats_snapshot().pending_native_ops, 0U);
}

TEST_F(NativeLaneStopTest, EndsTheWaitForANonBlockingDescriptor) {
    const Pipe pipe(O_NONBLOCK);
    auto reading = handle_.spawn_pinned(0, read_one(*lane_, pipe.reader.get()));
    wait_until_pending(handle_, 1);
    finish_step(handle_, 0);
    reading.request_stop();
    EXPECT_EQ(reading.get(), std::errc::operation_canceled);
}

TEST_F(NativeLaneStopTest, EndsAWholeTransferBetweenItsParts) {
    auto reading = handle_.spawn_pinned(1, [&]() -> Task<std::error_code> {
        std::vector<std::byte> room(10);
        const auto read = co_await lane_->read_exact_at(pipe_.reader.get(), current_position, room);
        EXPECT_EQ(text_of(std::span(room).first(3)), "abc");
        co_return read.error();
    });
    ASSERT_EQ(write(pipe_.writer.get(), "abc", 3), 3);
    pollfd ready{pipe_.reader.get(), POLLIN, 0};
    while (poll(&ready, 1, 0) == 1) {}  // Until the first part has been read.
    wait_until_pending(handle_, 1);
    reading.request_stop();
    EXPECT_EQ(reading.get(), std::errc::operation_canceled);
}

TEST_F(NativeLaneStopTest, EndsAWholeWriteBetweenItsParts) {
    std::string room(static_cast<std::size_t>(fcntl(pipe_.writer.get(), F_SETPIPE_SZ, 4096)), '\0');
    const std::string text(4 * room.size(), 't');
    auto writing = handle_.spawn_pinned(1, [&]() -> Task<std::error_code> {
        const auto written = co_await lane_->write_all_at(pipe_.writer.get(), current_position, bytes_of(text));
        co_return written.error();
    });
    for (int part = 0; part < 2; ++part) {
        ASSERT_EQ(read(pipe_.reader.get(), room.data(), room.size()), static_cast<ssize_t>(room.size()));
    }
    writing.request_stop();
    EXPECT_EQ(writing.get(), std::errc::operation_canceled);
}

TEST_F(NativeLaneStopTest, AStopWithoutARoomInTheRing) {
    Runtime narrow = builder(1).ring_entries(1).build();
    const auto lane = narrow.handle().native_lane(0).value();
    std::vector<JoinHandle<std::error_code>> readers;
    for (int i = 0; i < 500; ++i) {
        readers.push_back(narrow.handle().spawn_pinned(0, read_one(lane, pipe_.reader.get())));
    }
    wait_until_pending(narrow.handle(), 500);
    for (auto& reader : readers) {
        reader.request_stop();
    }
    for (auto& reader : readers) {
        EXPECT_EQ(reader.get(), std::errc::operation_canceled);
    }
}

/// The first cancellations name nothing that the ring has.
class MissedCancels final : public detail::UringFaults {
public:
    explicit MissedCancels(int times) : left_(times) {}
    void on_cancel(io_uring_sqe& entry) noexcept override {
        if (left_ > 0) {
            --left_;
            entry.addr = 1;
        }
    }
    [[nodiscard]] int left() const noexcept { return left_; }

private:
    std::atomic<int> left_;
};

TEST_F(NativeLaneStopTest, LatencyWhenTheKernelDidNotFindTheOperation) {
    runtime_.shutdown();  // It would outlive the faults.
    // At once, and, when it has missed too often, a second later.
    for (const int missed : {1, 8, 9}) {
        MissedCancels faults(missed);
        const InstalledFaults installed(faults);
        const Runtime two = builder(2).build();
        const auto handle = two.handle();
        auto reading = handle.spawn_pinned(1, read_one(handle.native_lane(0).value(), pipe_.reader.get()));
        wait_until_pending(handle, 1);
        const auto before = std::chrono::steady_clock::now();
        reading.request_stop();
        EXPECT_EQ(reading.get(), std::errc::operation_canceled);
        EXPECT_EQ(std::chrono::steady_clock::now() - before < std::chrono::seconds(1), missed <= 8);
        EXPECT_EQ(faults.left(), 0);
    }
}

/// Of several that read one pipe, one gets the byte, and the others are stopped while they are woken for nothing.
TEST_F(NativeLaneStopTest, LatencyOfReadsThatAreWokenForNothing) {
    const unsigned rounds = scaled(20'000, 2'000);
    Random random(stress_seed() + 3);
    unsigned slow = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        std::vector<JoinHandle<std::error_code>> readers;
        for (int i = 0; i < 4; ++i) {
            const auto lane = handle_.native_lane(ShardId(i / 2)).value();
            readers.push_back(handle_.spawn_pinned(ShardId(i % 2), read_one(lane, pipe_.reader.get())));
        }
        spin_for(std::chrono::nanoseconds(20'000 + random.below(60'000)));
        EXPECT_EQ(write(pipe_.writer.get(), "x", 1), 1);
        spin_for(std::chrono::nanoseconds(random.below(20'000)));
        const auto stopped = std::chrono::steady_clock::now();
        int got = 0;
        for (auto& reader : readers) {
            reader.request_stop();
        }
        for (auto& reader : readers) {
            got += reader.get() ? 0 : 1;
        }
        slow += std::chrono::steady_clock::now() - stopped >= std::chrono::seconds(1) ? 1 : 0;
        char byte = 0;
        ASSERT_TRUE(got == 1 || (got == 0 && read(pipe_.reader.get(), &byte, 1) == 1)) << got;
        watchdog_.progress("round " + std::to_string(round));
    }
    EXPECT_LE(slow, 1U) << "found by the second look only (one may be a machine that stood still)";
}

TEST_F(NativeLaneStopTest, AShutdownNamesWhatDoesNotEndAndCancelsItAgain) {
    MissedCancels faults(10);
    const InstalledFaults installed(faults);
    auto reading = handle_.spawn_pinned(1, read_one(*lane_, pipe_.reader.get()));
    wait_until_pending(handle_, 1);
    ::testing::internal::CaptureStderr();
    runtime_.shutdown();
    EXPECT_EQ(
        ::testing::internal::GetCapturedStderr(),
        "spargio: a shutdown waits for an operation that does not end, though it was cancelled: opcode 22 (read), "
        "fd " +
            std::to_string(pipe_.reader.get()) + ", shard 0\n");
    EXPECT_TRUE(reading.done());
    EXPECT_EQ(faults.left(), 0);
}

/// Reads and stops at random moments: each byte written is in exactly one read, and the rest is still in the pipe. A
/// read that gave nothing has left its buffer as it was, and leaves it so.
TEST_F(NativeLaneStopTest, LosesNoByteAtAnyMoment) {
    const unsigned rounds = scaled(20'000, 3'000);
    Random random(stress_seed());
    std::uint64_t written = 0;
    std::uint64_t received = 0;
    std::uint64_t canceled = 0;
    const std::string untouched = "untouched";
    std::string room;
    for (unsigned round = 0; round < rounds; ++round) {
        room = untouched;
        const auto some = std::as_writable_bytes(std::span(room));
        auto reading = handle_.spawn_with_placement(
            random.one_in(3) ? TaskPlacement::stealable() : TaskPlacement::pinned(ShardId(random.below(2))),
            [lane = *lane_, fd = pipe_.reader.get(), some]() -> Task<Result<std::size_t>> {
                co_return co_await lane.read_at(fd, current_position, some);
            });
        const auto writes = random.below(3) != 0;
        const auto stop_first = random.one_in(2);
        if (stop_first) {
            spin_for(std::chrono::nanoseconds(random.below(30'000)));
            reading.request_stop();
        }
        if (writes) {
            ASSERT_EQ(write(pipe_.writer.get(), "12345", 5), 5);
            written += 5;
        }
        if (!stop_first) {
            spin_for(std::chrono::nanoseconds(random.below(30'000)));
            reading.request_stop();
        }
        const auto read = reading.get();
        if (read) {
            received += *read;
            ASSERT_EQ(room, "12345" + untouched.substr(5));
        } else {
            ASSERT_EQ(read.error(), std::errc::operation_canceled);
            ++canceled;
            while (written != received) {
                char rest[4096];
                const auto count = ::read(pipe_.reader.get(), rest, sizeof rest);
                ASSERT_GT(count, 0);
                received += static_cast<std::uint64_t>(count);
            }
            ASSERT_EQ(room, untouched);
        }
        if (round % 1000 == 0) {
            watchdog_.progress("round " + std::to_string(round));
        }
    }
    pipe_.writer.close();
    char rest = 0;
    while (::read(pipe_.reader.get(), &rest, 1) == 1) {
        ++received;
    }
    EXPECT_EQ(received, written);
    EXPECT_GT(canceled, 0U);
    EXPECT_EQ(handle_.stats_snapshot().pending_native_ops, 0U);
}

}  // namespace
}  // namespace spargio::test
