// SPDX-License-Identifier: MIT
// A shard that is busy must not hold up stealable work while another one is idle, whoever queued the work.
//
// Busy means here: blocked inside a step until the stealable work has run. A scheduler that strands the work hangs.
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

class BusyShard : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(BusyShard);

// The other shards have had time to fall asleep, or not: both have to work.
enum class Others { Asleep, JustIdle };

void settle(const RuntimeHandle& handle, Others others) {
    if (others == Others::JustIdle) {
        return;
    }
    // Each shard has one more task, and parks after it, unless another's look for work kept it awake: no test relies on
    // the sleep itself.
    for (ShardId shard = 0; shard < handle.shard_count(); ++shard) {
        const auto parks = handle.stats_snapshot().parks;
        finish_step(handle, shard);
        const auto limit = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
        while (handle.stats_snapshot().parks == parks && std::chrono::steady_clock::now() < limit) {
            std::this_thread::yield();
        }
    }
}

TEST_P(BusyShard, WorkOfAForeignThreadQueuedAtTheBusyShardRunsElsewhere) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (const auto others : {Others::Asleep, Others::JustIdle}) {
        for (ShardId busy = 0; busy < 2; ++busy) {
            settle(handle, others);
            Event blocked;
            Event ran;
            auto blocker = handle.spawn_pinned(busy, [&] {
                blocked.set();
                ran.wait();
            });
            blocked.wait();
            auto work = handle.spawn_stealable_on(busy, [&] {
                ran.set();
                return shard_here();
            });
            EXPECT_EQ(work.get(), 1 - busy);
            blocker.get();
        }
    }
}

// A shard that has just gone idle may answer for what is brought to it, so that nobody else is woken, but not for more
// than it can begin at once. Two of the three block.
TEST_P(BusyShard, WhatIsBroughtToAShardThatHasJustGoneIdleIsBegunAtOnce) {
    Random random(stress_seed());
    // Three shards on two CPUs would not spin, and who does not spin does not glance.
    auto three = builder(3).idle_spin(std::chrono::microseconds(50)).build();
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    const auto pause = [&random] {
        if (random.one_in(3)) {
            spin_for(std::chrono::nanoseconds(random.below(4000)));
        }
    };
    for (unsigned round = 0; round < scaled(2'000, 300); ++round) {
        Event first_ran;
        Event second_ran;
        const auto pinned = [&] {
            return handle.spawn_pinned(0, [&] {
                first_ran.wait();
                second_ran.wait();
            });
        };
        const auto first = [&] {
            return handle.spawn_stealable_on(0, [&] {
                second_ran.wait();
                first_ran.set();
            });
        };
        const auto second = [&] { return handle.spawn_stealable_on(0, [&] { second_ran.set(); }); };
        std::array<std::function<JoinHandle<void>()>, 3> spawns{pinned, first, second};
        std::swap(spawns[0], spawns[random.below(3)]);
        std::swap(spawns[1], spawns[1 + random.below(2)]);
        finish_step(handle, 0);
        std::vector<JoinHandle<void>> tasks;
        for (const auto& spawn : spawns) {
            pause();
            tasks.push_back(spawn());
        }
        for (auto& task : tasks) {
            task.get();
        }
    }
}

// What did not fit into the shard's queue has its turn, however long that queue never empties.
TEST_P(BusyShard, OverflowingWorkIsNotStarvedByTasksThatYield) {
    auto one = builder(1).stealable_queue_capacity(1).build();
    const auto handle = one.handle();
    std::atomic<bool> ran{false};
    const auto yield_until_it_ran = [&]() -> Task<> {
        while (!ran.load()) {
            co_await yield();
        }
    };
    handle
        .spawn_stealable([&]() -> Task<> {
            auto fills_the_queue = handle.spawn_stealable(yield_until_it_ran);
            auto overflows = handle.spawn_stealable([&] { ran.store(true); });
            co_await yield_until_it_ran();
            co_await std::move(fills_the_queue);
            co_await std::move(overflows);
        })
        .get();
    EXPECT_TRUE(ran.load());
}

TEST_P(BusyShard, WorkOfAForeignThreadForAnyShardRuns) {
    auto three = runtime(3);
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    for (ShardId idle = 0; idle < 3; ++idle) {
        Latch blocked(2);
        Latch ran(30);
        std::vector<JoinHandle<void>> blockers;
        for (ShardId shard = 0; shard < 3; ++shard) {
            if (shard != idle) {
                blockers.push_back(handle.spawn_pinned(shard, [&] {
                    blocked.arrive();
                    ran.wait();
                }));
            }
        }
        blocked.wait();
        for (int i = 0; i < 30; ++i) {
            handle
                .spawn_stealable([&] {
                    EXPECT_EQ(shard_here(), idle);
                    ran.arrive();
                })
                .detach();
        }
        for (auto& blocker : blockers) {
            blocker.get();
        }
    }
}

TEST_P(BusyShard, WorkThatWasQueuedBeforeAllShardsButOneWereBusyRuns) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    Event release_second;
    Latch blocked(2);
    Latch ran(100);
    auto first = handle.spawn_pinned(0, [&] {
        blocked.arrive();
        ran.wait();
    });
    auto second = handle.spawn_pinned(1, [&] {
        blocked.arrive();
        release_second.wait();
    });
    blocked.wait();
    for (int i = 0; i < 100; ++i) {
        handle.spawn_stealable_on(0, [&] { ran.arrive(); }).detach();
    }
    release_second.set();  // It takes all that waits at the other one.
    first.get();
    second.get();
}

TEST_P(BusyShard, WorkThatTheBusyShardQueuedItselfRunsElsewhere) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (const auto others : {Others::Asleep, Others::JustIdle}) {
        for (ShardId busy = 0; busy < 2; ++busy) {
            settle(handle, others);
            auto spawner = handle.spawn_pinned(busy, [&] {
                Event ran;
                auto work = handle.spawn_stealable([&] {
                    EXPECT_EQ(shard_here(), 1 - busy);
                    ran.set();
                });
                ran.wait();  // The last spawn of a step that does not end.
                work.detach();
            });
            spawner.get();
        }
    }
}

TEST_P(BusyShard, AllWorkThatTheBusyShardQueuedItselfRunsElsewhere) {
    auto three = runtime(3);
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < 20; ++round) {
        auto spawner = handle.spawn_pinned(static_cast<ShardId>(round % 3), [&] {
            Latch ran(50);
            for (int i = 0; i < 50; ++i) {
                handle.spawn_stealable([&] { ran.arrive(); }).detach();
            }
            ran.wait();
        });
        spawner.get();
    }
}

TEST_P(BusyShard, AStealableTaskMayBeTheBusyOne) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < 50; ++round) {
        auto spawner = handle.spawn_stealable([&] {
            Event ran;
            const auto here = shard_here();
            handle
                .spawn_stealable([&] {
                    EXPECT_NE(shard_here(), here);
                    ran.set();
                })
                .detach();
            ran.wait();
        });
        spawner.get();
    }
}

TEST_P(BusyShard, OneBusyShardAfterTheOther) {
    auto four = runtime(4);
    const auto handle = four.handle();
    const NoLateWakes all_woken(handle);
    // Each spawns the next and blocks until the last has run: every idle shard has to be found.
    struct Chain {
        static void link(const RuntimeHandle& handle, int left) {
            if (left == 0) {
                return;
            }
            Event ran;
            handle
                .spawn_stealable([&] {
                    link(handle, left - 1);
                    ran.set();
                })
                .detach();
            ran.wait();
        }
    };
    for (int round = 0; round < 20; ++round) {
        handle.spawn_stealable([&] { Chain::link(handle, 3); }).get();
    }
}

TEST_P(BusyShard, WhatOverflowedTheQueueOfABusyShardRunsElsewhere) {
    auto two_shards = builder(2).stealable_queue_capacity(2).build();
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < 20; ++round) {
        auto spawner = handle.spawn_pinned(0, [&] {
            Latch ran(40);
            for (int i = 0; i < 40; ++i) {
                handle.spawn_stealable([&] { ran.arrive(); }).detach();
            }
            ran.wait();
        });
        spawner.get();
    }
}

TEST_P(BusyShard, ASuspendedTaskWhoseShardBecameBusyGoesOnElsewhere) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (const auto others : {Others::Asleep, Others::JustIdle}) {
        settle(handle, others);
        Event go;
        Event suspended;
        Event moved_on;
        Event blocked;
        auto child = handle.spawn_pinned(1, [&]() -> Task<> { co_await go.async_wait(); });
        auto waiter = handle.spawn_stealable([&]() -> Task<> {
            static_cast<void>(co_await resume_on(0));
            suspended.set();
            co_await std::move(child);
            EXPECT_EQ(shard_here(), 1);
            moved_on.set();
        });
        suspended.wait();
        auto blocker = handle.spawn_pinned(0, [&] {
            blocked.set();
            moved_on.wait();
        });
        blocked.wait();
        go.set();
        waiter.get();
        blocker.get();
    }
}

TEST_P(BusyShard, AStoppedTaskWhoseShardBecameBusyGoesOnElsewhere) {
    Event never;
    Event suspended;
    Event moved_on;
    Event blocked;
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    auto child = handle.spawn_pinned(1, [&]() -> Task<> { co_await never.async_wait(); });
    auto waiter = handle.spawn_stealable([&]() -> Task<> {
        static_cast<void>(co_await resume_on(0));
        suspended.set();
        const auto joined = co_await child.join();
        EXPECT_EQ(joined.error(), std::errc::operation_canceled);
        moved_on.set();
    });
    suspended.wait();
    auto blocker = handle.spawn_pinned(0, [&] {
        blocked.set();
        moved_on.wait();
    });
    blocked.wait();
    waiter.request_stop();
    waiter.get();
    blocker.get();
}

TEST_P(BusyShard, ABusyShardIsNotSpunUpByPinnedWorkOfOthers) {
    // Pinned work is never stolen: it waits for its shard, however long that is busy.
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    Event blocked;
    Event release;
    auto blocker = handle.spawn_pinned(0, [&] {
        blocked.set();
        release.wait();
    });
    blocked.wait();
    std::vector<JoinHandle<ShardId>> pinned;
    for (int i = 0; i < 20; ++i) {
        pinned.push_back(handle.spawn_pinned(0, shard_here));
    }
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(handle.spawn_stealable(shard_here).get(), 1);
    }
    for (const auto& task : pinned) {
        EXPECT_FALSE(task.done());
    }
    release.set();
    blocker.get();
    for (auto& task : pinned) {
        EXPECT_EQ(task.get(), 0);
    }
}

}  // namespace
}  // namespace spargio::test
