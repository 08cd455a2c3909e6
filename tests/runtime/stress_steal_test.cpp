// SPDX-License-Identifier: MIT
// Stealable tasks of every make on shards of every number: each runs once, none is lost.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/stress.hpp"
#include "support/suspend_delays.hpp"

namespace spargio::test {
namespace {

/// How often each task ran. A task has a number; its number decides what it does.
class Register {
public:
    explicit Register(std::size_t tasks) : runs_(tasks) {}

    /// The first of `count` new numbers; nothing when there are not as many left, which then are nobody's.
    [[nodiscard]] std::optional<std::size_t> open(std::size_t count) {
        const auto first = next_.fetch_add(count);
        if (first + count <= runs_.size()) {
            return first;
        }
        for (auto task = first; task < runs_.size(); ++task) {
            runs_[task] += kLeftOver;
        }
        return std::nullopt;
    }
    void ran(std::size_t task) { ++runs_[task]; }
    /// It must not run.
    void refused(std::size_t task) { runs_[task] += kRefused; }

    [[nodiscard]] std::size_t size() const { return runs_.size(); }
    [[nodiscard]] std::size_t count(int runs) const {
        std::size_t sum = 0;
        for (const auto& task : runs_) {
            sum += task == runs ? 1 : 0;
        }
        return sum;
    }

    static constexpr std::uint8_t kLeftOver = 64;
    static constexpr std::uint8_t kRefused = 128;

private:
    std::vector<std::atomic<std::uint8_t>> runs_;
    std::atomic<std::size_t> next_{0};
};

struct StealWorld {
    RuntimeHandle runtime;
    Register tasks;
    std::uint64_t seed;
    ShardId shards;
    bool naps;
};

Task<> some_task(StealWorld& world, std::size_t number, unsigned depth);

void spawn_some(StealWorld& world, Random& random, unsigned depth) {
    const auto count = 1 + random.below(8);
    const auto first = world.tasks.open(count);
    for (std::uint32_t i = 0; first && i < count; ++i) {
        const auto place = random.one_in(4)
                               ? TaskPlacement::stealable_preferred(static_cast<ShardId>(random.below(world.shards)))
                               : TaskPlacement::stealable();
        world.runtime.spawn_with_placement(place, some_task(world, *first + i, depth + 1)).detach();
    }
}

Task<> fork_some(StealWorld& world, std::uint32_t count, unsigned depth) {
    const auto first = world.tasks.open(count);
    if (!first) {
        co_return;
    }
    if (count == 2) {
        co_await fork_join(some_task(world, *first, depth + 1), some_task(world, *first + 1, depth + 1));
        co_return;
    }
    // 32 at most: more would have tasks of their own between them and this one.
    auto child = [&world, &first, depth](std::size_t i) { return some_task(world, *first + i, depth + 1); };
    co_await spawn_many(count, std::move(child));
}

Task<> some_task(StealWorld& world, std::size_t number, unsigned depth) {
    world.tasks.ran(number);
    Random random(world.seed + number);
    const unsigned actions = depth < 6 ? random.below(4) : 0;
    for (unsigned i = 0; i < actions; ++i) {
        switch (random.below(7)) {
        case 0:
            co_await yield();
            break;
        case 1:
            static_cast<void>(co_await resume_on(static_cast<ShardId>(random.below(world.shards))));
            break;
        case 2:
            co_await fork_some(world, 2, depth);
            break;
        case 3:
            co_await fork_some(world, 3 + random.below(30), depth);
            break;
        case 4:
            if (const auto child = world.tasks.open(1)) {
                auto handle = world.runtime.spawn_stealable(some_task(world, *child, depth + 1));
                static_cast<void>(co_await handle.join());
            }
            break;
        case 5:
            if (world.naps && random.one_in(8)) {
                static_cast<void>(co_await sleep_for(std::chrono::microseconds(random.below(50))));
            }
            break;
        default:
            spawn_some(world, random, depth);
            break;
        }
    }
}

/// A foreign thread: until there are no numbers left. Returns how many spawns were refused.
std::size_t spawn_from_outside(StealWorld& world, std::uint64_t seed) {
    Random random(seed);
    std::size_t refused = 0;
    while (const auto number = world.tasks.open(1)) {
        auto handle = world.runtime.spawn_stealable(some_task(world, *number, 0));
        if (handle.spawn_error()) {
            EXPECT_EQ(handle.spawn_error(), RuntimeError::Overloaded);
            world.tasks.refused(*number);
            ++refused;
            std::this_thread::yield();
        } else if (random.one_in(4)) {
            handle.get();
        } else {
            handle.detach();
        }
        if (world.naps && random.one_in(16)) {
            spin_for(std::chrono::microseconds(random.below(50)));
        }
    }
    return refused;
}

class StressSteal : public BackendTest {
protected:
    void run_one(Random& random, std::size_t tasks) {
        const auto shards = 1 + random.below(8);
        const std::size_t capacity = std::size_t{1} << random.below(17);
        const auto budget = 1 + random.below(64);
        const bool naps = random.one_in(2);
        const auto shape = std::to_string(shards) + " shards, capacity " + std::to_string(capacity) + ", budget " +
                           std::to_string(budget) + (naps ? ", naps" : "");
        SCOPED_TRACE(shape);
        watchdog_.progress(shape);
        auto any = builder(shards).stealable_queue_capacity(capacity).steal_budget(budget);
        if (random.one_in(2)) {
            any.idle_spin(std::chrono::microseconds(0));
        }
        Runtime runtime = any.build();
        StealWorld world{runtime.handle(), Register(tasks), random.next(), static_cast<ShardId>(shards), naps};
        std::atomic<std::size_t> refused{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 2; ++i) {
            threads.emplace_back([&, seed = random.next()] { refused += spawn_from_outside(world, seed); });
        }
        for (auto& thread : threads) {
            thread.join();
        }
        watchdog_.progress(shape + ", all are spawned");
        while (world.runtime.stats_snapshot().tasks_live != 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        runtime.shutdown();
        check(world, refused);
    }

    static void check(const StealWorld& world, std::size_t refused) {
        const auto stats = world.runtime.stats_snapshot();
        const auto ran = world.tasks.count(1);
        EXPECT_EQ(ran + refused + world.tasks.count(Register::kLeftOver), world.tasks.size())
            << "never ran: " << world.tasks.count(0) << ", twice: " << world.tasks.count(2);
        EXPECT_EQ(world.tasks.count(Register::kRefused), refused);
        EXPECT_EQ(stats.spawn_stealable_submitted, ran) << to_string(stats);
        EXPECT_EQ(stats.stealable_executed, ran) << to_string(stats);
        EXPECT_EQ(stats.tasks_live, 0U);
        EXPECT_EQ(stats.late_wakes, 0U) << to_string(stats);
        std::printf("%zu ran, %zu refused, %llu stolen in %llu steals, %llu bells, %llu parks\n", ran, refused,
                    static_cast<unsigned long long>(stats.stealable_stolen),
                    static_cast<unsigned long long>(stats.steal_successes),
                    static_cast<unsigned long long>(stats.doorbells_rung),
                    static_cast<unsigned long long>(stats.parks));
    }

    const SuspendDelays delays_;
    Watchdog watchdog_{"stealable tasks"};
};
SPARGIO_ON_BOTH_BACKENDS(StressSteal);

TEST_P(StressSteal, EachTaskRunsOnceOrIsRefused) {
    Random random(stress_seed());
    for (unsigned i = 0; i < scaled(4, 3) && !HasFailure(); ++i) {
        run_one(random, sanitized ? 20'000 : 250'000);
    }
}

}  // namespace
}  // namespace spargio::test
