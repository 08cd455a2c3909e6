// SPDX-License-Identifier: MIT
// Shards that fall asleep all the time, and wakers that come at every moment of it: no wake is lost, none is late.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/stress.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

using std::chrono::microseconds;

class StressPark : public BackendTest {
protected:
    static Runtime sleepy(std::size_t shards) { return builder(shards).idle_spin(microseconds(0)).build(); }

    /// No wake was lost, and the test was about sleeping shards.
    static void expect_all_on_time(const Runtime& runtime, std::uint64_t least_parks) {
        const RuntimeStats stats = runtime.handle().stats_snapshot();
        EXPECT_EQ(stats.late_wakes, 0U) << to_string(stats);
        EXPECT_GE(stats.parks, least_parks) << to_string(stats);
    }

    Watchdog watchdog_{"park"};
};

TEST_P(StressPark, ForeignSpawnsIntoShardsThatFallAsleep) {
    const unsigned rounds = scaled(10'000, 1'000);
    const Runtime runtime = sleepy(2);
    EXPECT_EQ(spawn_from_outside(runtime.handle(), 4, rounds, watchdog_), 4U * rounds);
    expect_all_on_time(runtime, rounds);
}

TEST_P(StressPark, ForeignStealableSpawnsIntoShardsThatFallAsleep) {
    const unsigned rounds = scaled(10'000, 1'000);
    const Runtime runtime = sleepy(3);
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            Random random(stress_seed() + i);
            for (unsigned round = 0; round < rounds; ++round) {
                auto handle = random.one_in(2) ? runtime.handle().spawn_stealable([] { return 1; })
                                               : runtime.handle().spawn_stealable_on(
                                                     static_cast<ShardId>(random.below(3)), [] { return 1; });
                EXPECT_EQ(handle.get(), 1);
                spin_for(microseconds(random.below(30)));
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
        watchdog_.progress("a thread has ended");
    }
    expect_all_on_time(runtime, rounds);
}

TEST_P(StressPark, ShardsWakeEachOther) {
    const unsigned rounds = scaled(100'000, 10'000);
    const Runtime runtime = sleepy(2);
    // Each round wakes shard 1 with a spawn and shard 0 with its end.
    EXPECT_EQ(runtime.handle().spawn_pinned(0, call_each_round(runtime.handle(), 1, rounds)).get(), rounds);
    expect_all_on_time(runtime, rounds);
}

TEST_P(StressPark, ShardsWakeEachOtherInARing) {
    const unsigned rounds = scaled(30'000, 3'000);
    const Runtime runtime = sleepy(3);
    std::vector<JoinHandle<unsigned>> callers;
    for (unsigned shard = 0; shard < 3; ++shard) {
        const auto next = static_cast<ShardId>((shard + 1) % 3);
        callers.push_back(runtime.handle().spawn_pinned(static_cast<ShardId>(shard),
                                                        call_each_round(runtime.handle(), next, rounds)));
    }
    for (auto& caller : callers) {
        EXPECT_EQ(caller.get(), rounds);
        watchdog_.progress("a caller has ended");
    }
    expect_all_on_time(runtime, 1);
}

TEST_P(StressPark, TwoRuntimesWakeEachOther) {
    const unsigned rounds = scaled(20'000, 2'000);
    const Runtime here = sleepy(1);
    const Runtime there = sleepy(1);
    EXPECT_EQ(here.handle().spawn_pinned(0, call_each_round(there.handle(), 0, rounds)).get(), rounds);
    expect_all_on_time(here, 1);
    expect_all_on_time(there, 1);
}

TEST_P(StressPark, ResumeOnWakesTheShardItGoesTo) {
    const unsigned rounds = scaled(30'000, 3'000);
    const Runtime runtime = sleepy(2);
    auto wander = [rounds]() -> Task<unsigned> {
        unsigned arrived = 0;
        for (unsigned round = 0; round < rounds; ++round) {
            const auto target = static_cast<ShardId>(round % 2);
            const Result<void> moved = co_await resume_on(target);
            arrived += moved && shard_here() == target ? 1U : 0U;
        }
        co_return arrived;
    };
    EXPECT_EQ(runtime.handle().spawn_stealable(std::move(wander)).get(), rounds);
    expect_all_on_time(runtime, rounds / 2);
}

TEST_P(StressPark, TimersAndStopsMeetTheEndOfASleep) {
    const unsigned rounds = scaled(5'000, 500);
    const Runtime runtime = sleepy(2);
    std::vector<std::thread> threads;
    std::atomic<unsigned> ended{0};
    for (unsigned i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            Random random(stress_seed() + 100 + i);
            for (unsigned round = 0; round < rounds; ++round) {
                const auto span = microseconds(random.below(100));
                auto nap = [span]() -> Task<bool> {
                    const Result<void> slept = co_await sleep_for(span);
                    co_return slept || slept.error() == std::errc::operation_canceled;
                };
                auto handle = random.one_in(2) ? runtime.handle().spawn_stealable(std::move(nap))
                                               : runtime.handle().spawn_round_robin(std::move(nap));
                spin_for(microseconds(random.below(150)));
                handle.request_stop();
                ended += handle.get() ? 1U : 0U;
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
        watchdog_.progress("a thread has ended");
    }
    EXPECT_EQ(ended, 4 * rounds);
    expect_all_on_time(runtime, rounds / 2);
}

SPARGIO_ON_BOTH_BACKENDS(StressPark);

}  // namespace
}  // namespace spargio::test
