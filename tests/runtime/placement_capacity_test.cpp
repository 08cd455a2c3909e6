// SPDX-License-Identifier: MIT
// What stealable_queue_capacity counts, and where a task goes whose first queue is full.
#include <atomic>
#include <memory>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stalled_shard.hpp"

namespace spargio::test {
namespace {

class PlacementCapacity : public BackendTest {
protected:
    /// All shards in a step, until the result goes.
    static std::vector<std::unique_ptr<StalledShard>> stall_all(const RuntimeHandle& handle) {
        std::vector<std::unique_ptr<StalledShard>> stalled;
        for (ShardId shard = 0; shard < handle.shard_count(); ++shard) {
            stalled.push_back(std::make_unique<StalledShard>(handle, shard));
        }
        return stalled;
    }
};
SPARGIO_ON_BOTH_BACKENDS(PlacementCapacity);

TEST_P(PlacementCapacity, WhatAShardHasSpawnedItselfCountsForThoseFromOutside) {
    auto one = builder(1).stealable_queue_capacity(4).build();
    const auto handle = one.handle();
    const NoLateWakes all_woken(handle);
    std::vector<JoinHandle<void>> accepted;
    Event spawned;
    Event leave;
    auto spawner = handle.spawn_pinned(0, [&] {
        for (int i = 0; i < 3; ++i) {
            accepted.push_back(handle.spawn_stealable([] {}));
        }
        spawned.set();
        leave.wait();
    });
    spawned.wait();
    accepted.push_back(handle.spawn_stealable_on(0, [] {}));
    EXPECT_EQ(handle.spawn_stealable_on(0, [] {}).spawn_error(), RuntimeError::Overloaded);
    EXPECT_EQ(handle.spawn_stealable([] {}).spawn_error(), RuntimeError::Overloaded);
    leave.set();
    spawner.get();
    for (auto& task : accepted) {
        EXPECT_FALSE(task.spawn_error());
        task.get();
    }
}

// A spawn from outside looks at a few shards. Wherever the last room is, it is found.
TEST_P(PlacementCapacity, RoomThatIsNotAmongTheFirstLooksIsFound) {
    constexpr ShardId kShards = 6;
    for (ShardId free = 0; free < kShards; ++free) {
        auto six = builder(kShards).stealable_queue_capacity(1).build();
        const auto handle = six.handle();
        auto stalled = stall_all(handle);
        std::vector<JoinHandle<void>> accepted;
        for (ShardId shard = 0; shard < kShards; ++shard) {
            if (shard != free) {
                accepted.push_back(handle.spawn_stealable_on(shard, [] {}));
            }
        }
        accepted.push_back(handle.spawn_stealable([] {}));
        EXPECT_EQ(handle.spawn_stealable([] {}).spawn_error(), RuntimeError::Overloaded);
        stalled.clear();
        for (auto& task : accepted) {
            EXPECT_FALSE(task.spawn_error()) << "free was " << free;
            if (!task.spawn_error()) {
                task.get();
            }
        }
    }
}

TEST_P(PlacementCapacity, ATaskThatNamesAShardWithoutRoomIsNotRefused) {
    auto two = builder(2).stealable_queue_capacity(1).build();
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    std::atomic<int> ran{0};
    std::vector<JoinHandle<void>> tasks;
    {
        const StalledShard busy(handle, 1);
        tasks.push_back(handle.spawn_stealable_on(1, [&] { ++ran; }));  // All the room there is.
        auto spawner = handle.spawn_pinned(0, [&] {
            for (int i = 0; i < 3; ++i) {
                tasks.push_back(handle.spawn_stealable_on(1, [&] { ++ran; }));
                EXPECT_FALSE(tasks.back().spawn_error()) << i;
            }
        });
        spawner.get();
    }
    for (auto& task : tasks) {
        if (!task.spawn_error()) {
            task.get();
        }
    }
    EXPECT_EQ(ran, 4);
}

}  // namespace
}  // namespace spargio::test
