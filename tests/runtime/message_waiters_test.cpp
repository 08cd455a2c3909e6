// SPDX-License-Identifier: MIT
// Which of several tasks gets a message: those that wait, and those that ask. (spec: M8)
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/message_tasks.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

class MessageWaiters : public BackendTest {
protected:
    Watchdog watchdog_{"message waiters"};
};
SPARGIO_ON_BOTH_BACKENDS(MessageWaiters);

TEST_P(MessageWaiters, WhoAsksWhileAnotherWaitsIsBehindIt) {
    auto one = runtime(1);
    const RemoteShard target = *one.handle().remote(0);
    std::vector<std::uint32_t> got(2);
    auto waiter = one.handle().spawn_pinned(0, [&]() -> Task<> {
        const spargio::Event event = co_await ShardCtx::current()->next_event();
        got[0] = event.val;
    });
    finish_step(one.handle(), 0);
    Event inside;
    Event sent;
    auto asker = one.handle().spawn_pinned(0, [&]() -> Task<> {
        inside.set();
        sent.wait();
        EXPECT_FALSE(ShardCtx::current()->try_next_event().has_value()) << "the other one has waited longer";
        const spargio::Event event = co_await ShardCtx::current()->next_event();
        got[1] = event.val;
    });
    inside.wait();
    EXPECT_TRUE(target.send_raw_nowait(1, 1).has_value());
    EXPECT_TRUE(target.send_raw_nowait(1, 2).has_value());
    sent.set();
    waiter.get();
    asker.get();
    EXPECT_EQ(got, (std::vector<std::uint32_t>{1, 2}));
}

TEST_P(MessageWaiters, WhatIsLeftByASmallRoomIsForTheNext) {
    auto one = runtime(1);
    const auto wait = [](std::size_t room) -> Task<std::vector<std::uint32_t>> {
        std::vector<spargio::Event> events(room);
        events.resize(co_await ShardCtx::current()->next_events(events));
        std::vector<std::uint32_t> values;
        for (const auto& event : events) {
            values.push_back(event.val);
        }
        co_return values;
    };
    auto first = one.handle().spawn_pinned(0, wait(2));
    auto second = one.handle().spawn_pinned(0, wait(1));
    auto third = one.handle().spawn_pinned(0, wait(10));
    finish_step(one.handle(), 0);
    send_in_one_step(one.handle(), 0, 5);
    EXPECT_EQ(first.get(), (std::vector<std::uint32_t>{0, 1}));
    EXPECT_EQ(second.get(), (std::vector<std::uint32_t>{2}));
    EXPECT_EQ(third.get(), (std::vector<std::uint32_t>{3, 4}));
}

// A deadline looks for what has come for its task, and serves whoever waits.
TEST_P(MessageWaiters, ADeadlineWithoutAMessageServesNobody) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto wait = []() -> Task<std::size_t> {
        std::vector<spargio::Event> events(2);
        co_return co_await ShardCtx::current()->next_events(events);
    };
    auto bystander = one.handle().spawn_pinned(0, wait());
    finish_step(one.handle(), 0);
    auto timed = one.handle().spawn_pinned(0, timeout(std::chrono::milliseconds(5), wait()));
    auto stealable = one.handle().spawn_stealable(wait());
    finish_step(one.handle(), 0);
    clock.advance(one.handle(), std::chrono::milliseconds(5));
    EXPECT_EQ(timed.get().error(), std::errc::timed_out);
    EXPECT_FALSE(bystander.done());
    EXPECT_FALSE(stealable.done());
    send_in_one_step(one.handle(), 0, 3);
    EXPECT_EQ(bystander.get(), 2U);
    EXPECT_EQ(stealable.get(), 1U);
}

TEST_P(MessageWaiters, TheOneThatHasWaitedLongestGetsTheMessage) {
    auto two = runtime(2);
    std::vector<int> order;
    std::vector<JoinHandle<>> tasks;
    const auto wait = [](std::vector<int>& out, int number) -> Task<> {
        const auto event = co_await ShardCtx::current()->next_event();
        EXPECT_EQ(event.val, static_cast<std::uint32_t>(number));
        out.push_back(number);
    };
    for (int i = 0; i < 5; ++i) {
        tasks.push_back(two.handle().spawn_pinned(1, wait(order, i)));
    }
    finish_step(two.handle(), 1);
    two.handle().spawn_pinned(1, [] { EXPECT_FALSE(ShardCtx::current()->try_next_event().has_value()); }).get();
    const RemoteShard target = *two.handle().remote(1);
    for (std::uint32_t i = 0; i < 5; ++i) {
        EXPECT_TRUE(target.send_raw_nowait(1, i).has_value());
    }
    for (auto& task : tasks) {
        task.get();
    }
    const std::vector<int> expected{0, 1, 2, 3, 4};
    EXPECT_EQ(order, expected);
}

TEST_P(MessageWaiters, TwoInOneWhenAnyTakeOneMessage) {
    auto one = runtime(1);
    const auto handle = one.handle();
    auto task = handle.spawn_pinned(0, [&]() -> Task<> {
        const auto first = co_await when_any(next_value(), next_value());
        EXPECT_EQ(first.index, 0U);
        EXPECT_EQ(std::get<0>(first.value), 1U);
        EXPECT_EQ(co_await next_value(), 2U);
    });
    finish_step(handle, 0);
    send_in_one_step(handle, 1, 2);
    task.get();
}

// The first time it suspends, the second time there is a message.
TEST_P(MessageWaiters, AnAwaitableMayBeAwaitedAgain) {
    auto one = runtime(1);
    const auto handle = one.handle();
    auto waiter = handle.spawn_pinned(0, []() -> Task<> {
        auto next = ShardCtx::current()->next_event();
        for (std::uint32_t i = 0; i < 3; ++i) {
            const auto event = co_await next;
            EXPECT_EQ(event.val, i);
        }
    });
    finish_step(handle, 0);
    send_in_one_step(handle, 0, 3);
    waiter.get();
}

// Pinned ones take theirs when they go on, stealable ones when they are woken: still in the order in which they came.
TEST_P(MessageWaiters, PinnedAndStealableOnesAreServedInTurn) {
    auto one = runtime(1);
    const auto handle = one.handle();
    std::vector<JoinHandle<std::uint32_t>> waiters;
    for (int i = 0; i < 8; ++i) {
        waiters.push_back(i % 2 == 0 ? handle.spawn_pinned(0, next_value()) : handle.spawn_stealable(next_value()));
        finish_step(handle, 0);
    }
    send_in_one_step(handle, 0, 8);
    for (std::uint32_t i = 0; i < 8; ++i) {
        EXPECT_EQ(waiters[i].get(), i);
    }
}

// The shard has kept the message for one that waits; who asks now is behind it, and yet gets what is left.
TEST_P(MessageWaiters, WhoAsksWhileAnotherIsWokenIsBehindIt) {
    auto one = runtime(1);
    const auto handle = one.handle();
    const RemoteShard target = *handle.remote(0);
    auto waiter = handle.spawn_pinned(0, next_value());
    finish_step(handle, 0);
    StalledShard stalled(handle, 0);
    // They are ready before it: the shard takes what was spawned before it looks at its messages.
    std::vector<JoinHandle<std::uint32_t>> askers;
    for (int i = 0; i < 8; ++i) {
        askers.push_back(handle.spawn_pinned(0, next_value()));
    }
    for (std::uint32_t i = 0; i < 9; ++i) {
        EXPECT_TRUE(target.send_raw_nowait(1, i).has_value());
    }
    stalled.release();
    EXPECT_EQ(waiter.get(), 0U);
    for (std::uint32_t i = 0; i < 8; ++i) {
        EXPECT_EQ(askers[i].get(), i + 1);
    }
}

}  // namespace
}  // namespace spargio::test
