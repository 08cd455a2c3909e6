// SPDX-License-Identifier: MIT
// Who gets a message that has come and was not looked at yet, when one task waits and another one asks. (spec: M8)
#include <cstdint>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"

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
    const RemoteShard target = *one.handle().remote(0);
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
    const auto send = [target] {
        for (std::uint32_t i = 0; i < 5; ++i) {
            EXPECT_TRUE(target.send_raw_nowait(1, i).has_value());
        }
    };
    one.handle().spawn_pinned(0, send).get();
    EXPECT_EQ(first.get(), (std::vector<std::uint32_t>{0, 1}));
    EXPECT_EQ(second.get(), (std::vector<std::uint32_t>{2}));
    EXPECT_EQ(third.get(), (std::vector<std::uint32_t>{3, 4}));
}

}  // namespace
}  // namespace spargio::test
