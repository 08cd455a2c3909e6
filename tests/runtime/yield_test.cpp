// SPDX-License-Identifier: MIT
// yield: everybody on the shard has a turn, and so has what comes from outside.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

class Yield : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(Yield);

TEST_P(Yield, PinnedTasksTakeTurns) {
    auto one = runtime(1);
    constexpr std::size_t kTasks = 5;
    constexpr std::size_t kTurns = 200;
    std::vector<std::size_t> order;
    one.block_on([&]() -> Task<> {
        std::vector<JoinHandle<void>> tasks;
        for (std::size_t task = 0; task < kTasks; ++task) {
            tasks.push_back(ShardCtx::current()->spawn_local([&order, task]() -> Task<> {
                for (std::size_t turn = 0; turn < kTurns; ++turn) {
                    order.push_back(task);
                    co_await yield();
                }
            }));
        }
        for (auto& task : tasks) {
            co_await std::move(task);
        }
    });
    ASSERT_EQ(order.size(), kTasks * kTurns);
    for (std::size_t i = 0; i < order.size(); ++i) {
        ASSERT_EQ(order[i], i % kTasks) << "turn " << i;
    }
}

// Stealable and pinned tasks of one shard share it: none waits for ever for the other kind.
TEST_P(Yield, StealableAndPinnedTasksShareAShard) {
    auto one = runtime(1);
    std::atomic<bool> stop{false};
    std::vector<std::atomic<std::uint64_t>> turns(6);
    one.block_on([&]() -> Task<> {
        const auto handle = ShardCtx::current()->handle();
        std::vector<JoinHandle<void>> tasks;
        for (std::size_t task = 0; task < turns.size(); ++task) {
            const auto body = [&, task]() -> Task<> {
                while (!stop.load(std::memory_order_relaxed)) {
                    if (turns[task].fetch_add(1, std::memory_order_relaxed) == 2000) {
                        const bool all = std::all_of(turns.begin(), turns.end(), [](auto& t) { return t.load() > 50; });
                        EXPECT_TRUE(all) << "somebody had no turn in 2,000 of another's";
                        stop.store(true);
                    }
                    co_await yield();
                }
            };
            tasks.push_back(task % 2 == 0 ? handle.spawn_pinned(0, body) : handle.spawn_stealable(body));
        }
        for (auto& task : tasks) {
            co_await std::move(task);
        }
    });
}

TEST_P(Yield, AYieldIsNoJoinAndNoStop) {
    auto one = runtime(1);
    auto task = one.handle().spawn_pinned(0, []() -> Task<int> {
        int turns = 0;
        const auto token = co_await this_task::stop_token();
        while (!token.stop_requested()) {
            co_await yield();
        }
        // Stopped: a yield still is a yield.
        for (; turns < 10; ++turns) {
            co_await yield();
        }
        co_return turns;
    });
    task.request_stop();
    EXPECT_EQ(task.get(), 10);
}

TEST_P(Yield, OfTheOnlyTaskReturns) {
    auto one = runtime(1);
    EXPECT_EQ(one.block_on([]() -> Task<int> {
        int turns = 0;
        for (; turns < 100'000; ++turns) {
            co_await yield();
        }
        co_return turns;
    }),
              100'000);
}

TEST_P(Yield, InAnAwaitedTaskLetsOthersRun) {
    auto one = runtime(1);
    one.block_on([]() -> Task<> {
        bool ran = false;
        auto other = ShardCtx::current()->spawn_local([&] { ran = true; });
        auto inner = []() -> Task<> { co_await yield(); }();
        co_await std::move(inner);
        EXPECT_TRUE(ran);
        co_await std::move(other);
    });
}

TEST_P(Yield, TimersFireWhileTasksYield) {
    VirtualClock clock;
    auto one = runtime(1);
    std::atomic<bool> stop{false};
    auto yielder = one.handle().spawn_pinned(0, [&]() -> Task<> {
        while (!stop.load()) {
            co_await yield();
        }
    });
    auto sleeper = one.handle().spawn_pinned(0, []() -> Task<> { static_cast<void>(co_await sleep_for(1ms)); });
    finish_step(one.handle(), 0);
    clock.set(clock.now() + 1ms);  // Nobody tells the shard to look.
    EXPECT_TRUE(sleeper.wait_for(60s));
    stop.store(true);
    yielder.get();
}

// Measured in turns of the two tasks, not in time: another program's load does not count.
TEST_P(Yield, TwoTasksThatYieldToEachOtherDoNotDelayAForeignSpawn) {
    for (const auto place : {TaskPlacement::pinned(0), TaskPlacement::stealable()}) {
        auto one = runtime(1);
        const auto handle = one.handle();
        std::atomic<bool> stop{false};
        std::atomic<std::uint64_t> turns{0};
        std::vector<JoinHandle<void>> pair;
        for (int i = 0; i < 2; ++i) {
            pair.push_back(handle.spawn_with_placement(place, [&]() -> Task<> {
                while (!stop.load(std::memory_order_relaxed)) {
                    turns.fetch_add(1, std::memory_order_relaxed);
                    co_await yield();
                }
            }));
        }
        for (const auto spawned : {TaskPlacement::pinned(0), TaskPlacement::stealable()}) {
            std::vector<std::uint64_t> waited;
            for (int sample = 0; sample < 31; ++sample) {
                const auto before = turns.load();
                auto task = handle.spawn_with_placement(spawned, [&] { return turns.load(); });
                waited.push_back(task.get() - before);
            }
            std::nth_element(waited.begin(), waited.begin() + 15, waited.end());
            EXPECT_LT(waited[15], 5000U);  // A turn is far below a microsecond.
        }
        stop.store(true);
        for (auto& task : pair) {
            task.get();
        }
    }
}

/// How many steps of a task that yields there are, at most, between the acceptance of a spawn and its first step.
/// `spawn` is called on another thread, with a function to spawn.
template <class Spawn>
std::uint64_t steps_before_a_spawned_one(Runtime& one, Spawn spawn) {
    std::uint64_t steps = 0;
    std::uint64_t waited = 0;
    const auto body = [&]() -> Task<> {
        for (int round = 0; round < 100; ++round) {
            for (int i = 0; i < round; ++i) {
                co_await yield();
            }
            // In the middle of a step, and this step waits for the spawn to be accepted.
            JoinHandle<std::uint64_t> spawned;
            std::thread([&] { spawned = spawn([&steps] { return steps; }); }).join();
            const std::uint64_t before = steps;
            while (!spawned.done()) {
                ++steps;
                co_await yield();
            }
            waited = std::max(waited, co_await std::move(spawned) - before);
        }
    };
    one.block_on(body());
    return waited;
}

// Where steps are long, what comes from outside does not wait for a whole turn of 64 of them.
TEST_P(Yield, WhatComesFromOutsideWaitsForAFewStepsOnly) {
    auto one = runtime(1);
    const auto handle = one.handle();
    const auto pinned = [&handle](auto f) { return handle.spawn_pinned(0, std::move(f)); };
    // The inbox is looked at after every second, and what is there goes behind who yields.
    EXPECT_LE(steps_before_a_spawned_one(one, pinned), 3U);
    const auto stealable = [&handle](auto f) { return handle.spawn_stealable(std::move(f)); };
    EXPECT_LE(steps_before_a_spawned_one(one, stealable), 3U) << "it takes turns with what is pinned";
}

}  // namespace
}  // namespace spargio::test
