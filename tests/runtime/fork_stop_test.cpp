// SPDX-License-Identifier: MIT
// Stopping a task that waits for its forked children: the stop reaches whatever suspends below it.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/small_tasks.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

class ForkStop : public BackendTest {
protected:
    Watchdog watchdog_{"fork stop"};
};
SPARGIO_ON_BOTH_BACKENDS(ForkStop);

Task<int> sleepers_below(Latch& asleep, int depth) {
    if (depth == 0) {
        co_return co_await sleeper(asleep);
    }
    auto [first, second] = co_await fork_join(sleepers_below(asleep, depth - 1), sleepers_below(asleep, depth - 1));
    co_return first + second;
}

Task<int> chain_above(Latch& asleep, int depth) {
    if (depth == 0) {
        co_return co_await sleeper(asleep);
    }
    auto [below] = co_await fork_join(chain_above(asleep, depth - 1));
    co_return below;
}

TEST_P(ForkStop, ReachesEverySleepingDescendant) {
    for (const auto placement : {TaskPlacement::pinned(0), TaskPlacement::stealable()}) {
        for (int depth = 1; depth < 6; ++depth) {
            const auto leaves = std::size_t{1} << static_cast<unsigned>(depth);
            Latch asleep(leaves);
            auto two = runtime(2);
            const NoLateWakes all_woken(two.handle());
            auto parent = two.handle().spawn_with_placement(placement, sleepers_below(asleep, depth));
            asleep.wait();
            parent.request_stop();
            parent.request_stop();
            EXPECT_EQ(parent.get(), static_cast<int>(leaves));
            EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
        }
    }
}

TEST_P(ForkStop, ReachesTheSleeperUnderALongChainWithoutRecursion) {
    const int depth = static_cast<int>(scaled(100'000, 20'000));
    Latch asleep(1);
    auto two = runtime(2);
    auto parent = two.handle().spawn_stealable(chain_above(asleep, depth));
    asleep.wait();
    parent.request_stop();
    EXPECT_EQ(parent.get(), 1);
}

TEST_P(ForkStop, OfManyReachesEachOfThem) {
    constexpr std::size_t many = 3000;
    for (const bool by_number : {false, true}) {
        Latch asleep(many);
        auto two = runtime(2);
        auto parent = two.handle().spawn_pinned(0, [&]() -> Task<std::vector<int>> {
            const auto child = [&](std::size_t) { return sleeper(asleep); };
            if (by_number) {
                co_return co_await spawn_many(many, child);
            }
            std::vector<Task<int>> children;
            for (std::size_t i = 0; i < many; ++i) {
                children.push_back(child(i));
            }
            co_return co_await spawn_many(std::move(children));
        });
        asleep.wait();
        parent.request_stop();
        EXPECT_EQ(parent.get(), std::vector<int>(many, 1));
    }
}

TEST_P(ForkStop, BeforeTheForkStopsWhatSuspendsLater) {
    Event stopped;
    Latch asleep(4);
    auto two = runtime(2);
    auto parent = two.handle().spawn_pinned(0, [&]() -> Task<int> {
        stopped.wait();
        co_return co_await sleepers_below(asleep, 2);
    });
    parent.request_stop();
    stopped.set();
    EXPECT_EQ(parent.get(), 4);
}

TEST_P(ForkStop, IsSeenByForksAfterTheOneThatItEnded) {
    Latch asleep(2);
    Latch asleep_again(2);
    auto two = runtime(2);
    auto parent = two.handle().spawn_stealable([&]() -> Task<int> {
        const int first = co_await sleepers_below(asleep, 1);
        const int second = co_await sleepers_below(asleep_again, 1);
        co_return first * 10 + second;
    });
    asleep.wait();
    parent.request_stop();
    EXPECT_EQ(parent.get(), 22);
}

// A first fork whose children suspended has ended by itself: what it armed is no longer there, the second is.
TEST_P(ForkStop, ReachesASecondForkOfTheSameTask) {
    Latch asleep(4);
    auto two = runtime(2);
    const auto twice = [&]() -> Task<int> {
        const auto naps = []() -> Task<> {
            static_cast<void>(co_await sleep_for(std::chrono::microseconds(10)));
            co_await yield();
        };
        co_await fork_join(naps, naps);
        co_return co_await sleepers_below(asleep, 1);
    };
    auto parent = two.handle().spawn_stealable([&]() -> Task<int> {
        auto [first, second] = co_await fork_join(twice, twice);
        co_return first + second;
    });
    asleep.wait();
    parent.request_stop();
    EXPECT_EQ(parent.get(), 4);
}

TEST_P(ForkStop, ReachesJoinsAndEvents) {
    Event never;
    Latch inside(2);
    auto two = runtime(2);
    const auto handle = two.handle();
    const auto joins = [&]() -> Task<int> {
        auto child = handle.spawn_pinned(1, [&]() -> Task<> { co_await never.async_wait(); });
        inside.arrive();
        const auto joined = co_await child.join();
        co_return joined.error() == std::errc::operation_canceled ? 1 : 0;
    };
    const auto receives = [&]() -> Task<int> {
        inside.arrive();
        try {
            static_cast<void>(co_await ShardCtx::current()->next_event());
        } catch (const std::system_error& error) {
            co_return error.code() == std::errc::operation_canceled ? 1 : 0;
        }
        co_return 0;
    };
    auto parent = handle.spawn_pinned(0, [&]() -> Task<int> {
        auto [joined, received] = co_await fork_join(joins, receives);
        co_return joined + received;
    });
    inside.wait();
    parent.request_stop();
    EXPECT_EQ(parent.get(), 2);
    never.set();
}

TEST_P(ForkStop, IsSeenInATokenThatAChildHasAskedForBeforeAndAfter) {
    Event asked;
    Event stopped;
    auto two = runtime(2);
    const auto child = [&]() -> Task<bool> {
        const auto before = co_await this_task::stop_token();
        EXPECT_FALSE(before.stop_requested());
        asked.set();
        stopped.wait();
        const auto after = co_await this_task::stop_token();
        co_return before.stop_requested() && after.stop_requested();
    };
    auto parent = two.handle().spawn_pinned(0, [&]() -> Task<bool> {
        const auto above = [&]() -> Task<bool> {
            auto [seen] = co_await fork_join(child);
            co_return seen;
        };
        auto [seen] = co_await fork_join(above);
        const auto own = co_await this_task::stop_token();
        co_return seen&& own.stop_requested();
    });
    asked.wait();
    parent.request_stop();
    stopped.set();
    EXPECT_TRUE(parent.get());
}

TEST_P(ForkStop, IsSeenInATokenThatAChildAsksForAfterIt) {
    Event running;
    Event stopped;
    auto two = runtime(2);
    const auto child = [&]() -> Task<bool> {
        running.set();
        stopped.wait();
        const auto token = co_await this_task::stop_token();
        co_return token.stop_requested();
    };
    auto parent = two.handle().spawn_stealable([&]() -> Task<bool> {
        const auto own = co_await this_task::stop_token();
        auto [seen] = co_await fork_join(child);
        co_return seen&& own.stop_requested();
    });
    running.wait();
    parent.request_stop();
    stopped.set();
    EXPECT_TRUE(parent.get());
}

TEST_P(ForkStop, DoesNotDisturbATreeThatOnlyComputes) {
    auto two = runtime(2);
    for (int round = 0; round < 20; ++round) {
        auto parent = two.handle().spawn_stealable(fib(15));
        spin_for(std::chrono::microseconds(20 * round));
        parent.request_stop();
        ASSERT_EQ(parent.get(), 610U);
    }
}

// A callback of a token, which runs inside a stop, stops another tree and waits for its end.
TEST_P(ForkStop, InsideAStopIsAsPromptAsAnyOther) {
    Latch asleep(2);
    Event asked;
    std::stop_token token;
    auto two = runtime(2);
    auto inner = two.handle().spawn_stealable(sleepers_below(asleep, 1));
    auto outer = two.handle().spawn_stealable([&]() -> Task<> {
        const auto child = [&]() -> Task<> {
            token = co_await this_task::stop_token();
            asked.set();
            static_cast<void>(co_await sleep_for(std::chrono::hours(1)));
        };
        co_await fork_join(child);
    });
    asleep.wait();
    asked.wait();
    int value = 0;
    const auto stop_inner = [&] {
        inner.request_stop();
        value = inner.get();
    };
    const std::stop_callback callback(token, stop_inner);
    outer.request_stop();
    outer.get();
    EXPECT_EQ(value, 2);
}

// Children that end by themselves, suspend and fork, while the stop comes: nobody hangs, and each child's end is seen.
TEST_P(ForkStop, RacesWithTheEndsOfTheChildren) {
    Random random(stress_seed());
    auto two = runtime(2);
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    for (unsigned round = 0; round < scaled(1'500, 300); ++round) {
        watchdog_.progress("round " + std::to_string(round));
        std::atomic<bool> go{false};
        const bool sleeps = random.one_in(2);
        const bool deeper = random.one_in(2);
        const bool asks = random.one_in(4);
        const auto work = std::chrono::nanoseconds(random.below(8'000));
        const auto delay = std::chrono::nanoseconds(random.below(20'000));
        const auto child = [&]() -> Task<int> {
            if (asks) {
                static_cast<void>(co_await this_task::stop_token());
            }
            while (!go.load(std::memory_order_acquire)) {
                co_await yield();
            }
            spin_for(work);
            if (sleeps) {
                static_cast<void>(co_await sleep_for(work));
            }
            co_return 1;
        };
        const auto above = [&]() -> Task<int> {
            auto [first, second] = co_await fork_join(child, child);
            co_return first + second;
        };
        const auto body = [&]() -> Task<int> {
            if (deeper) {
                auto [first, second] = co_await fork_join(above, above);
                co_return first + second;
            }
            auto [first, second] = co_await fork_join(child, child);
            co_return first + second;
        };
        auto parent = random.one_in(2) ? handle.spawn_pinned(0, body) : handle.spawn_stealable(body);
        go.store(true, std::memory_order_release);
        spin_for(delay);
        parent.request_stop();
        ASSERT_EQ(parent.get(), deeper ? 4 : 2);
    }
    EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
}

// Two children suspend for the first time at the same moment on two shards: one of them arms the wait, nobody is
// stopped.
TEST_P(ForkStop, ComesToNobodyUnasked) {
    auto two = runtime(2);
    auto parent = two.handle().spawn_stealable([this]() -> Task<bool> {
        bool undisturbed = true;
        for (unsigned round = 0; round < scaled(2'000, 500); ++round) {
            watchdog_.progress("round " + std::to_string(round));
            std::atomic<int> missing{2};
            const auto naps = [&]() -> Task<bool> {
                missing.fetch_sub(1);
                while (missing.load() != 0) {}
                const auto token = co_await this_task::stop_token();
                co_await yield();
                co_return !token.stop_requested();
            };
            auto [first, second] = co_await fork_join(naps, naps);
            undisturbed = undisturbed && first && second;
        }
        co_return undisturbed;
    });
    EXPECT_TRUE(parent.get());
}

// Two cancellers, while sleepers lie down: whoever lies down after the stop does not sleep.
TEST_P(ForkStop, RacesWithChildrenThatLieDown) {
    Random random(stress_seed());
    auto two = runtime(2);
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    for (unsigned round = 0; round < scaled(5'000, 500); ++round) {
        watchdog_.progress("round " + std::to_string(round));
        const int depth = static_cast<int>(random.below(4));
        Latch asleep(std::size_t{1} << static_cast<unsigned>(depth));
        auto parent = random.one_in(2) ? handle.spawn_pinned(1, sleepers_below(asleep, depth))
                                       : handle.spawn_stealable(sleepers_below(asleep, depth));
        spin_for(std::chrono::nanoseconds(random.below(20'000)));
        std::optional<std::thread> other;
        if (random.one_in(8)) {
            other.emplace([&] { parent.request_stop(); });
        }
        parent.request_stop();
        if (other) {
            other->join();
        }
        ASSERT_EQ(parent.get(), 1 << depth);
    }
}

}  // namespace
}  // namespace spargio::test
