// SPDX-License-Identifier: MIT
// Messages of several senders, and of senders that never stop: all of them have their turn, and so has other work.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stalled_shard.hpp"

namespace spargio::test {
namespace {

class MessageTurns : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(MessageTurns);

TEST_P(MessageTurns, OfManySendersTakeTurns) {
    auto three = builder(3).msg_ring_queue_capacity(64).build();
    StalledShard stalled(three.handle(), 2);
    const RemoteShard target = *three.handle().remote(2);
    for (const ShardId sender : {ShardId{0}, ShardId{1}}) {
        three.handle()
            .spawn_pinned(sender,
                          [target] {
                              for (std::uint32_t i = 0; i < 64; ++i) {
                                  EXPECT_TRUE(target.send_raw_nowait(1, i).has_value());
                              }
                          })
            .get();
    }
    stalled.release();
    three.handle()
        .spawn_pinned(2,
                      []() -> Task<> {
                          std::array<int, 2> got{};
                          for (int i = 0; i < 64; ++i) {
                              ++got[(co_await ShardCtx::current()->next_event()).from];
                          }
                          EXPECT_EQ(got[0], 32);
                          EXPECT_EQ(got[1], 32);
                      })
        .get();
}

TEST_P(MessageTurns, ThatNeverEndDoNotKeepOthersFromRunning) {
    auto one = runtime(1);
    bool stop = false;
    auto receiver = one.handle().spawn_pinned(0, [&]() -> Task<std::uint64_t> {
        std::uint64_t count = 0;
        while (!stop) {
            ShardCtx& here = *ShardCtx::current();
            EXPECT_TRUE(here.send_raw_nowait(0, 1, 1).has_value());
            here.flush();
            static_cast<void>(co_await here.next_event());
            ++count;
        }
        co_return count;
    });
    one.handle().spawn_pinned(0, [&] { stop = true; }).get();
    EXPECT_GE(receiver.get(), 0U);
}

// A task suspends after some hundreds of them, and what is left has no bell to come.
TEST_P(MessageTurns, OfMoreThanAStepTakesDoNotWaitForTheEndOfASleep) {
    constexpr std::uint32_t messages = 1'000;
    auto one = builder(1).idle_spin(std::chrono::microseconds(0)).build();
    one.block_on([]() -> Task<> {
        ShardCtx& here = *ShardCtx::current();
        for (std::uint32_t i = 0; i < messages; ++i) {
            EXPECT_TRUE(here.send_raw_nowait(0, 1, i).has_value());
        }
        here.flush();
        const auto parks = here.handle().stats_snapshot().parks;
        for (std::uint32_t i = 0; i < messages; ++i) {
            EXPECT_EQ((co_await here.next_event()).val, i);
        }
        EXPECT_EQ(here.handle().stats_snapshot().parks, parks);
    });
}

// Turns look at the lane that had something last first. It always has something here.
TEST_P(MessageTurns, OfAnotherLaneAreSeenBesideOneThatIsNeverEmpty) {
    constexpr std::size_t waiters = 400;
    constexpr std::ptrdiff_t soon = 200;  // A turn or two.
    auto two = runtime(2);
    const auto handle = two.handle();
    std::vector<ShardId> senders;
    std::vector<JoinHandle<void>> tasks;
    for (std::size_t i = 0; i < waiters; ++i) {
        tasks.push_back(handle.spawn_pinned(0, [&]() -> Task<> {
            const auto event = co_await ShardCtx::current()->next_event();
            senders.push_back(event.from);
        }));
    }
    finish_step(handle, 0);
    Event one_has_something;
    Event other_has_sent;
    tasks.push_back(handle.spawn_pinned(0, [&]() -> Task<> {
        while (senders.size() < waiters) {
            EXPECT_TRUE(ShardCtx::current()->send_raw_nowait(0, 1, 1).has_value());
            co_await yield();
            if (!senders.empty()) {
                one_has_something.set();
                other_has_sent.wait();
            }
        }
    }));
    one_has_something.wait();
    handle.spawn_pinned(1, [] { EXPECT_TRUE(ShardCtx::current()->send_raw_nowait(0, 1, 2).has_value()); }).get();
    other_has_sent.set();
    for (auto& task : tasks) {
        task.get();
    }
    EXPECT_LE(std::find(senders.begin(), senders.end(), 1) - senders.begin(), soon);
}

TEST_P(MessageTurns, OfAllLanesComeTogetherWhicheverHadSomethingLast) {
    auto three = runtime(3);
    const auto handle = three.handle();
    const auto send_from = [&handle](ShardId sender) {
        handle.spawn_pinned(sender, [] { EXPECT_TRUE(ShardCtx::current()->send_raw_nowait(0, 1, 1).has_value()); })
            .get();
    };
    Event waits;
    Event sent;
    auto receiver = handle.spawn_pinned(0, [&]() -> Task<std::size_t> {
        static_cast<void>(co_await ShardCtx::current()->next_event());
        waits.set();
        sent.wait();
        std::array<spargio::Event, 16> events{};
        co_return co_await ShardCtx::current()->next_events(events);
    });
    send_from(1);
    waits.wait();
    send_from(1);
    send_from(2);
    sent.set();
    EXPECT_EQ(receiver.get(), 2U);
}

}  // namespace
}  // namespace spargio::test
