// SPDX-License-Identifier: MIT
// timeout() and a stop that comes too late: what its task waited for is there, and is not lost with it.
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <stop_token>
#include <system_error>
#include <tuple>

#include <gtest/gtest.h>
#include <unistd.h>

#include "support/backend_test.hpp"
#include "support/files.hpp"
#include "support/lane_tasks.hpp"
#include "support/small_tasks.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

/// A task on shard 0 reads on the lane of shard 1, which is held up: the kernel has the byte, and shard 1 has not seen
/// it, when the deadline stops the task.
class TimeoutLateStop : public UringTest {
protected:
    template <class T>
    Result<T> limited(Task<T> (*reads)(NativeLane, int)) {
        const NativeLane lane = handle_.native_lane(1).value();
        auto task = handle_.spawn_pinned(0, timeout(5ms, reads(lane, pipe_.reader.get())));
        wait_until_pending(handle_, 1);
        StalledShard stalled(handle_, 1);
        EXPECT_EQ(write(pipe_.writer.get(), "x", 1), 1);
        clock_.set(clock_.now() + 10ms);
        finish_step(handle_, 0);
        finish_step(handle_, 0);
        EXPECT_EQ(handle_.stats_snapshot().timers_fired, 1U) << "the stop is on its way";
        stalled.release();
        return task.get();
    }

    /// The byte, if it was read.
    static Task<std::optional<std::byte>> read_byte(NativeLane lane, int fd) {
        std::byte byte{};
        const auto count = co_await lane.read_at(fd, current_position, std::span(&byte, 1));
        co_return count == std::size_t{1} ? std::optional(byte) : std::nullopt;
    }

    VirtualClock clock_;
    Watchdog watchdog_{"a stop that comes too late"};
    Pipe pipe_;
    Runtime two_ = builder(2).build();
    RuntimeHandle handle_ = two_.handle();
};

TEST_F(TimeoutLateStop, WhatWasReadIsGiven) {
    const auto byte = limited(&read_byte);
    EXPECT_EQ(byte, Result<std::optional<std::byte>>(std::byte{'x'}));
}

TEST_F(TimeoutLateStop, ATaskWithoutAValueHasEndedInTime) {
    const auto done = limited<void>([](NativeLane lane, int fd) -> Task<> { co_await read_byte(lane, fd); });
    EXPECT_TRUE(done.has_value()) << done.error().message();
}

TEST_F(TimeoutLateStop, AnErrorIsGivenAsItIs) {
    const auto failed = limited<Result<int>>([](NativeLane lane, int fd) -> Task<Result<int>> {
        co_await read_byte(lane, fd);
        co_return std::make_error_code(std::errc::illegal_byte_sequence);
    });
    ASSERT_TRUE(failed.has_value()) << failed.error().message();
    EXPECT_EQ(failed->error(), std::errc::illegal_byte_sequence);
}

TEST_F(TimeoutLateStop, WhoIsRefusedSomethingAfterwardsIsTimedOut) {
    const auto slept = limited<int>([](NativeLane lane, int fd) -> Task<int> {
        co_await read_byte(lane, fd);
        co_return (co_await sleep_for(1ms)) ? 1 : 0;
    });
    EXPECT_EQ(slept.error(), std::errc::timed_out);
}

TEST_F(TimeoutLateStop, WhoIsRefusedAnotherReadIsTimedOut) {
    const auto both = limited<int>([](NativeLane lane, int fd) -> Task<int> {
        co_await read_byte(lane, fd);
        co_return (co_await read_byte(lane, fd)) ? 1 : 0;
    });
    EXPECT_EQ(both.error(), std::errc::timed_out);
}

TEST_F(TimeoutLateStop, WhoKnowsItsTokenIsTimedOut) {
    const auto asked = limited<int>([](NativeLane lane, int fd) -> Task<int> {
        const auto token = co_await this_task::stop_token();
        co_await read_byte(lane, fd);
        co_return token.stop_requested() ? 0 : 1;
    });
    EXPECT_EQ(asked.error(), std::errc::timed_out);
}

// What a child of the task was given is not what the task was given.
TEST_F(TimeoutLateStop, WhoseChildWaitedIsTimedOut) {
    const auto both = limited<int>([](NativeLane lane, int fd) -> Task<int> {
        const auto alone = co_await when_all(read_byte(lane, fd));
        co_return std::get<0>(alone) ? 1 : 0;
    });
    EXPECT_EQ(both.error(), std::errc::timed_out);
}

class TimeoutOfWhoNeverWaits : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(TimeoutOfWhoNeverWaits);

TEST_P(TimeoutOfWhoNeverWaits, GivesItsValue) {
    VirtualClock clock;
    const auto one = runtime(1);
    const auto handle = one.handle();
    const auto computes = [&]() -> Task<int> {
        co_await yield();
        clock.set(clock.now() + 10ms);
        for (int step = 0; step < 100; ++step) {
            co_await yield();
        }
        EXPECT_EQ(handle.stats_snapshot().timers_fired, 1U) << "it was stopped";
        co_return 7;
    };
    EXPECT_EQ(handle.spawn_pinned(0, timeout(5ms, computes())).get(), Result<int>(7));
}

}  // namespace
}  // namespace spargio::test
