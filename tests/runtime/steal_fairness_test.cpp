// SPDX-License-Identifier: MIT
// No stealable task starves, whatever its shard has to do besides. One shard: nobody else could help.
//
// Measured in steps of the others, from the moment when the spawn has returned: another program's load does not count.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

using std::chrono::microseconds;

// A few turns of the loop, of 64 items each.
constexpr std::uint64_t kFewTurns = 256;

/// Stealable tasks each of which spawns the next, until its scope ends: the newest of a deque, for ever.
class EndlessChain {
public:
    EndlessChain(RuntimeHandle runtime, microseconds step) : runtime_(std::move(runtime)), step_(step) {}
    EndlessChain(const EndlessChain&) = delete;
    EndlessChain& operator=(const EndlessChain&) = delete;
    ~EndlessChain() {
        stop_ = true;
        ended_.wait();
    }

    void spawn_next() {
        runtime_.spawn_stealable([this] { link(); }).detach();
    }
    [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }

private:
    void link() {
        ++steps_;
        if (step_.count() != 0) {
            spin_for(step_);
        }
        if (stop_) {
            ended_.set();
        } else {
            spawn_next();
        }
    }

    const RuntimeHandle runtime_;
    const microseconds step_;
    std::atomic<bool> stop_{false};
    std::atomic<std::uint64_t> steps_{0};
    Event ended_;
};

class StealFairness : public BackendTest {
protected:
    /// How many steps of the others a spawn from outside waits, at most, in a few samples.
    template <class Steps>
    std::uint64_t longest_wait(const RuntimeHandle& handle, TaskPlacement place, int samples, Steps steps) {
        std::uint64_t longest = 0;
        for (int i = 0; i < samples; ++i) {
            auto task = handle.spawn_with_placement(place, [&] { return steps(); });
            const std::uint64_t accepted = steps();
            const std::uint64_t ran = task.get();
            longest = std::max(longest, ran > accepted ? ran - accepted : 0);
            watchdog_.progress("sample " + std::to_string(i));
        }
        return longest;
    }

    Watchdog watchdog_{"a starved task", std::chrono::seconds(sanitized ? 60 : 15)};
};
SPARGIO_ON_BOTH_BACKENDS(StealFairness);

constexpr std::array from_outside{TaskPlacement::pinned(0), TaskPlacement::stealable(),
                                  TaskPlacement::stealable_preferred(0)};

TEST_P(StealFairness, TwoTasksThatYieldDelayASpawnFromOutsideByAFewSteps) {
    for (const auto place : {TaskPlacement::pinned(0), TaskPlacement::stealable()}) {
        auto one = runtime(1);
        std::atomic<bool> stop{false};
        std::atomic<std::uint64_t> steps{0};
        std::vector<JoinHandle<void>> pair;
        for (int i = 0; i < 2; ++i) {
            pair.push_back(one.handle().spawn_with_placement(place, [&]() -> Task<> {
                while (!stop.load(std::memory_order_relaxed)) {
                    steps.fetch_add(1, std::memory_order_relaxed);
                    co_await yield();
                }
            }));
        }
        for (const auto spawned : from_outside) {
            EXPECT_LE(longest_wait(one.handle(), spawned, 10, [&] { return steps.load(); }), kFewTurns);
        }
        stop.store(true);
        for (auto& task : pair) {
            task.get();
        }
    }
}

TEST_P(StealFairness, ATaskThatSpawnsTheNextDelaysASpawnFromOutsideByAFewSteps) {
    auto one = runtime(1);
    EndlessChain chain(one.handle(), microseconds(0));
    chain.spawn_next();
    for (const auto spawned : from_outside) {
        EXPECT_LE(longest_wait(one.handle(), spawned, 10, [&] { return chain.steps(); }), kFewTurns);
    }
}

// A parent and its only child run one after the other, up to 33 steps for each item of a turn.
TEST_P(StealFairness, ATaskThatForksDelaysASpawnFromOutsideByAFewTurnsOfSuchChains) {
    auto one = runtime(1);
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> steps{0};
    auto forker = one.handle().spawn_stealable([&]() -> Task<> {
        const auto leaf = [&]() -> Task<> {
            ++steps;
            co_return;
        };
        while (!stop) {
            co_await fork_join(leaf());
        }
    });
    for (const auto spawned : from_outside) {
        EXPECT_LE(longest_wait(one.handle(), spawned, 10, [&] { return steps.load(); }), 33 * kFewTurns);
    }
    stop = true;
    forker.get();
}

// A turn of such steps is longer than the time after which the deque's oldest has its turn. Where they are long a few
// steps is less than a turn.
TEST_P(StealFairness, LongTasksThatSpawnTheNextDelayASpawnFromOutsideByAFewSteps) {
    for (const auto step : {microseconds(50), microseconds(1'000)}) {
        auto one = runtime(1);
        EndlessChain chain(one.handle(), step);
        chain.spawn_next();
        for (const auto spawned : from_outside) {
            EXPECT_LE(longest_wait(one.handle(), spawned, 5, [&] { return chain.steps(); }), 24U);
        }
    }
}

TEST_P(StealFairness, WhatIsOldestInTheDequeRunsWithinATurnOfLongTasks) {
    auto one = runtime(1);
    const auto handle = one.handle();
    EndlessChain chain(handle, microseconds(1'000));
    constexpr int kOld = 10;
    std::atomic<int> ran{0};
    std::array<std::uint64_t, kOld> after{};
    Event all_ran;
    auto starter = handle.spawn_pinned(0, [&] {
        for (int i = 0; i < kOld; ++i) {
            handle
                .spawn_stealable([&] {
                    const int number = ran++;
                    after.at(static_cast<std::size_t>(number)) = chain.steps();
                    if (number + 1 == kOld) {
                        all_ran.set();
                    }
                })
                .detach();
        }
        chain.spawn_next();
    });
    starter.get();
    all_ran.wait();
    // The first one waits for the turn after that in which the steps were found to be long.
    EXPECT_LE(after.back() - after.front(), kOld * 24U);
}

TEST_P(StealFairness, WhatIsOldestInTheDequeRunsUnderAnEndlessChain) {
    for (const auto step : {microseconds(0), microseconds(50)}) {
        auto one = runtime(1);
        const auto handle = one.handle();
        EndlessChain chain(handle, step);
        constexpr int kOld = 10;
        Latch ran(kOld);
        auto starter = handle.spawn_pinned(0, [&] {
            for (int i = 0; i < kOld; ++i) {
                handle.spawn_stealable([&] { ran.arrive(); }).detach();
            }
            chain.spawn_next();  // The newest from now on.
        });
        starter.get();
        ran.wait();
        EXPECT_GE(chain.steps(), 1U);
    }
}

// What a task has woken is the newest, too.
TEST_P(StealFairness, WhatIsOldestInTheDequeRunsWhileTwoTasksWakeEachOther) {
    auto one = runtime(1);
    const auto handle = one.handle();
    std::atomic<bool> ran{false};
    auto starter = handle.spawn_stealable([&]() -> Task<> {
        auto old = handle.spawn_stealable([&] { ran = true; });
        while (!ran) {
            auto child = handle.spawn_stealable([] {});
            co_await std::move(child);
        }
        co_await std::move(old);
    });
    starter.get();
}

// The shared queue is first come first served, also where the deque has no room for what is taken out of it.
TEST_P(StealFairness, WhatOverflowedHasItsTurnWhileMoreOverflows) {
    auto one = builder(1).stealable_queue_capacity(1).build();
    const auto handle = one.handle();
    constexpr int kPatience = 1'000;
    EndlessChain chain(handle, microseconds(0));
    std::atomic<int> others{0};
    std::atomic<bool> ran{false};
    struct Other {
        static void spawn(const RuntimeHandle& runtime, std::atomic<int>& count, std::atomic<bool>& stop) {
            runtime
                .spawn_stealable([&runtime, &count, &stop] {
                    if (!stop && ++count < kPatience) {
                        spawn(runtime, count, stop);
                    }
                })
                .detach();
        }
    };
    auto starter = handle.spawn_pinned(0, [&] {
        chain.spawn_next();  // Fills the deque.
        Other::spawn(handle, others, ran);
        handle.spawn_stealable([&] { ran = true; }).detach();
        Other::spawn(handle, others, ran);
    });
    starter.get();
    while (!ran.load() && others < kPatience) {
        std::this_thread::yield();
    }
    EXPECT_LT(others, 100) << "it came second";
    while (handle.stats_snapshot().tasks_live > 1) {  // The chain's.
        std::this_thread::yield();
    }
}

// All at once: every kind of work makes progress, and so does what comes from outside.
TEST_P(StealFairness, EveryKindOfWorkHasItsTurn) {
    for (const std::size_t capacity : {1U, 16U, 65'536U}) {
        auto one = builder(1).stealable_queue_capacity(capacity).build();
        const auto handle = one.handle();
        std::atomic<bool> stop{false};
        std::array<std::atomic<std::uint64_t>, 4> steps{};
        EndlessChain chain(handle, microseconds(0));
        const auto yielder = [&](std::size_t kind) -> Task<> {
            while (!stop) {
                ++steps.at(kind);
                co_await yield();
            }
        };
        const auto forker = [&]() -> Task<> {
            const auto leaf = []() -> Task<> { co_return; };
            while (!stop) {
                ++steps.at(2);
                co_await fork_join(leaf(), leaf(), leaf());
            }
        };
        const auto sleeper = [&]() -> Task<> {
            while (!stop) {
                ++steps.at(3);
                static_cast<void>(co_await sleep_for(microseconds(10)));
            }
        };
        std::vector<JoinHandle<void>> tasks;
        auto starter = handle.spawn_pinned(0, [&] {
            chain.spawn_next();
            tasks.push_back(handle.spawn_pinned(0, yielder(0)));
            tasks.push_back(handle.spawn_stealable(yielder(1)));
            tasks.push_back(handle.spawn_stealable(forker()));
            tasks.push_back(handle.spawn_stealable(sleeper()));
        });
        starter.get();
        while (std::any_of(steps.begin(), steps.end(), [](const auto& count) { return count < 200; })) {
            std::this_thread::yield();
        }
        EXPECT_TRUE(handle.spawn_pinned(0, [] {}).wait_for(std::chrono::seconds(60)));
        watchdog_.progress("capacity " + std::to_string(capacity));
        stop = true;
        for (auto& task : tasks) {
            task.get();
        }
    }
}

}  // namespace
}  // namespace spargio::test
