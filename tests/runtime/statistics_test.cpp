// SPDX-License-Identifier: MIT
// What stats_snapshot() counts while a runtime works, and where it comes to rest.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stalled_shard.hpp"

namespace spargio::test {
namespace {

using ::testing::HasSubstr;

class Statistics : public BackendTest {
protected:
    /// Totals may lag a turn behind a join.
    template <class Condition>
    static RuntimeStats stats_when(const RuntimeHandle& handle, Condition condition) {
        for (;;) {
            auto stats = handle.stats_snapshot();
            if (condition(stats)) {
                return stats;
            }
            std::this_thread::yield();
        }
    }
};
SPARGIO_ON_BOTH_BACKENDS(Statistics);

TEST_P(Statistics, ANewRuntimeHasDoneNothing) {
    auto three = runtime(3);
    const auto stats = three.handle().stats_snapshot();
    EXPECT_EQ(stats.shard_command_depths, (std::vector<std::uint64_t>{0, 0, 0}));
    EXPECT_EQ(stats.spawn_pinned_submitted, 0U);
    EXPECT_EQ(stats.spawn_stealable_submitted, 0U);
    EXPECT_EQ(stats.stealable_executed, 0U);
    EXPECT_EQ(stats.timers_fired, 0U);
    EXPECT_EQ(stats.tasks_live, 0U);
}

TEST_P(Statistics, SpawnsAreCountedByKindWhoeverSpawns) {
    auto two = runtime(2);
    const auto handle = two.handle();
    const auto spawn_all = [&]() -> Task<> {
        std::vector<JoinHandle<void>> spawned;
        spawned.push_back(handle.spawn_pinned(0, [] {}));
        spawned.push_back(handle.spawn_pinned(1, [] {}));
        spawned.push_back(handle.spawn_round_robin([] {}));
        spawned.push_back(handle.spawn_sticky(1, [] {}));
        spawned.push_back(ShardCtx::current()->spawn_local([] {}));
        spawned.push_back(handle.spawn_stealable([] {}));
        spawned.push_back(handle.spawn_stealable_on(1, [] {}));
        for (auto& task : spawned) {
            co_await std::move(task);
        }
    };
    handle.spawn_pinned(0, spawn_all).get();    // 1 + 5 pinned, 2 stealable
    handle.spawn_stealable(spawn_all).get();    // 5 pinned, 1 + 2 stealable
    handle.spawn_round_robin(spawn_all).get();  // 1 + 5 pinned, 2 stealable
    const auto stats = stats_when(handle, [](const auto& s) { return s.tasks_live == 0 && s.stealable_executed >= 7; });
    EXPECT_EQ(stats.spawn_pinned_submitted, 17U);
    EXPECT_EQ(stats.spawn_stealable_submitted, 7U);
    EXPECT_EQ(stats.stealable_executed, 7U);
}

TEST_P(Statistics, DepthsAndLiveTasksAreGauges) {
    auto two = runtime(2);
    const auto handle = two.handle();
    Event release;
    Latch blocked(2);
    std::vector<JoinHandle<void>> tasks;
    for (ShardId shard = 0; shard < 2; ++shard) {
        tasks.push_back(handle.spawn_pinned(shard, [&] {
            blocked.arrive();
            release.wait();
        }));
    }
    blocked.wait();
    EXPECT_EQ(handle.stats_snapshot().tasks_live, 2U);
    for (int i = 0; i < 10; ++i) {
        tasks.push_back(handle.spawn_pinned(0, [] {}));
        tasks.push_back(handle.spawn_stealable_on(1, [] {}));
    }
    const auto stalled = handle.stats_snapshot();
    EXPECT_EQ(stalled.tasks_live, 22U);
    EXPECT_EQ(stalled.shard_command_depths, (std::vector<std::uint64_t>{10, 10}));
    release.set();
    for (auto& task : tasks) {
        task.get();
    }
    const auto rest = stats_when(handle, [](const auto& s) {
        return s.tasks_live == 0 && s.shard_command_depths == std::vector<std::uint64_t>{0, 0};
    });
    EXPECT_EQ(rest.pending_native_ops, 0U);
}

TEST_P(Statistics, TasksLiveCountsSuspendedTasksUntilTheirFrameIsGone) {
    auto one = runtime(1);
    const auto handle = one.handle();
    std::vector<JoinHandle<void>> sleepers;
    for (int i = 0; i < 5; ++i) {
        sleepers.push_back(
            handle.spawn_pinned(0, []() -> Task<> { static_cast<void>(co_await sleep_for(std::chrono::hours(1))); }));
    }
    finish_step(handle, 0);
    EXPECT_EQ(stats_when(handle, [](const auto& s) { return s.tasks_live == 5; }).tasks_live, 5U);
    for (auto& sleeper : sleepers) {
        sleeper.request_stop();
        sleeper.get();
    }
    // The handles are kept, the frames are not.
    EXPECT_EQ(stats_when(handle, [](const auto& s) { return s.tasks_live == 0; }).tasks_live, 0U);
}

TEST_P(Statistics, AnExceptionAndADetachedTaskEndToo) {
    auto one = builder(1).on_unhandled_exception([](const std::exception_ptr&) {}).build();
    const auto handle = one.handle();
    for (int i = 0; i < 10; ++i) {
        handle.spawn_pinned(0, [] { throw std::runtime_error("unhandled"); }).detach();
        handle.spawn_stealable([] { throw std::runtime_error("unhandled"); }).detach();
    }
    const auto stats = stats_when(handle, [](const auto& s) { return s.tasks_live == 0; });
    EXPECT_EQ(stats.spawn_pinned_submitted + stats.spawn_stealable_submitted, 20U);
}

TEST_P(Statistics, StolenWorkIsCounted) {
    auto two = runtime(2);
    const auto handle = two.handle();
    auto spawner = handle.spawn_pinned(0, [&] {
        Latch ran(20);
        for (int i = 0; i < 20; ++i) {
            handle.spawn_stealable([&] { ran.arrive(); }).detach();
        }
        ran.wait();  // This shard runs none of them.
    });
    spawner.get();
    const auto stats = stats_when(handle, [](const auto& s) { return s.stealable_executed == 20; });
    EXPECT_GE(stats.stealable_stolen, 1U);
    EXPECT_LE(stats.stealable_stolen, 20U);
    EXPECT_GE(stats.steal_successes, 1U);
    EXPECT_LE(stats.steal_successes, stats.steal_attempts);
    EXPECT_LE(stats.steal_successes, stats.stealable_stolen);
}

// Whatever a thief finds: what the busy shard has spawned itself, or what came to it from outside.
TEST_P(Statistics, AStealTakesAsManyAsTheBudgetAllowsAtMost) {
    constexpr unsigned kTasks = 200;
    for (const std::size_t budget : {1U, 3U}) {
        for (const bool from_outside : {false, true}) {
            auto two = builder(2).steal_budget(budget).build();
            const auto handle = two.handle();
            Latch ran(kTasks);
            const auto spawn_all = [&] {
                for (unsigned i = 0; i < kTasks; ++i) {
                    handle.spawn_stealable_on(0, [&] { ran.arrive(); }).detach();
                }
                ran.wait();  // Shard 0 runs none of them.
            };
            if (from_outside) {
                const StalledShard busy(handle, 0);
                spawn_all();
            } else {
                handle.spawn_pinned(0, spawn_all).get();
            }
            const auto stats = stats_when(handle, [](const auto& s) { return s.stealable_executed == kTasks; });
            EXPECT_EQ(stats.stealable_stolen, kTasks);
            EXPECT_LE(stats.stealable_stolen, budget * stats.steal_successes);
            EXPECT_GE(stats.stealable_stolen, stats.steal_successes);  // So as many, where one is taken at a time.
        }
    }
}

// With one thief and nobody else to take any: four of eight, two of four, one, one.
TEST_P(Statistics, AStealTakesHalfOfWhatWaits) {
    for (const bool from_outside : {false, true}) {
        auto two = runtime(2);
        const auto handle = two.handle();
        Latch ran(8);
        StalledShard thief(handle, 1);
        Event spawned;
        auto busy = handle.spawn_pinned(0, [&] {
            for (int i = 0; !from_outside && i < 8; ++i) {
                handle.spawn_stealable([&] { ran.arrive(); }).detach();
            }
            spawned.set();
            ran.wait();
        });
        spawned.wait();
        for (int i = 0; from_outside && i < 8; ++i) {
            handle.spawn_stealable_on(0, [&] { ran.arrive(); }).detach();
        }
        thief.release();
        busy.get();
        const auto stats = stats_when(handle, [](const auto& s) { return s.stealable_executed == 8; });
        EXPECT_EQ(stats.stealable_stolen, 8U);
        EXPECT_EQ(stats.steal_successes, 4U) << (from_outside ? "from outside" : "of its own");
    }
}

TEST_P(Statistics, ASleepingShardParksAndIsWokenByABell) {
    auto two = builder(2).idle_spin(std::chrono::microseconds(0)).build();
    const auto handle = two.handle();
    for (int i = 0; i < 20; ++i) {
        const auto before = handle.stats_snapshot();
        finish_step(handle, 0);
        // It has nothing to do now: it parks.
        static_cast<void>(stats_when(handle, [&](const auto& s) { return s.parks > before.parks; }));
    }
    const auto stats = handle.stats_snapshot();
    EXPECT_GE(stats.doorbells_rung, 1U);
    EXPECT_EQ(stats.late_wakes, 0U);
    EXPECT_EQ(stats.native_affinity_violations, 0U);
}

TEST_P(Statistics, TotalsNeverGoDownAndSnapshotsAreCheapUnderLoad) {
    auto two = runtime(2);
    const auto handle = two.handle();
    std::atomic<bool> stop{false};
    std::vector<JoinHandle<void>> spawners;
    for (ShardId shard = 0; shard < 2; ++shard) {
        spawners.push_back(handle.spawn_pinned(shard, [&]() -> Task<> {
            while (!stop.load()) {
                auto child = handle.spawn_stealable([] {});
                auto local = ShardCtx::current()->spawn_local([] {});
                co_await std::move(child);
                co_await std::move(local);
            }
        }));
    }
    auto last = handle.stats_snapshot();
    for (int i = 0; i < 1000; ++i) {
        const auto now = handle.stats_snapshot();
        EXPECT_GE(now.spawn_pinned_submitted, last.spawn_pinned_submitted);
        EXPECT_GE(now.spawn_stealable_submitted, last.spawn_stealable_submitted);
        EXPECT_GE(now.stealable_executed, last.stealable_executed);
        EXPECT_GE(now.stealable_stolen, last.stealable_stolen);
        EXPECT_GE(now.doorbells_rung, last.doorbells_rung);
        EXPECT_GE(now.parks, last.parks);
        EXPECT_LT(now.tasks_live, 1000U) << "a gauge that wrapped";
        last = now;
    }
    stop.store(true);
    for (auto& spawner : spawners) {
        spawner.get();
    }
    static_cast<void>(stats_when(handle, [](const auto& s) { return s.tasks_live == 0; }));
}

TEST_P(Statistics, AfterTheShutdownEverythingIsAtRest) {
    Event never;
    auto two = runtime(2);
    const auto handle = two.handle();
    for (int i = 0; i < 20; ++i) {
        handle.spawn_round_robin([&]() -> Task<> { co_await never.async_wait(); }).detach();
        handle.spawn_stealable([&]() -> Task<> { co_await never.async_wait(); }).detach();
    }
    two.shutdown();
    const auto stats = handle.stats_snapshot();
    EXPECT_EQ(stats.tasks_live, 0U);
    EXPECT_EQ(stats.pending_native_ops, 0U);
    EXPECT_EQ(stats.ring_msgs_submitted, stats.ring_msgs_completed + stats.ring_msgs_failed);
    EXPECT_EQ(std::accumulate(stats.shard_command_depths.begin(), stats.shard_command_depths.end(), std::uint64_t{0}),
              0U);
}

TEST_P(Statistics, TheTextFormsShowTheNumbers) {
    auto one = runtime(1);
    one.handle().spawn_pinned(0, [] {}).get();
    const auto stats = stats_when(one.handle(), [](const auto& s) { return s.tasks_live == 0; });
    EXPECT_THAT(to_string(stats), HasSubstr("spawn_pinned_submitted=1"));
    EXPECT_THAT(to_prometheus(stats), HasSubstr("spargio_spawn_pinned_submitted_total 1\n"));
}

}  // namespace
}  // namespace spargio::test
