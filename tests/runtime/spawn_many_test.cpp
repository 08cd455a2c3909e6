// SPDX-License-Identifier: MIT
// spawn_many: ranges of Tasks, and children by number.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/small_tasks.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class SpawnMany : public BackendTest {
protected:
    Watchdog watchdog_{"spawn_many"};
};
SPARGIO_ON_BOTH_BACKENDS(SpawnMany);

Task<int> yields_some(int value) {
    if (value % 3 == 0) {
        co_await yield();
    }
    co_return value;
}

Task<> add(std::atomic<std::size_t>& sum) {
    sum.fetch_add(1, std::memory_order_relaxed);
    co_return;
}

std::vector<int> count_up(std::size_t count) {
    std::vector<int> values(count);
    std::iota(values.begin(), values.end(), 0);
    return values;
}

// More than a shard's deque holds, too.
TEST_P(SpawnMany, OfAVectorGivesTheValuesInTheirOrder) {
    for (const std::size_t capacity : {1U, 1024U}) {
        auto two = builder(2).stealable_queue_capacity(capacity).build();
        for (const std::size_t count : {0U, 1U, 2U, 1000U, 5000U}) {
            const auto values = two.block_on([&]() -> Task<std::vector<int>> {
                std::vector<Task<int>> tasks;
                for (std::size_t i = 0; i < count; ++i) {
                    tasks.push_back(yields_some(static_cast<int>(i)));
                }
                co_return co_await spawn_many(std::move(tasks));
            });
            EXPECT_EQ(values, count_up(count));
        }
        EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
    }
}

TEST_P(SpawnMany, OfASpanAndOfAnArray) {
    auto two = runtime(2);
    two.block_on([]() -> Task<> {
        std::array<Task<int>, 3> kept{yields_some(0), yields_some(1), yields_some(2)};
        const auto named = std::span<Task<int>>(kept);
        const auto from_span = co_await spawn_many(named);
        EXPECT_EQ(from_span, count_up(3));
        EXPECT_FALSE(kept.front().valid());
        std::array<Task<int>, 2> moved{yields_some(0), yields_some(1)};
        const auto from_array = co_await spawn_many(std::move(moved));
        EXPECT_EQ(from_array, count_up(2));
    });
}

TEST_P(SpawnMany, OfVoidsGivesNothing) {
    auto two = runtime(2);
    two.block_on([]() -> Task<> {
        std::atomic<std::size_t> sum{0};
        std::vector<Task<>> tasks;
        for (int i = 0; i < 100; ++i) {
            tasks.push_back(add(sum));
        }
        co_await spawn_many(std::move(tasks));
        EXPECT_EQ(sum.load(), 100U);
        const auto by_number = [&](std::size_t) { return add(sum); };
        co_await spawn_many(100, by_number);
        EXPECT_EQ(sum.load(), 200U);
        co_await spawn_many(0, by_number);
        EXPECT_EQ(sum.load(), 200U);
    });
}

TEST_P(SpawnMany, OfMoveOnlyValues) {
    auto two = runtime(2);
    two.block_on([]() -> Task<> {
        std::vector<Task<std::unique_ptr<int>>> tasks;
        for (int i = 0; i < 100; ++i) {
            tasks.push_back(boxed(i));
        }
        const auto from_range = co_await spawn_many(std::move(tasks));
        const auto make = [](std::size_t i) { return boxed(static_cast<int>(i)); };
        const auto by_number = co_await spawn_many(100, make);
        for (std::size_t i = 0; i < 100; ++i) {
            EXPECT_EQ(*from_range[i], static_cast<int>(i));
            EXPECT_EQ(*by_number[i], static_cast<int>(i));
        }
    });
}

TEST_P(SpawnMany, ByNumberGivesTheValuesByIndex) {
    auto two = runtime(2);
    const NoLateWakes all_woken(two.handle());
    for (const std::size_t count : {0U, 1U, 31U, 32U, 33U, 64U, 1000U, 1024U, 1025U, 33'000U}) {
        const auto tasks = two.block_on([&]() -> Task<std::vector<int>> {
            const auto child = [](std::size_t i) { return yields_some(static_cast<int>(i)); };
            co_return co_await spawn_many(count, child);
        });
        ASSERT_EQ(tasks, count_up(count));
        const auto plain = two.block_on([&]() -> Task<std::vector<int>> {
            const auto child = [](std::size_t i) { return static_cast<int>(i); };
            co_return co_await spawn_many(count, child);
        });
        ASSERT_EQ(plain, count_up(count));
    }
    EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(SpawnMany, AMillion) {
    const std::size_t count = scaled(1'000'000, 100'000);
    for (const std::size_t shards : {1U, 2U}) {
        auto owner = runtime(shards);
        owner.block_on([&]() -> Task<> {
            std::atomic<std::size_t> calls{0};
            const auto plain = [&](std::size_t) { calls.fetch_add(1, std::memory_order_relaxed); };
            co_await spawn_many(count, plain);
            EXPECT_EQ(calls.load(), count);
            const auto square = [](std::size_t i) -> Task<std::uint64_t> { co_return std::uint64_t{i} * i; };
            const auto squares = co_await spawn_many(count, square);
            bool all = squares.size() == count;
            for (std::size_t i = 0; i < squares.size(); ++i) {
                all = all && squares[i] == std::uint64_t{i} * i;
            }
            EXPECT_TRUE(all);
        });
    }
}

TEST_P(SpawnMany, OneThatSuspendsHoldsUpNoneOfTheOthers) {
    constexpr std::size_t count = 2000;
    auto one = runtime(1);
    one.block_on([]() -> Task<> {
        Latch others(count - 1);
        const auto child = [&](std::size_t i) -> Task<> {
            if (i == 0) {
                EXPECT_TRUE(co_await others.async_wait());
            } else {
                others.arrive();
            }
        };
        co_await spawn_many(count, child);
    });
}

TEST_P(SpawnMany, RethrowsTheFirstExceptionWhenAllHaveEnded) {
    auto two = runtime(2);
    for (const bool by_number : {false, true}) {
        for (const std::size_t count : {3U, 100U, 2000U}) {
            EndLog log;
            const auto what = two.block_on([&]() -> Task<std::string> {
                const auto child = [&](std::size_t i) -> Task<std::unique_ptr<int>> {
                    const Tracker local(log);
                    co_await yield();
                    if (i % 2 == 1) {
                        throw std::runtime_error(std::to_string(i));
                    }
                    co_return std::make_unique<int>(1);
                };
                std::vector<Task<std::unique_ptr<int>>> tasks;
                for (std::size_t i = 0; i < (by_number ? 0 : count); ++i) {
                    tasks.push_back(child(i));
                }
                try {
                    if (by_number) {
                        static_cast<void>(co_await spawn_many(count, child));
                    } else {
                        static_cast<void>(co_await spawn_many(std::move(tasks)));
                    }
                } catch (const std::runtime_error& error) {
                    EXPECT_EQ(log.size(), count) << "all have ended";
                    co_return error.what();
                }
                co_return "none";
            });
            EXPECT_EQ(what, "1");
        }
    }
    EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(SpawnMany, AFunctionThatThrowsBeforeItGivesATaskEndsTheFork) {
    EndLog log;
    auto two = runtime(2);
    two.block_on([&]() -> Task<> {
        const auto child = [&](std::size_t i) -> Task<int> {
            if (i == 70) {
                throw std::runtime_error("no task");
            }
            const auto body = [](Tracker) -> Task<int> { co_return 1; };
            return body(Tracker(log));
        };
        bool thrown = false;
        try {
            static_cast<void>(co_await spawn_many(100, child));
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        EXPECT_TRUE(thrown);
    });
    EXPECT_EQ(log.size(), 32U + 32U + 6U + 4U) << "branches of 32, and what was made before it";
    EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(SpawnMany, MayBeNested) {
    auto two = runtime(2);
    const auto sum = two.block_on([]() -> Task<std::size_t> {
        const auto inner = [](std::size_t i) -> Task<std::size_t> {
            const auto leaf = [i](std::size_t j) { return i * j; };
            const auto values = co_await spawn_many(50, leaf);
            co_return std::accumulate(values.begin(), values.end(), std::size_t{0});
        };
        const auto values = co_await spawn_many(50, inner);
        co_return std::accumulate(values.begin(), values.end(), std::size_t{0});
    });
    EXPECT_EQ(sum, std::size_t{49 * 25} * (49 * 25));
}

}  // namespace
}  // namespace spargio::test
