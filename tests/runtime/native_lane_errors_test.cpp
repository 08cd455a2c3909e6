// SPDX-License-Identifier: MIT
// What each operation of NativeLane makes of each answer of the kernel: injected through the fault seam.
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <liburing.h>
#include <unistd.h>

#include "support/event.hpp"
#include "support/files.hpp"
#include "support/lane_operations.hpp"
#include "support/lane_tasks.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

/// Answers with an error for the kernel, for so many completions of an operation that did happen or did not.
class Answer final : public detail::UringFaults {
public:
    void give(int error, int times) noexcept {
        times_ = times;
        error_ = error;
    }
    int on_result(unsigned opcode, int result) noexcept override {
        // EAGAIN is followed by a wait until the descriptor is ready; not that one.
        return opcode != IORING_OP_POLL_ADD && times_ > 0 ? (--times_, -error_) : result;
    }
    [[nodiscard]] int left() const noexcept { return times_; }

private:
    std::atomic<int> error_{0};
    std::atomic<int> times_{0};
};

/// Transfers of a few bytes at a time at most.
class ShortTransfers final : public detail::UringFaults {
public:
    explicit ShortTransfers(unsigned most) noexcept : most_(most) {}
    void on_prepare(io_uring_sqe& entry) noexcept override {
        if (entry.opcode == IORING_OP_READ || entry.opcode == IORING_OP_WRITE) {
            entry.len = std::min(entry.len, most_);
            ++attempts_;
        }
    }
    [[nodiscard]] int attempts() const noexcept { return attempts_; }

private:
    const unsigned most_;
    std::atomic<int> attempts_{0};
};

class NativeLaneErrors : public UringTest {
protected:
    Answer answer_;
    const Descriptor file_ = file_of("same");
};

TEST_F(NativeLaneErrors, EachOfEachOperation) {
    const InstalledFaults installed(answer_);
    Runtime runtime = builder(2).build();
    const auto handle = runtime.handle();
    const auto lane = handle.native_lane(0).value();
    const auto answer_each = [&](const LaneOperation& operation) -> Task<> {
        for (int error = EPERM; error <= EHWPOISON; ++error) {  // All that have a name.
            const bool retried = (error == EINTR && operation.retries) || (error == EAGAIN && operation.transfers);
            answer_.give(error, retried ? 3 : 1);
            const auto result = co_await operation.run(lane, file_.get());
            const auto expected = retried ? std::error_code() : std::error_code(error, std::system_category());
            EXPECT_EQ(result, expected) << operation.name << " answered " << error;
            EXPECT_EQ(answer_.left(), 0) << operation.name << " answered " << error;
        }
    };
    for (const LaneOperation& operation : lane_operations()) {
        for (const ShardId shard : {ShardId{0}, ShardId{1}}) {
            handle.spawn_pinned(shard, answer_each(operation)).get();
        }
    }
    EXPECT_EQ(content_of(file_), "same");
}

/// Answers a transfer with EAGAIN, and the wait that follows it with an error.
class AnswerToPoll final : public detail::UringFaults {
public:
    void give(int error) noexcept {
        error_ = error;
        again_ = true;
    }
    int on_result(unsigned opcode, int result) noexcept override {
        if (opcode != IORING_OP_POLL_ADD) {
            return again_.exchange(false) ? -EAGAIN : result;
        }
        const int error = error_.exchange(0);
        return error != 0 ? -error : result;
    }
    [[nodiscard]] bool left() const noexcept { return again_ || error_ != 0; }

private:
    std::atomic<int> error_{0};
    std::atomic<bool> again_{false};
};

TEST_F(NativeLaneErrors, EachOfTheWaitForAnyTransfer) {
    AnswerToPoll answer;
    const InstalledFaults installed(answer);
    const Runtime runtime = builder(2).build();
    const auto handle = runtime.handle();
    const auto lane = handle.native_lane(0).value();
    const auto answer_each = [&](const LaneOperation& operation) -> Task<> {
        for (int error = EPERM; error <= EHWPOISON; ++error) {
            answer.give(error);
            const auto result = co_await operation.run(lane, file_.get());
            const bool retried = error == EINTR || error == EAGAIN;
            const auto expected = retried ? std::error_code() : std::error_code(error, std::system_category());
            EXPECT_EQ(result, expected) << operation.name << " answered " << error;
            EXPECT_FALSE(answer.left()) << operation.name << " answered " << error;
        }
    };
    for (const LaneOperation& operation : lane_operations()) {
        if (operation.transfers) {
            handle.spawn_pinned(1, answer_each(operation)).get();
        }
    }
    EXPECT_EQ(content_of(file_), "same");
}

/// The kernel's own codes for it (ERESTARTSYS, ...), which some of its workers let out.
TEST_F(NativeLaneErrors, WhatAWorkerMeansByInterruptedIsEintr) {
    const InstalledFaults installed(answer_);
    const Runtime runtime = builder(1).build();
    const auto handle = runtime.handle();
    const auto lane = handle.native_lane(0).value();
    for (const LaneOperation& operation : lane_operations()) {
        for (const int code : {512, 513, 514, 516}) {
            answer_.give(code, 1);
            const auto expected = operation.retries ? std::error_code() : std::make_error_code(std::errc::interrupted);
            EXPECT_EQ(handle.spawn_pinned(0, operation.run(lane, file_.get())).get().value(), expected.value()) << code;
        }
    }
}

/// What a completion begins goes to the kernel at once, not when the shard has given up waiting for something else.
TEST_F(NativeLaneErrors, LatencyOfAnotherAttemptIsNotTheSpin) {
    const InstalledFaults installed(answer_);
    Runtime runtime = builder(1).idle_spin(std::chrono::seconds(1)).build();
    const auto lane = runtime.handle().native_lane(0).value();
    answer_.give(EINTR, 3);
    const auto begin = std::chrono::steady_clock::now();
    const auto bytes = runtime.block_on([&]() -> Task<std::size_t> {
        const auto read = co_await lane.read_at(file_.get(), 0, 4);
        co_return read.value().size();
    });
    EXPECT_EQ(bytes, 4U);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(500));
    EXPECT_EQ(answer_.left(), 0);
}

/// Where nothing can be given to the kernel, there may be work all the same.
TEST_F(NativeLaneErrors, AShardWhoseEntriesAreRefusedStealsAllTheSame) {
    Gate gate;
    const InstalledFaults installed(gate);
    const Watchdog watchdog("steals of a shard whose ring takes nothing");
    const Runtime runtime = builder(2).build();
    const auto handle = runtime.handle();
    const auto lane = handle.native_lane(0).value();
    auto reading = handle.spawn_pinned(0, [&]() -> Task<std::size_t> {
        gate.close();
        const auto read = co_await lane.read_at(file_.get(), 0, 4);
        co_return read.value().size();
    });
    handle
        .spawn_pinned(1,
                      [&] {
                          Latch all(10);
                          for (int i = 0; i < 10; ++i) {
                              handle.spawn_stealable([&all] { all.arrive(); }).detach();
                          }
                          all.wait();  // In a step: they are for the other shard.
                      })
        .get();
    EXPECT_FALSE(reading.done());
    gate.open();
    EXPECT_EQ(reading.get(), 4U);
}

TEST_F(NativeLaneErrors, OneByteAtATimeUnderEveryHelper) {
    ShortTransfers shorts(1);
    const InstalledFaults installed(shorts);
    Runtime runtime = builder(1).build();
    const auto lane = runtime.handle().native_lane(0).value();
    runtime.block_on([&]() -> Task<> {
        const std::string text = "one byte after the other";
        const auto file = file_of();
        const auto written = co_await lane.write_all_at(file.get(), 3, bytes_of(text));
        EXPECT_TRUE(written.has_value());
        EXPECT_EQ(content_of(file).substr(3), text);
        std::string back(text.size(), '\0');
        const auto read = co_await lane.read_exact_at(file.get(), 3, std::as_writable_bytes(std::span(back)));
        EXPECT_TRUE(read.has_value());
        EXPECT_EQ(back, text);
        EXPECT_EQ(shorts.attempts(), static_cast<int>(2 * text.size()));
        const auto too_far = co_await lane.read_exact_at(file.get(), 4, std::as_writable_bytes(std::span(back)));
        EXPECT_EQ(too_far.error(), IoError::UnexpectedEof);
        const auto one = co_await lane.read_at(file.get(), 3, 100);
        EXPECT_EQ(text_of(one.value()), "o");
        const auto one_written = co_await lane.write_at(file.get(), 0, bytes_of(text));
        EXPECT_EQ(one_written.value(), 1U);
        std::array<std::byte, 8> eight{};
        const auto one_read = co_await lane.read_at(file.get(), 3, std::span(eight));
        EXPECT_EQ(one_read.value(), 1U);
        const auto owned = co_await lane.write_at(file.get(), 0, std::vector<std::byte>(8));
        EXPECT_EQ(owned.value(), 1U);
        const Pipe pipe;
        const auto sent = co_await lane.write_all_at(pipe.writer.get(), NativeLane::current_position, bytes_of(text));
        EXPECT_TRUE(sent.has_value());
        const auto room = std::as_writable_bytes(std::span(back));
        const auto received = co_await lane.read_exact_at(pipe.reader.get(), NativeLane::current_position, room);
        EXPECT_TRUE(received.has_value());
        EXPECT_EQ(back, text);
    });
}

TEST_F(NativeLaneErrors, AWriteThatTakesNothingIsNotRepeatedForEver) {
    ShortTransfers nothing(0);
    const InstalledFaults installed(nothing);
    Runtime runtime = builder(1).build();
    const auto lane = runtime.handle().native_lane(0).value();
    const auto error = runtime.block_on([&]() -> Task<std::error_code> {
        const auto written = co_await lane.write_all_at(file_.get(), 0, bytes_of("same"));
        co_return written.error();
    });
    EXPECT_EQ(error, IoError::WriteZero);
}

/// A cancelled operation may say that it was interrupted: that is no reason to begin anew.
TEST_F(NativeLaneErrors, AnInterruptedOperationThatWasStoppedIsOver) {
    const InstalledFaults installed(answer_);
    Watchdog watchdog("a stopped operation that is interrupted");
    const Pipe pipe;
    for (const bool by_shutdown : {false, true}) {
        Runtime runtime = builder(1).build();
        const auto handle = runtime.handle();
        const auto lane = handle.native_lane(0).value();
        auto reading = handle.spawn_pinned(0, [&]() -> Task<std::error_code> {
            std::byte one{};
            const auto read =
                co_await lane.read_at(pipe.reader.get(), NativeLane::current_position, std::span(&one, 1));
            co_return read.error();
        });
        finish_step(handle, 0);
        answer_.give(EINTR, 1);
        if (by_shutdown) {
            runtime.shutdown();
            EXPECT_TRUE(reading.done());
        } else {
            reading.request_stop();
            EXPECT_EQ(reading.get(), std::errc::operation_canceled);
        }
        EXPECT_EQ(answer_.left(), 0);
    }
}

TEST_F(NativeLaneErrors, StopsWaitForRoomInTheirRing) {
    Gate gate;
    const InstalledFaults installed(gate);
    Watchdog watchdog("stops without room");
    const Pipe pipe;
    Runtime runtime = builder(1).ring_entries(1).build();
    const auto handle = runtime.handle();
    const auto lane = handle.native_lane(0).value();
    std::vector<JoinHandle<std::error_code>> readers;
    for (int i = 0; i < 10; ++i) {
        readers.push_back(handle.spawn_pinned(0, [&]() -> Task<std::error_code> {
            std::byte one{};
            const auto read =
                co_await lane.read_at(pipe.reader.get(), NativeLane::current_position, std::span(&one, 1));
            co_return read.error();
        }));
    }
    finish_step(handle, 0);
    finish_step(handle, 0);
    gate.close();
    for (auto& reader : readers) {
        reader.request_stop();
    }
    finish_step(handle, 0);
    gate.open();
    for (auto& reader : readers) {
        EXPECT_EQ(reader.get(), std::errc::operation_canceled);
    }
}

/// Their operations end, each with its byte, while the stops wait.
TEST_F(NativeLaneErrors, StopsThatWaitForRoomFindTheirOperationsEnded) {
    Gate gate;
    const InstalledFaults installed(gate);
    const Watchdog watchdog("stops whose operations end first");
    for (const bool defer : {true, false}) {
        const SocketPair pair;  // Kernels before 6.4 give a pipe to a worker, which a stop finds before it has begun.
        RuntimeBuilder small = builder(1).ring_entries(1);
        if (!defer) {
            small.io_uring_defer_taskrun(false);
        }
        Runtime runtime = small.build();
        const auto handle = runtime.handle();
        std::vector<JoinHandle<std::error_code>> readers;
        for (int i = 0; i < 10; ++i) {
            readers.push_back(handle.spawn_pinned(0, read_one(handle.native_lane(0).value(), pair.first.get())));
        }
        wait_until_pending(handle, 10);
        finish_step(handle, 0);
        finish_step(handle, 0);
        gate.close();
        for (auto& reader : readers) {
            reader.request_stop();
        }
        finish_step(handle, 0);  // One may have its entry, the others wait for theirs.
        ASSERT_EQ(write(pair.second.get(), "0123456789", 10), 10);
        gate.open();
        int got = 0;
        for (auto& reader : readers) {
            const auto error = reader.get();
            EXPECT_TRUE(!error || error == std::errc::operation_canceled) << error.message();
            got += error ? 0 : 1;
        }
        EXPECT_GT(got, 0) << "none ended before its stop";
        EXPECT_EQ(got + bytes_ready(pair.first), 10);
        EXPECT_EQ(handle.stats_snapshot().pending_native_ops, 0U);
        runtime.shutdown();  // Hangs if a stop was counted wrongly.
    }
}

TEST_F(NativeLaneErrors, WhatWaitsForRoomIsNotOvertaken) {
    Gate gate;
    const InstalledFaults installed(gate);
    const Pipe pipe;
    Runtime runtime = builder(1).ring_entries(1).build();
    const auto handle = runtime.handle();
    const auto lane = handle.native_lane(0).value();
    const auto write = [&](std::string_view text, bool open) -> Task<> {
        if (open) {
            gate.open();
        }
        const auto written =
            co_await lane.write_all_at(pipe.writer.get(), NativeLane::current_position, bytes_of(text));
        EXPECT_TRUE(written.has_value());
    };
    runtime.block_on([&]() -> Task<> {
        gate.close();
        std::vector<JoinHandle<void>> writers;
        for (const std::string_view text : {"1", "2", "3", "4"}) {
            writers.push_back(ShardCtx::current()->spawn_local(write(text, text == "4")));
        }
        for (auto& writer : writers) {
            co_await std::move(writer);
        }
        const auto read = co_await lane.read_at(pipe.reader.get(), NativeLane::current_position, 10);
        EXPECT_EQ(text_of(read.value()), "1234");
    });
}

/// Submissions that the kernel refuses for a while, over a ring of two entries.
TEST_F(NativeLaneErrors, RefusedSubmissionsAreMadeAgain) {
    EveryNth faults(FailingCall::Both, 3, {EAGAIN, EBUSY, EINTR});
    const InstalledFaults installed(faults);
    Runtime runtime = builder(2).ring_entries(2).build();
    const auto handle = runtime.handle();
    faults.arm();
    std::vector<JoinHandle<int>> readers;
    const int rounds = static_cast<int>(scaled(300, 60));
    for (ShardId i = 0; i < 40; ++i) {
        const auto lane = handle.native_lane(i % 2).value();
        readers.push_back(handle.spawn_pinned(i / 2 % 2, [this, lane, rounds]() -> Task<int> {
            int read = 0;
            for (int round = 0; round < rounds; ++round) {
                const auto bytes = co_await lane.read_at(file_.get(), 0, 4);
                read += text_of(bytes.value()) == "same" ? 1 : 0;
            }
            co_return read;
        }));
    }
    for (auto& reader : readers) {
        EXPECT_EQ(reader.get(), rounds);
    }
    EXPECT_GT(faults.failed(), 0U);
    EXPECT_EQ(handle.stats_snapshot().pending_native_ops, 0U);
    EXPECT_EQ(handle.stats_snapshot().late_wakes, 0U);
    faults.disarm();
}

}  // namespace
}  // namespace spargio::test
