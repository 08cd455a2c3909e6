// SPDX-License-Identifier: MIT
// What a spawn, a join, an await and a wait allocate once a runtime is warm: nothing but frames, and those come from a
// pool.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "support/allocations.hpp"
#include "support/backend_test.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

class SpawnCost : public BackendTest {
protected:
    /// Allocations of `f` when it has run before; the least of a few runs, since the pool may grow once more.
    template <class F>
    static std::uint64_t allocations_of(F f) {
        for (int i = 0; i < 50; ++i) {
            f();
        }
        std::uint64_t least = ~std::uint64_t{0};
        for (int i = 0; i < 20; ++i) {
            const auto before = allocations();
            f();
            least = std::min(least, allocations() - before);
        }
        return least;
    }
};
SPARGIO_ON_BOTH_BACKENDS(SpawnCost);

Task<int> ready(int number) {
    co_return number;
}

TEST_P(SpawnCost, TheCounterWorks) {
    const auto before = allocations();
    const auto number = std::make_unique<int>(1);
    const int* volatile seen = number.get();  // Or a compiler may do without the allocation.
    EXPECT_EQ(*seen, 1);
    if (allocations_are_counted) {  // Not under a sanitizer; there these tests are about memory errors only.
        EXPECT_GE(allocations() - before, 1U);
    }
}

TEST_P(SpawnCost, ALocalSpawnAndItsJoin) {
    auto one = runtime(1);
    one.block_on([]() -> Task<> {
        std::uint64_t least = ~std::uint64_t{0};
        for (int i = 0; i < 200; ++i) {
            const auto before = allocations();
            auto child = ShardCtx::current()->spawn_local(ready(1));
            static_cast<void>(co_await std::move(child));
            auto other = ShardCtx::current()->spawn_local([] { return 2; });
            static_cast<void>(co_await other.join());
            least = std::min(least, allocations() - before);
        }
        EXPECT_EQ(least, 0U);
    });
}

/// Larger than any block that a thread keeps for its next task.
Task<int> with_a_large_frame(int number) {
    char local[4'000];
    local[0] = static_cast<char>(number);
    char* volatile kept = local;
    co_await yield();
    co_return *kept;
}

TEST_P(SpawnCost, AFrameThatIsNotThereYetIsTheOnlyAllocation) {
    auto one = runtime(1);
    one.block_on([]() -> Task<> {
        std::uint64_t least = ~std::uint64_t{0};
        for (int i = 0; i < 200; ++i) {
            const auto before = allocations();
            auto child = ShardCtx::current()->spawn_local(with_a_large_frame(1));
            static_cast<void>(co_await std::move(child));
            least = std::min(least, allocations() - before);
        }
        EXPECT_EQ(least, allocations_are_counted ? 1U : 0U);
    });
}

TEST_P(SpawnCost, TenMillionSpawnsReuseTheFramesOfTheFirst) {
    auto one = runtime(1);
    const unsigned spawns = scaled(10'000'000, 300'000);
    one.block_on([spawns]() -> Task<> {
        auto* shard = ShardCtx::current();
        std::uint64_t sum = 0;
        std::uint64_t after_the_first = 0;
        for (unsigned i = 0; i < spawns; ++i) {
            if (i == 1'000) {
                after_the_first = allocations();
            }
            auto child = shard->spawn_local(ready(1));
            sum += static_cast<std::uint64_t>(co_await std::move(child));
        }
        EXPECT_EQ(sum, spawns);
        EXPECT_LE(allocations() - after_the_first, 100U) << "what the test's own threads may need meanwhile";
    });
}

TEST_P(SpawnCost, AnAwaitedTask) {
    auto one = runtime(1);
    one.block_on([]() -> Task<> {
        std::uint64_t least = ~std::uint64_t{0};
        for (int i = 0; i < 200; ++i) {
            const auto before = allocations();
            static_cast<void>(co_await ready(i));
            least = std::min(least, allocations() - before);
        }
        EXPECT_EQ(least, 0U);
    });
}

TEST_P(SpawnCost, YieldsMovesAndStops) {
    auto two = runtime(2);
    auto task = two.handle().spawn_stealable([]() -> Task<std::uint64_t> {
        std::uint64_t least = ~std::uint64_t{0};
        for (int i = 0; i < 200; ++i) {
            const auto before = allocations();
            co_await yield();
            static_cast<void>(co_await resume_on(static_cast<ShardId>(i % 2)));
            least = std::min(least, allocations() - before);
        }
        co_return least;
    });
    EXPECT_EQ(task.get(), 0U);
}

TEST_P(SpawnCost, Sleeps) {
    auto one = runtime(1);
    one.block_on([]() -> Task<> {
        std::uint64_t least = ~std::uint64_t{0};
        for (int i = 0; i < 50; ++i) {
            const auto before = allocations();
            static_cast<void>(co_await sleep_for(std::chrono::microseconds(10)));
            least = std::min(least, allocations() - before);
        }
        EXPECT_EQ(least, 0U);
    });
}

TEST_P(SpawnCost, AForeignSpawnAndItsGet) {
    auto two = runtime(2);
    const auto handle = two.handle();
    EXPECT_EQ(allocations_of([&] { handle.spawn_pinned(0, [] {}).get(); }), 0U);
    EXPECT_EQ(allocations_of([&] { handle.spawn_stealable([] { return 1; }).get(); }), 0U);
    EXPECT_EQ(allocations_of([&] { handle.spawn_sticky(3, ready(1)).get(); }), 0U);
    EXPECT_EQ(allocations_of([&] { two.block_on(ready(1)); }), 0U);
}

TEST_P(SpawnCost, ARefusedSpawn) {
    auto one = runtime(1);
    const auto handle = one.handle();
    EXPECT_EQ(allocations_of([&] { static_cast<void>(handle.spawn_pinned(9, [] {}).spawn_error()); }), 0U);
}

TEST_P(SpawnCost, AStopRequestWithoutAToken) {
    auto one = runtime(1);
    const auto handle = one.handle();
    EXPECT_EQ(allocations_of([&] {
                  auto task = handle.spawn_pinned(0, [] {});
                  task.request_stop();
                  task.get();
              }),
              0U);
}

}  // namespace
}  // namespace spargio::test
