// SPDX-License-Identifier: MIT
// Tasks that wait for messages and are stopped: no message is lost with them, none comes out of order. (spec: M8)
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <system_error>
#include <thread>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/message_tasks.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

class MessageWaiterStops : public BackendTest {
protected:
    Watchdog watchdog_{"stops of message waiters"};
};
SPARGIO_ON_BOTH_BACKENDS(MessageWaiterStops);

Task<std::error_code> error_of_wait() {
    try {
        static_cast<void>(co_await ShardCtx::current()->next_event());
    } catch (const std::system_error& error) {
        co_return error.code();
    }
    co_return std::error_code();
}

TEST_P(MessageWaiterStops, OneThatIsStoppedTakesNoMessageWithIt) {
    auto two = runtime(2);
    const NoLateWakes check(two.handle());
    const RemoteShard target = *two.handle().remote(1);
    for (unsigned round = 0; round < scaled(2000, 200); ++round) {
        std::array<JoinHandle<bool>, 2> waiters{
            two.handle().spawn_pinned(1,
                                      []() -> Task<bool> {
                                          try {
                                              static_cast<void>(co_await ShardCtx::current()->next_event());
                                              co_return true;
                                          } catch (const std::system_error& error) {
                                              EXPECT_EQ(error.code(), std::errc::operation_canceled);
                                              co_return false;
                                          }
                                      }),
            two.handle().spawn_pinned(1, []() -> Task<bool> {
                static_cast<void>(co_await ShardCtx::current()->next_event());
                co_return true;
            })};
        if (round % 2 == 0) {
            finish_step(two.handle(), 1);
        }
        std::thread stopper([&] { waiters[0].request_stop(); });
        EXPECT_TRUE(target.send_raw_nowait(1, 1).has_value());
        stopper.join();
        const bool first = waiters[0].get();
        if (first) {
            EXPECT_TRUE(target.send_raw_nowait(1, 1).has_value());
        }
        EXPECT_TRUE(waiters[1].get()) << "the message was lost with the stopped waiter";
    }
    const auto stats = two.handle().stats_snapshot();
    EXPECT_EQ(stats.ring_msgs_submitted, stats.ring_msgs_completed);
}

// The stop and the message have both come when the shard looks.
TEST_P(MessageWaiterStops, AMessageThatComesAfterAStopIsForTheNext) {
    for (const auto place : {TaskPlacement::pinned(0), TaskPlacement::stealable()}) {
        auto one = runtime(1);
        const RemoteShard target = *one.handle().remote(0);
        auto first = one.handle().spawn_with_placement(place, next_value());
        finish_step(one.handle(), 0);
        auto second = one.handle().spawn_with_placement(place, next_value());
        finish_step(one.handle(), 0);
        StalledShard stalled(one.handle(), 0);
        first.request_stop();
        EXPECT_TRUE(target.send_raw_nowait(1, 7).has_value());
        stalled.release();
        EXPECT_THROW(first.get(), std::system_error);
        EXPECT_EQ(second.get(), 7U);
    }
}

// Another one that is stopped, too, and does not know it yet, is nobody to leave the message to.
TEST_P(MessageWaiterStops, WhoWasStoppedMayStillTakeWhatIsThere) {
    auto one = runtime(1);
    const RemoteShard target = *one.handle().remote(0);
    const auto wait_and_drain = []() -> Task<bool> {
        EXPECT_EQ(co_await error_of_wait(), std::errc::operation_canceled);
        co_return ShardCtx::current()->try_next_event().has_value();
    };
    auto first = one.handle().spawn_pinned(0, wait_and_drain());
    finish_step(one.handle(), 0);
    auto second = one.handle().spawn_pinned(0, wait_and_drain());
    finish_step(one.handle(), 0);
    StalledShard stalled(one.handle(), 0);
    first.request_stop();
    second.request_stop();
    EXPECT_TRUE(target.send_raw_nowait(1, 7).has_value());
    stalled.release();
    EXPECT_TRUE(first.get());
    EXPECT_FALSE(second.get());
}

// Both have come when the shard looks: a value that is there wins.
TEST_P(MessageWaiterStops, AMessageThatIsThereWinsOverADeadline) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto handle = one.handle();
    const RemoteShard target = *handle.remote(0);
    for (const bool message_is_first : {true, false}) {
        auto task = handle.spawn_pinned(0, timeout(std::chrono::milliseconds(1), next_value()));
        finish_step(handle, 0);
        StalledShard stalled(handle, 0);
        if (message_is_first) {
            EXPECT_TRUE(target.send_raw_nowait(1, 7).has_value());
        }
        clock.set(clock.now() + std::chrono::milliseconds(2));
        if (!message_is_first) {
            EXPECT_TRUE(target.send_raw_nowait(1, 7).has_value());
        }
        stalled.release();
        EXPECT_EQ(task.get(), Result<std::uint32_t>(7U));
    }
}

TEST_P(MessageWaiterStops, OneThatIsStoppedBeforeLeavesTheMessageForOthers) {
    auto one = runtime(1);
    Event begun;
    Event go_on;
    auto task = one.handle().spawn_pinned(0, [&]() -> Task<> {
        EXPECT_TRUE(ShardCtx::current()->send_raw_nowait(0, 1, 1).has_value());
        ShardCtx::current()->flush();
        begun.set();
        go_on.wait();
        EXPECT_THROW(static_cast<void>(co_await ShardCtx::current()->next_event()), std::system_error);
        EXPECT_TRUE(ShardCtx::current()->try_next_event().has_value()) << "it was left for others";
    });
    begun.wait();
    task.request_stop();
    go_on.set();
    task.get();
}

// It was given the message, and stopped by the one that won before it went on.
TEST_P(MessageWaiterStops, AMessageThatWasGivenToALoserOfWhenAnyIsForTheNext) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto handle = one.handle();
    const RemoteShard target = *handle.remote(0);
    auto task = handle.spawn_pinned(0, [&]() -> Task<> {
        const auto sleep = []() -> Task<> { static_cast<void>(co_await sleep_for(std::chrono::milliseconds(1))); };
        const auto first = co_await when_any(next_value(), sleep());
        EXPECT_EQ(first.index, 1U);
        EXPECT_EQ(co_await next_value(), 7U);
        EXPECT_EQ(co_await next_value(), 8U) << "what came back was not before the others";
    });
    finish_step(handle, 0);
    Event inside;
    Event go_on;
    auto sender = handle.spawn_pinned(0, [&] {  // The sleep is over when this step sends.
        inside.set();
        go_on.wait();
        EXPECT_TRUE(target.send_raw_nowait(1, 7).has_value());
        EXPECT_TRUE(target.send_raw_nowait(1, 8).has_value());
    });
    inside.wait();
    clock.set(clock.now() + std::chrono::milliseconds(2));
    go_on.set();
    task.get();
    sender.get();
}

// Both were given theirs in one look; the first one stops the second before it goes on.
TEST_P(MessageWaiterStops, AMessageThatWasGivenToAStoppedTaskIsForTheNext) {
    auto one = runtime(1);
    const auto handle = one.handle();
    JoinHandle<std::error_code> second;
    auto first = handle.spawn_pinned(0, [&]() -> Task<std::uint32_t> {
        const auto value = co_await next_value();
        second.request_stop();
        co_return value;
    });
    finish_step(handle, 0);
    second = handle.spawn_pinned(0, error_of_wait());
    finish_step(handle, 0);
    auto third = handle.spawn_pinned(0, next_value());
    finish_step(handle, 0);
    send_in_one_step(handle, 1, 2);
    EXPECT_EQ(first.get(), 1U);
    EXPECT_EQ(second.get(), std::errc::operation_canceled);
    EXPECT_EQ(third.get(), 2U);
}

/// A wait for up to `room` messages beside a sleep of `limit`: the index of what ended first.
Task<std::size_t> wait_beside_a_sleep(std::size_t room, std::chrono::milliseconds limit) {
    const auto some = [](std::size_t most) -> Task<std::size_t> {
        std::vector<spargio::Event> events(most);
        co_return co_await ShardCtx::current()->next_events(events);
    };
    const auto sleep = [](std::chrono::milliseconds span) -> Task<> { static_cast<void>(co_await sleep_for(span)); };
    const auto first = co_await when_any(some(room), sleep(limit));
    co_return first.index;
}

/// Messages that come in the step in which a deadline passes are for those that wait, whose sleeps win.
void send_at(VirtualClock& clock, VirtualClock::Clock::time_point when, const RuntimeHandle& handle,
             const std::function<void()>& send) {
    StalledShard stalled(handle, 0);
    auto sender = handle.spawn_pinned(0, [&] {
        clock.set(when);
        send();
    });
    stalled.release();
    sender.get();
}

// The first one is woken for all three, the second one for the first of them; a sleep wins against each.
TEST_P(MessageWaiterStops, WhatSeveralStoppedOnesWereWokenForKeepsItsOrder) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto handle = one.handle();
    const RemoteShard target = *handle.remote(0);
    const auto begin = clock.now();
    auto first = handle.spawn_pinned(0, [&]() -> Task<std::size_t> {
        const auto index = co_await wait_beside_a_sleep(3, std::chrono::milliseconds(1));
        clock.set(begin + std::chrono::milliseconds(20));
        co_return index;
    });
    finish_step(handle, 0);
    auto second = handle.spawn_pinned(0, wait_beside_a_sleep(1, std::chrono::milliseconds(10)));
    finish_step(handle, 0);
    send_at(clock, begin + std::chrono::milliseconds(2), handle, [&] {
        for (std::uint32_t i = 1; i <= 3; ++i) {
            EXPECT_TRUE(target.send_raw_nowait(1, i).has_value());
        }
    });
    EXPECT_EQ(first.get(), 1U);
    EXPECT_EQ(second.get(), 1U);
    for (std::uint32_t i = 1; i <= 3; ++i) {
        EXPECT_EQ(handle.spawn_pinned(0, next_value()).get(), i);
    }
}

TEST_P(MessageWaiterStops, WhatAStoppedOneWasWokenForIsInTheQueueAllTheTime) {
    constexpr std::size_t capacity = 8;
    VirtualClock clock;
    auto one = RuntimeBuilder().shards(1).backend(GetParam()).msg_ring_queue_capacity(capacity).build();
    const auto handle = one.handle();
    const RemoteShard target = *handle.remote(0);
    auto task = handle.spawn_pinned(0, wait_beside_a_sleep(64, std::chrono::milliseconds(1)));
    finish_step(handle, 0);
    std::size_t accepted = 0;
    const auto fill = [&] {
        while (target.send_raw_nowait(1, 1)) {
            ++accepted;
        }
    };
    send_at(clock, clock.now() + std::chrono::milliseconds(2), handle, fill);
    EXPECT_EQ(task.get(), 1U);
    handle.spawn_pinned(0, fill).get();
    EXPECT_EQ(accepted, capacity) << "no task has taken any";
}

// It may go on at another shard, which has no way to the messages: what it was woken for is its own.
TEST_P(MessageWaiterStops, AStealableOneThatIsStoppedWhenItWasGivenAMessageHasIt) {
    auto one = runtime(1);
    const auto handle = one.handle();
    JoinHandle<std::uint32_t> second;
    auto first = handle.spawn_stealable([&]() -> Task<std::uint32_t> {
        const auto value = co_await next_value();
        second.request_stop();
        co_return value;
    });
    finish_step(handle, 0);
    second = handle.spawn_stealable(next_value());
    finish_step(handle, 0);
    send_in_one_step(handle, 1, 2);
    EXPECT_EQ(first.get(), 1U);
    EXPECT_EQ(second.get(), 2U);
}

}  // namespace
}  // namespace spargio::test
