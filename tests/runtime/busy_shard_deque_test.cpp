// SPDX-License-Identifier: MIT
// What waits in the deque of a busy shard, in whatever way it came there, runs elsewhere: see busy_shard_test.cpp.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

/// `count` items; the first to begin holds its shard up until all others have run.
class FirstWaitsForTheRest {
public:
    explicit FirstWaitsForTheRest(std::size_t count) : others_(count - 1) {}

    void run() {
        if (begun_.exchange(true)) {
            others_.arrive();
        } else {
            others_.wait();
            ended_.set();
        }
    }
    void wait() const { ended_.wait(); }

private:
    std::atomic<bool> begun_{false};
    Latch others_;
    Event ended_;
};

class BusyShardDeque : public BackendTest {
protected:
    static constexpr int kRounds = sanitized ? 10 : 30;

    /// Everybody falls asleep as soon as there is nothing to do.
    static RuntimeBuilder sleepy(std::size_t shards) { return builder(shards).idle_spin(std::chrono::microseconds(0)); }

    Watchdog watchdog_{"work behind a busy shard"};
};
SPARGIO_ON_BOTH_BACKENDS(BusyShardDeque);

TEST_P(BusyShardDeque, WorkBelowTheOneThatRunsGoesElsewhere) {
    auto two = sleepy(2).build();
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    for (const int below : {1, 2, 100}) {
        for (int round = 0; round < kRounds; ++round) {
            StalledShard other(handle, 1);
            Latch ran(static_cast<std::size_t>(below));
            Event busy;
            Event end;
            auto spawner = handle.spawn_pinned(0, [&] {
                for (int i = 0; i < below; ++i) {
                    handle.spawn_stealable([&] { ran.arrive(); }).detach();
                }
                // The newest: it runs next, on this shard.
                handle
                    .spawn_stealable([&] {
                        busy.set();
                        ran.wait();
                        end.set();
                    })
                    .detach();
            });
            busy.wait();
            other.release();
            end.wait();
            spawner.get();
        }
    }
}

// What a thief has taken together with the one that it runs is not its own.
TEST_P(BusyShardDeque, TheRestOfABatchGoesElsewhere) {
    for (const std::size_t capacity : {1U, 4U, 65'536U}) {
        auto three = sleepy(3).stealable_queue_capacity(capacity).build();
        const auto handle = three.handle();
        const NoLateWakes all_woken(handle);
        for (int round = 0; round < kRounds; ++round) {
            constexpr std::size_t kItems = 40;
            FirstWaitsForTheRest items(kItems);
            auto spawner = handle.spawn_pinned(static_cast<ShardId>(round % 3), [&] {
                for (std::size_t i = 0; i < kItems; ++i) {
                    handle.spawn_stealable([&] { items.run(); }).detach();
                }
                items.wait();
            });
            spawner.get();
        }
    }
}

TEST_P(BusyShardDeque, TheRestOfABatchFromOutsideGoesElsewhere) {
    auto three = sleepy(3).build();
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < kRounds; ++round) {
        constexpr std::size_t kItems = 40;
        FirstWaitsForTheRest items(kItems);
        StalledShard stalled(handle, 0);
        {
            StalledShard first(handle, 1);
            StalledShard second(handle, 2);
            for (std::size_t i = 0; i < kItems; ++i) {
                handle.spawn_stealable_on(0, [&] { items.run(); }).detach();
            }
        }
        items.wait();
    }
}

// The same where the shard takes a batch of the shared queue on its way.
TEST_P(BusyShardDeque, TheRestOfWhatABusyShardTookFromTheSharedQueueGoesElsewhere) {
    auto two = sleepy(2).stealable_queue_capacity(8).build();
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < kRounds; ++round) {
        constexpr std::size_t kItems = 100;
        FirstWaitsForTheRest items(kItems - 8);
        {
            StalledShard other(handle, 1);
            auto spawner = handle.spawn_pinned(0, [&] {
                for (std::size_t i = 0; i < 8; ++i) {
                    handle.spawn_stealable([] {}).detach();  // The deque is full now.
                }
                for (std::size_t i = 8; i < kItems; ++i) {
                    handle.spawn_stealable([&] { items.run(); }).detach();
                }
            });
            spawner.get();
        }
        items.wait();
    }
}

TEST_P(BusyShardDeque, ForkedChildrenGoElsewhere) {
    auto two = sleepy(2).build();
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    for (const auto place : {TaskPlacement::pinned(0), TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        for (int round = 0; round < kRounds; ++round) {
            auto parent = handle.spawn_with_placement(place, []() -> Task<> {
                Event ran;
                const auto busy = [&ran]() -> Task<> {
                    ran.wait();
                    co_return;
                };
                const auto other = [&ran]() -> Task<> {
                    ran.set();
                    co_return;
                };
                co_await fork_join(busy(), other());
            });
            parent.get();
        }
    }
}

TEST_P(BusyShardDeque, ManyForkedChildrenGoElsewhere) {
    for (const std::size_t capacity : {1U, 8U, 65'536U}) {
        auto two = sleepy(2).stealable_queue_capacity(capacity).build();
        const auto handle = two.handle();
        const NoLateWakes all_woken(handle);
        for (int round = 0; round < kRounds; ++round) {
            auto parent = handle.spawn_stealable([]() -> Task<> {
                constexpr std::size_t kChildren = 50;
                Latch ran(kChildren - 1);
                const auto child = [&ran](std::size_t i) -> Task<> {
                    if (i == 0) {
                        ran.wait();
                    } else {
                        ran.arrive();
                    }
                    co_return;
                };
                std::vector<Task<>> children;
                for (std::size_t i = 0; i < kChildren; ++i) {
                    children.push_back(child(i));
                }
                co_await spawn_many(std::move(children));
            });
            parent.get();
        }
    }
}

// The fork wakes one shard, all others sleep: who has taken a batch passes the wake on.
TEST_P(BusyShardDeque, TheRestOfABatchOfForkedChildrenGoesElsewhere) {
    auto three = sleepy(3).build();
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < kRounds; ++round) {
        for (ShardId shard = 0; shard < 3; ++shard) {
            finish_step(handle, shard);
        }
        auto parent = handle.spawn_pinned(0, []() -> Task<> {
            constexpr std::size_t kChildren = 40;
            std::atomic<int> begun{0};
            Latch others(kChildren - 2);
            const auto child = [&]() -> Task<> {
                if (begun.fetch_add(1) < 2) {
                    others.wait();  // One on this shard, one on the first thief's.
                } else {
                    others.arrive();
                }
                co_return;
            };
            std::vector<Task<>> children;
            for (std::size_t i = 0; i < kChildren; ++i) {
                children.push_back(child());
            }
            co_await spawn_many(std::move(children));
        });
        parent.get();
    }
}

// Children and parents run one after the other, but not for ever: then what is pinned has its turn.
TEST_P(BusyShardDeque, AChainOfForksGoesOnElsewhere) {
    auto two = sleepy(2).build();
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < kRounds; ++round) {
        Event ended;
        JoinHandle<> busy;
        auto chain = handle.spawn_stealable_on(0, [&]() -> Task<> {
            static_cast<void>(co_await resume_on(0));
            busy = handle.spawn_pinned(0, [&] { ended.wait(); });
            const auto leaf = []() -> Task<> { co_return; };
            for (int i = 0; i < 200; ++i) {
                co_await fork_join(leaf());
            }
            ended.set();
        });
        chain.get();
        busy.get();
    }
}

TEST_P(BusyShardDeque, ATaskThatTheBusyShardWokeGoesElsewhere) {
    auto two = sleepy(2).build();
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < kRounds; ++round) {
        Event joining;
        Event went_on;
        auto never =
            handle.spawn_pinned(1, []() -> Task<> { static_cast<void>(co_await sleep_for(std::chrono::hours(1))); });
        auto waiter = handle.spawn_stealable([&]() -> Task<> {
            static_cast<void>(co_await resume_on(0));
            joining.set();
            static_cast<void>(co_await never.join());
            EXPECT_EQ(shard_here(), 1);
            went_on.set();
        });
        joining.wait();
        finish_step(handle, 0);  // It has suspended.
        auto busy = handle.spawn_pinned(0, [&] {
            waiter.request_stop();
            went_on.wait();
        });
        busy.get();
        waiter.get();
        never.request_stop();
        never.get();
    }
}

TEST_P(BusyShardDeque, APreferredShardThatIsBusyGivesWayToAnIdleOne) {
    auto three = sleepy(3).build();
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < kRounds; ++round) {
        const StalledShard preferred(handle, 0);
        auto spawner = handle.spawn_pinned(1, [&] {
            Latch ran(3);
            for (int i = 0; i < 3; ++i) {
                handle
                    .spawn_stealable_on(0,
                                        [&] {
                                            EXPECT_EQ(shard_here(), 2);
                                            ran.arrive();
                                        })
                    .detach();
            }
            ran.wait();
        });
        spawner.get();
    }
}

TEST_P(BusyShardDeque, APreferredShardThatSleepsTakesWhatABusyOneSpawns) {
    auto two = sleepy(2).build();
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < kRounds; ++round) {
        auto spawner = handle.spawn_pinned(0, [&] {
            Event ran;
            handle
                .spawn_stealable_on(1,
                                    [&] {
                                        EXPECT_EQ(shard_here(), 1);
                                        ran.set();
                                    })
                .detach();
            ran.wait();
        });
        spawner.get();
    }
}

// A shard wakes up for both at once: the task that it runs first must not hold up the one that got the message.
TEST_P(BusyShardDeque, ATaskThatGotAMessageGoesElsewhereWhenItsShardRunsAStolenOne) {
    auto two = sleepy(2).build();
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    const RemoteShard one = *handle.remote(1);
    for (int round = 0; round < 10 * kRounds && !HasFailure(); ++round) {
        Event waits;
        Event went_on;
        auto receiver = handle.spawn_stealable([&]() -> Task<> {
            static_cast<void>(co_await resume_on(1));
            waits.set();
            static_cast<void>(co_await ShardCtx::current()->next_event());
            went_on.set();
        });
        waits.wait();
        finish_step(handle, 1);  // It has suspended, and its shard falls asleep.
        const auto seen = handle.stats_snapshot().ring_msgs_completed;
        auto busy = handle.spawn_stealable_on(1, [&] {
            // A message that its shard has not seen yet has to wait for it.
            if (handle.stats_snapshot().ring_msgs_completed != seen) {
                went_on.wait();
            }
        });
        EXPECT_TRUE(one.send_raw_nowait(1, 1).has_value());
        receiver.get();
        busy.get();
        EXPECT_EQ(handle.stats_snapshot().late_wakes, 0U) << "round " << round;
    }
}

}  // namespace
}  // namespace spargio::test
