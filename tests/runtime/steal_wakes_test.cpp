// SPDX-License-Identifier: MIT
// How many shards stealable work wakes: one for a spawn, at most, and none while one is looking.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "scheduler.hpp"
#include "shard.hpp"
#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/process_gauges.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

constexpr ShardId kSleepers = 4;

class StealWakes : public BackendTest {
protected:
    static Runtime sleepy() { return builder(kSleepers).idle_spin(std::chrono::microseconds(0)).build(); }

    /// Puts one shard after the other to sleep, with one bell each at most. Between two safety time-outs they then all
    /// sleep.
    static void put_all_to_sleep(const RuntimeHandle& runtime) {
        for (ShardId shard = 0; shard < kSleepers; ++shard) {
            const auto parks = runtime.stats_snapshot().parks;
            finish_step(runtime, shard);
            const auto limit = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
            while (runtime.stats_snapshot().parks == parks && std::chrono::steady_clock::now() < limit) {
                std::this_thread::yield();
            }
        }
    }

    /// The bells that `spawn` rings, and whoever wakes by them, until all sleep again; the sum of some rounds.
    std::uint64_t bells(const RuntimeHandle& runtime, std::uint64_t rounds, const std::function<void()>& spawn) {
        std::uint64_t sum = 0;
        for (std::uint64_t round = 0; round < rounds; ++round) {
            put_all_to_sleep(runtime);
            const auto before = runtime.stats_snapshot().doorbells_rung;
            spawn();
            put_all_to_sleep(runtime);
            const auto rung = runtime.stats_snapshot().doorbells_rung - before;
            sum += rung > kSleepers ? rung - kSleepers : 0;  // Each shard's own, for falling asleep again.
        }
        watchdog_.progress("some rounds");
        return sum;
    }

    static constexpr std::uint64_t kRounds = sanitized ? 30 : 100;
    // A shard that its safety time-out has woken may see what another was woken for, and pass that on.
    static constexpr std::uint64_t kStrays = kRounds / (sanitized ? 3 : 10);
    Watchdog watchdog_{"wakes"};
};
SPARGIO_ON_BOTH_BACKENDS(StealWakes);

TEST_P(StealWakes, ASpawnFromOutsideWakesOneShard) {
    const auto four = sleepy();
    const auto handle = four.handle();
    const NoLateWakes all_woken(handle);
    const auto rung = bells(handle, kRounds, [&] { handle.spawn_stealable([] {}).get(); });
    EXPECT_LE(rung, kRounds + kStrays);
    EXPECT_GE(rung, 1U) << "nobody slept";
    const auto preferred = bells(handle, kRounds, [&] { handle.spawn_stealable_on(2, [] {}).get(); });
    EXPECT_LE(preferred, kRounds + kStrays);
}

TEST_P(StealWakes, ASpawnOfATaskWakesOneShard) {
    const auto four = sleepy();
    const auto handle = four.handle();
    const NoLateWakes all_woken(handle);
    const auto rung = bells(handle, kRounds, [&] {
        // One bell for the task that spawns, and one for what it spawns, which waits for a thief.
        auto spawner = handle.spawn_pinned(1, [&] {
            Event ran;
            handle.spawn_stealable([&] { ran.set(); }).detach();
            ran.wait();
        });
        spawner.get();
    });
    EXPECT_LE(rung, 2 * kRounds + kStrays);
    EXPECT_GE(rung, 1U) << "nobody slept";
}

TEST_P(StealWakes, AForkWakesOneShardForEachChildAtMost) {
    const auto four = sleepy();
    const auto handle = four.handle();
    const NoLateWakes all_woken(handle);
    const auto rung = bells(handle, kRounds, [&] {
        // Stealable: it goes on where its last child has ended, without a bell.
        auto parent = handle.spawn_stealable_on(1, []() -> Task<> {
            Event ran;
            const auto first = [&ran]() -> Task<> {
                ran.wait();
                co_return;
            };
            const auto second = [&ran]() -> Task<> {
                ran.set();
                co_return;
            };
            co_await fork_join(first(), second());
        });
        parent.get();
    });
    EXPECT_LE(rung, 2 * kRounds + kStrays);
}

// Shard 1 is held in a step and says that it searches; the others sleep, but for the one that spawns. Who wakes
// meanwhile, for a safety time-out, may look for work: then once more.
TEST_P(StealWakes, NobodyIsWokenWhileAShardSearches) {
    const auto four = sleepy();
    const auto handle = four.handle();
    const NoLateWakes all_woken(handle);
    const auto& shards = handle.spawn_pinned(1, [] { return detail::current_shard(); }).get()->runtime().shards;
    const auto others_sleep = [&] {
        return shards[0]->park_state.is_parked() && shards[2]->park_state.is_parked() &&
               shards[3]->park_state.is_parked();
    };
    const auto parks = [&] { return handle.stats_snapshot().parks; };
    Event searching;
    Event done;
    auto searcher = handle.spawn_pinned(1, [&] {
        detail::Shard& shard = *detail::current_shard();
        shard.runtime().searching.store(true);
        shard.attention.store(detail::Attention::Search);
        searching.set();
        done.wait();
        shard.attention.store(detail::Attention::Work);
        shard.runtime().searching.store(false);
    });
    searching.wait();
    const auto bells_rung = [&] { return handle.stats_snapshot().doorbells_rung; };
    auto before = bells_rung();
    std::vector<JoinHandle<>> tasks;
    for (bool slept = false; !slept;) {
        while (!others_sleep()) {
            std::this_thread::yield();
        }
        const auto parked = parks();
        before = bells_rung();
        const auto waiting = handle.stats_snapshot().shard_command_depths;
        tasks.push_back(handle.spawn_stealable([] {}));
        const auto rung = bells_rung();
        const auto depths = handle.stats_snapshot().shard_command_depths;
        slept = others_sleep() && parks() == parked;
        if (slept) {
            EXPECT_EQ(rung, before) << "by a spawn from outside";
            EXPECT_EQ(depths, (std::vector<std::uint64_t>{0, waiting[1] + 1, 0, 0}));
        }
    }
    auto spawner = handle.spawn_pinned(0, [&] {
        before = bells_rung();
        tasks.push_back(handle.spawn_stealable([] {}));
        EXPECT_EQ(bells_rung(), before) << "by a spawn of a task";
    });
    spawner.get();
    done.set();
    searcher.get();
    for (auto& task : tasks) {
        task.get();
    }
}

// Shard 1 is held in a step and says that it searches: it will look at every queue. So another one that has nothing to
// do sleeps without a look of its own. (One whose sleep has just ended for whatever reason looks once more: not in each
// round.)
TEST_P(StealWakes, NobodyElseLooksForWorkWhileAShardSearches) {
    const auto four = sleepy();
    const auto handle = four.handle();
    StalledShard searcher(handle, 1);
    detail::Shard& idle = *handle.spawn_pinned(2, [] { return detail::current_shard(); }).get();
    detail::RuntimeCore& core = idle.runtime();
    std::vector<JoinHandle<>> tasks;
    unsigned asleep_without_a_look = 0;
    for (int round = 0; round < 20; ++round) {
        core.searching.store(true);
        tasks.push_back(handle.spawn_stealable_on(1, [] {}));
        std::uint64_t parks = 0;
        std::uint64_t looks = 0;
        auto step = handle.spawn_pinned(2, [&] {
            parks = idle.counters.parks.get();
            looks = idle.counters.steal_attempts.get();
        });
        step.get();
        while (idle.counters.parks.get() == parks) {
            std::this_thread::yield();
        }
        asleep_without_a_look += idle.counters.steal_attempts.get() == looks ? 1 : 0;
    }
    EXPECT_GT(asleep_without_a_look, 0U);
    core.searching.store(false);
    searcher.release();
    for (auto& task : tasks) {
        task.get();
    }
}

// A task that yields, or is alone where it was woken, needs nobody.
TEST_P(StealWakes, ALoneTaskThatGoesOnWhereItIsWakesNobody) {
    const auto four = sleepy();
    const auto handle = four.handle();
    const NoLateWakes all_woken(handle);
    const auto rung = bells(handle, kRounds, [&] {
        auto alone = handle.spawn_stealable([]() -> Task<> {
            for (int i = 0; i < 20; ++i) {
                co_await yield();
            }
            static_cast<void>(co_await sleep_for(std::chrono::microseconds(1)));
        });
        alone.get();
    });
    EXPECT_LE(rung, kRounds + kStrays);
}

// For the eye: context switches of the whole process per task, where all shards work.
class StealTimings : public StealWakes {
protected:
    void switches_per_task(const char* what, std::uint64_t tasks, const std::function<void(const Runtime&)>& work) {
        const auto four = runtime(kSleepers);
        const auto before = context_switches();
        work(four);
        const auto each = static_cast<double>(context_switches() - before) / static_cast<double>(tasks);
        const auto stats = four.handle().stats_snapshot();
        std::printf("%s: %.4f context switches, %.4f bells, %.4f parks a task\n", what, each,
                    static_cast<double>(stats.doorbells_rung) / static_cast<double>(tasks),
                    static_cast<double>(stats.parks) / static_cast<double>(tasks));
        RecordProperty(what, std::to_string(each));
        EXPECT_LE(stats.doorbells_rung, 2 * tasks);
        EXPECT_EQ(stats.late_wakes, 0U);
    }
};
SPARGIO_ON_BOTH_BACKENDS(StealTimings);

Task<std::uint64_t> tree(unsigned depth) {
    if (depth == 0) {
        co_return 1;
    }
    const auto sums = co_await fork_join(tree(depth - 1), tree(depth - 1));
    co_return std::get<0>(sums) + std::get<1>(sums);
}

TEST_P(StealTimings, ContextSwitchesPerTask) {
    constexpr unsigned kDepth = sanitized ? 12 : 17;
    constexpr std::uint64_t kLeaves = std::uint64_t{1} << kDepth;
    switches_per_task("a tree of forks", 2 * kLeaves, [&](const Runtime& four) {
        EXPECT_EQ(four.handle().spawn_stealable(tree(kDepth)).get(), kLeaves);
    });
    switches_per_task("many spawned by one task", kLeaves, [&](const Runtime& four) {
        const auto handle = four.handle();
        Latch ran(kLeaves);
        auto spawner = handle.spawn_pinned(0, [&] {
            for (std::uint64_t i = 0; i < kLeaves; ++i) {
                handle.spawn_stealable([&] { ran.arrive(); }).detach();
            }
        });
        spawner.get();
        ran.wait();
    });
    constexpr std::uint64_t kCalls = sanitized ? 500 : 5'000;
    switches_per_task("spawned and joined from outside", kCalls, [&](const Runtime& four) {
        for (std::uint64_t i = 0; i < kCalls; ++i) {
            four.handle().spawn_stealable([] {}).get();
        }
    });
}

}  // namespace
}  // namespace spargio::test
