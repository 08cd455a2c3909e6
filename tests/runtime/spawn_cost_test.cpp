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

TEST_P(SpawnCost, SleepsOnceTheTimerQueueHasGrown) {
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
