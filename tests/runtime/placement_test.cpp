// SPDX-License-Identifier: MIT
// The five placements and their promises.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stalled_shard.hpp"

namespace spargio::test {
namespace {

class Placement : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(Placement);

// A task of many steps, each begun by another kind of wait; gives the shards it was on.
Task<std::set<ShardId>> wander(RuntimeHandle handle) {
    std::set<ShardId> seen{shard_here()};
    const auto shards = static_cast<ShardId>(handle.shard_count());
    for (ShardId other = 0; other < shards; ++other) {
        co_await yield();
        seen.insert(shard_here());
        static_cast<void>(co_await sleep_for(std::chrono::microseconds(200)));
        seen.insert(shard_here());
        auto child = handle.spawn_pinned(other, []() -> Task<> { co_await yield(); });
        co_await std::move(child);
        seen.insert(shard_here());
        auto stealable = handle.spawn_stealable([] {});
        static_cast<void>(co_await stealable.join());
        seen.insert(shard_here());
        auto blocking = handle.spawn_blocking([] {});
        co_await std::move(blocking);
        seen.insert(shard_here());
        auto inner = [](std::set<ShardId>& shards_seen) -> Task<> {
            co_await yield();
            shards_seen.insert(shard_here());
        }(seen);
        co_await std::move(inner);
    }
    co_return seen;
}

TEST_P(Placement, PinnedRunsEveryStepOnItsShard) {
    auto three = runtime(3);
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    for (ShardId shard = 0; shard < 3; ++shard) {
        EXPECT_EQ(handle.spawn_pinned(shard, wander(handle)).get(), std::set<ShardId>{shard});
        EXPECT_EQ(handle.spawn_with_placement(TaskPlacement::pinned(shard), wander(handle)).get(),
                  std::set<ShardId>{shard});
        for (ShardId spawner = 0; spawner < 3; ++spawner) {
            auto from_a_shard = handle.spawn_pinned(spawner, [&]() -> Task<std::set<ShardId>> {
                auto child = handle.spawn_pinned(shard, wander(handle));
                co_return co_await std::move(child);
            });
            EXPECT_EQ(from_a_shard.get(), std::set<ShardId>{shard});
        }
    }
}

TEST_P(Placement, RoundRobinHasOneCursorForAllCopiesOfTheHandle) {
    auto three = runtime(3);
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    const RuntimeHandle copy = handle;  // NOLINT(performance-unnecessary-copy-initialization)
    const auto other = three.handle();
    std::vector<int> order;
    for (int i = 0; i < 30; ++i) {
        const auto& through = i % 3 == 0 ? handle : i % 3 == 1 ? copy : other;
        auto spawned = i % 2 == 0 ? through.spawn_round_robin(shard_here)
                                  : through.spawn_with_placement(TaskPlacement::round_robin(), shard_here);
        order.push_back(spawned.get());
    }
    for (std::size_t i = 1; i < order.size(); ++i) {
        EXPECT_EQ(order[i], (order[i - 1] + 1) % 3);
    }
}

TEST_P(Placement, RoundRobinFromTasksUsesTheSameCursor) {
    auto three = runtime(3);
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    const ShardId outside = handle.spawn_round_robin(shard_here).get();
    auto inside = handle.spawn_pinned(0, [&]() -> Task<ShardId> {
        auto child = handle.spawn_round_robin(shard_here);
        co_return co_await std::move(child);
    });
    EXPECT_EQ(inside.get(), (outside + 1) % 3);
    EXPECT_EQ(handle.spawn_round_robin(shard_here).get(), (outside + 2) % 3);
}

TEST_P(Placement, RoundRobinSpreadsEvenlyAndThenStays) {
    auto four = runtime(4);
    const auto handle = four.handle();
    const NoLateWakes all_woken(handle);
    std::vector<JoinHandle<std::set<ShardId>>> spawned;
    for (int i = 0; i < 40; ++i) {
        spawned.push_back(handle.spawn_round_robin(wander(handle)));
    }
    std::array<int, 4> per_shard{};
    for (auto& task : spawned) {
        const auto seen = task.get();
        ASSERT_EQ(seen.size(), 1U);
        ++per_shard.at(*seen.begin());
    }
    EXPECT_EQ(per_shard, (std::array<int, 4>{10, 10, 10, 10}));
}

TEST_P(Placement, StickyIsTheSameShardForTheSameKey) {
    auto four = runtime(4);
    auto four_more = runtime(4);
    const auto handle = four.handle();
    const NoLateWakes all_woken(handle);
    for (std::uint64_t key = 0; key < 50; ++key) {
        const auto seen = handle.spawn_sticky(key, wander(handle)).get();
        ASSERT_EQ(seen.size(), 1U);
        const auto shard = *seen.begin();
        ASSERT_EQ(handle.spawn_with_placement(TaskPlacement::sticky(key), shard_here).get(), shard);
        ASSERT_EQ(four_more.handle().spawn_sticky(key, shard_here).get(), shard) << "the same in every runtime";
        auto inside = handle.spawn_pinned(0, [&]() -> Task<ShardId> {
            auto child = handle.spawn_sticky(key, shard_here);
            co_return co_await std::move(child);
        });
        ASSERT_EQ(inside.get(), shard);
    }
}

// Users may have stored which shard a key belongs to. The mix is the finaliser of splitmix64.
TEST_P(Placement, StickyIsTheSameInEveryVersion) {
    auto three = runtime(3);
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    const std::vector<std::pair<std::uint64_t, ShardId>> known = {
        {0, 1}, {1, 2}, {2, 1}, {3, 0}, {42, 1}, {1'000'000'007, 2}, {~std::uint64_t{0}, 2},
    };
    for (const auto& [key, shard] : known) {
        EXPECT_EQ(handle.spawn_sticky(key, shard_here).get(), shard) << "key " << key;
    }
}

TEST_P(Placement, StickyKeysSpreadOverTheShards) {
    auto four = runtime(4);
    const auto handle = four.handle();
    const NoLateWakes all_woken(handle);
    std::array<int, 4> consecutive{};
    std::array<int, 4> multiples{};
    for (std::uint64_t key = 0; key < 2000; ++key) {
        ++consecutive.at(handle.spawn_sticky(key, shard_here).get());
        ++multiples.at(handle.spawn_sticky(key * 4096, shard_here).get());
    }
    for (std::size_t shard = 0; shard < 4; ++shard) {
        EXPECT_NEAR(consecutive.at(shard), 500, 100);
        EXPECT_NEAR(multiples.at(shard), 500, 100);
    }
}

TEST_P(Placement, StealableTasksAllRunOnce) {
    auto three = runtime(3);
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    std::atomic<int> ran{0};
    Latch all(3000);
    for (int i = 0; i < 1000; ++i) {
        const auto count = [&] {
            ran.fetch_add(1);
            all.arrive();
        };
        handle.spawn_stealable(count).detach();
        handle.spawn_stealable_on(static_cast<ShardId>(i % 3), count).detach();
        handle
            .spawn_with_placement(i % 2 == 0 ? TaskPlacement::stealable() : TaskPlacement::stealable_preferred(1),
                                  count)
            .detach();
    }
    all.wait();
    EXPECT_EQ(ran.load(), 3000);
    EXPECT_EQ(three.handle().stats_snapshot().spawn_stealable_submitted, 3000U);
}

TEST_P(Placement, AStealableTaskIsAlwaysOnAShardOfItsRuntime) {
    auto two_shards = runtime(2);
    auto others = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    std::vector<JoinHandle<std::set<ShardId>>> spawned;
    for (int i = 0; i < 20; ++i) {
        spawned.push_back(handle.spawn_stealable(wander(handle)));
    }
    for (auto& task : spawned) {
        for (const auto shard : task.get()) {
            EXPECT_LT(shard, 2);
        }
    }
}

// With every other shard busy the preferred one is the only place left.
TEST_P(Placement, StealablePreferredRunsOnItsShardWhenTheOthersAreBusy) {
    auto three = runtime(3);
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    for (ShardId preferred = 0; preferred < 3; ++preferred) {
        Event release;
        Latch blocked(2);
        std::vector<JoinHandle<void>> blockers;
        for (ShardId shard = 0; shard < 3; ++shard) {
            if (shard != preferred) {
                blockers.push_back(handle.spawn_pinned(shard, [&] {
                    blocked.arrive();
                    release.wait();
                }));
            }
        }
        blocked.wait();
        EXPECT_EQ(handle.spawn_stealable_on(preferred, shard_here).get(), preferred);
        EXPECT_EQ(handle.spawn_with_placement(TaskPlacement::stealable_preferred(preferred), shard_here).get(),
                  preferred);
        EXPECT_EQ(handle.spawn_stealable(shard_here).get(), preferred);
        release.set();
        for (auto& blocker : blockers) {
            blocker.get();  // They use this round's event and latch.
        }
    }
}

// Queued at the preferred shard first: with every shard stalled that is where it waits, as the depth shows.
TEST_P(Placement, StealablePreferredIsQueuedAtItsShard) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (ShardId preferred = 0; preferred < 2; ++preferred) {
        Event release;
        Latch blocked(2);
        std::vector<JoinHandle<void>> blockers;
        for (ShardId shard = 0; shard < 2; ++shard) {
            blockers.push_back(handle.spawn_pinned(shard, [&] {
                blocked.arrive();
                release.wait();
            }));
        }
        blocked.wait();
        const auto before = handle.stats_snapshot().shard_command_depths;
        std::vector<JoinHandle<ShardId>> waiting;
        for (int i = 0; i < 10; ++i) {
            waiting.push_back(handle.spawn_stealable_on(preferred, shard_here));
        }
        const auto after = handle.stats_snapshot().shard_command_depths;
        EXPECT_EQ(after[preferred] - before[preferred], 10U);
        EXPECT_EQ(after[1U - preferred], before[1U - preferred]);
        release.set();
        for (auto& task : waiting) {
            task.get();
        }
        for (auto& blocker : blockers) {
            blocker.get();
        }
    }
}

// With every shard stalled nothing is stolen before the look.
TEST_P(Placement, StealableFromOutsideIsQueuedWhereTheFewestWait) {
    auto three = runtime(3);
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    std::vector<std::unique_ptr<StalledShard>> stalled;
    for (ShardId shard = 0; shard < 3; ++shard) {
        stalled.push_back(std::make_unique<StalledShard>(handle, shard));
    }
    std::vector<JoinHandle<ShardId>> waiting;
    const auto spawn = [&](int count, const TaskPlacement& placement) {
        for (int i = 0; i < count; ++i) {
            waiting.push_back(handle.spawn_with_placement(placement, shard_here));
        }
        return handle.stats_snapshot().shard_command_depths;
    };
    spawn(10, TaskPlacement::stealable_preferred(0));
    EXPECT_EQ(spawn(5, TaskPlacement::stealable_preferred(2)), (std::vector<std::uint64_t>{10, 0, 5}));
    EXPECT_EQ(spawn(5, TaskPlacement::stealable()), (std::vector<std::uint64_t>{10, 5, 5}));
    EXPECT_EQ(spawn(10, TaskPlacement::stealable()), (std::vector<std::uint64_t>{10, 10, 10}));
    stalled.clear();
    for (auto& task : waiting) {
        task.get();
    }
}

TEST_P(Placement, BlockOnRunsOnAShard) {
    auto two_shards = runtime(2);
    for (int i = 0; i < 10; ++i) {
        EXPECT_LT(two_shards.block_on(shard_here), 2);
        EXPECT_EQ(two_shards.block_on(wander(two_shards.handle())).size(), 1U);
    }
}

TEST_P(Placement, OneShardTakesEveryPlacement) {
    auto one = runtime(1);
    const auto handle = one.handle();
    const NoLateWakes all_woken(handle);
    EXPECT_EQ(handle.spawn_pinned(0, shard_here).get(), 0);
    EXPECT_EQ(handle.spawn_round_robin(shard_here).get(), 0);
    EXPECT_EQ(handle.spawn_sticky(99, shard_here).get(), 0);
    EXPECT_EQ(handle.spawn_stealable(shard_here).get(), 0);
    EXPECT_EQ(handle.spawn_stealable_on(0, shard_here).get(), 0);
}

}  // namespace
}  // namespace spargio::test
