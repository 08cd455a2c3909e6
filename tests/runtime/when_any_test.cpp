// SPDX-License-Identifier: MIT
// when_any: the first to end wins, and the others have ended too.
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/sends_when_stopped.hpp"
#include "support/shutdown_checks.hpp"
#include "support/small_tasks.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"
#include "support/virtual_clock.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

class WhenAnyOf : public BackendTest {
protected:
    Watchdog watchdog_{"when_any"};
};
SPARGIO_ON_BOTH_BACKENDS(WhenAnyOf);

static_assert(
    std::is_same_v<decltype(when_any(std::declval<Task<int>>(), std::declval<Task<>>(), std::declval<Task<int&>>())),
                   Task<WhenAny<int, std::monostate, std::reference_wrapper<int>>>>);

Task<int> after(int yields, int value) {
    for (int i = 0; i < yields; ++i) {
        co_await yield();
    }
    co_return value;
}
Task<int> fails(const char* text) {
    co_await yield();
    throw std::runtime_error(text);
}
Task<int> fails_when_stopped() {
    const auto slept = co_await sleep_for(never);
    slept.value();
    co_return 1;
}

TEST_P(WhenAnyOf, GivesTheNumberAndTheValueOfTheFirstToEnd) {
    auto one = runtime(1);
    auto task = one.handle().spawn_pinned(0, []() -> Task<int> {
        const auto number = co_await when_any(after(9, 1), after(3, 2), after(6, 3));
        EXPECT_EQ(number.index, 1U);
        EXPECT_EQ(std::get<1>(number.value), 2);
        auto box = co_await when_any(sleep_for_ever(), boxed(5));
        EXPECT_EQ(box.index, 1U);
        const auto nothing = co_await when_any(after(0, 1));
        EXPECT_EQ(nothing.value.index(), 0U);
        co_return *std::get<1>(box.value);
    });
    EXPECT_EQ(task.get(), 5);
    EXPECT_EQ(one.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(WhenAnyOf, AVoidOrAReferenceMayWin) {
    auto one = runtime(1);
    auto task = one.handle().spawn_pinned(0, []() -> Task<> {
        int local = 0;
        const auto refers = [&]() -> Task<int&> {
            co_await yield();
            co_return local;
        };
        const auto nothing = []() -> Task<> { co_await yield(); };
        const auto first = co_await when_any(fails_when_stopped(), nothing());
        EXPECT_EQ(first.index, 1U);
        EXPECT_TRUE(std::holds_alternative<std::monostate>(first.value));
        const auto second = co_await when_any(refers(), sleep_for_ever());
        EXPECT_EQ(&std::get<0>(second.value).get(), &local);
    });
    task.get();
}

TEST_P(WhenAnyOf, TheLosersWereStoppedAndHaveEnded) {
    auto two = runtime(2);
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        EndLog log;
        auto task = two.handle().spawn_with_placement(placement, [&]() -> Task<std::size_t> {
            const auto loser = [&]() -> Task<int> {
                const Tracker local(log, "loser");
                const auto slept = co_await sleep_for(never);
                EXPECT_EQ(slept.error(), std::errc::operation_canceled);
                co_await yield();
                throw std::runtime_error("dropped");
            };
            const auto forks = [&]() -> Task<int> {
                auto [first, second] = co_await fork_join(loser(), loser());
                co_return first + second;
            };
            const auto won = co_await when_any(loser(), forks(), after(3, 7), loser());
            const auto ended = log.size();
            EXPECT_EQ(std::get<2>(won.value), 7);
            co_return ended;
        });
        EXPECT_EQ(task.get(), 4U);
    }
}

TEST_P(WhenAnyOf, AWinnerThatThrewRethrows) {
    auto one = runtime(1);
    auto task = one.handle().spawn_pinned(0, []() -> Task<std::string> {
        try {
            co_await when_any(sleep_for_ever(), fails("winner"), fails("loser"));
        } catch (const std::runtime_error& error) {
            co_return error.what();
        }
        co_return "no exception";
    });
    EXPECT_EQ(task.get(), "winner");
}

TEST_P(WhenAnyOf, OneThatEndsAtOnceWinsAndTheOthersStillHaveTheirFirstStep) {
    auto one = runtime(1);
    auto task = one.handle().spawn_pinned(0, []() -> Task<int> {
        int begun = 0;
        const auto other = [&]() -> Task<> {
            const auto token = co_await this_task::stop_token();
            begun += token.stop_requested() ? 1 : 100;
        };
        const auto won = co_await when_any(after(0, 1), other(), other());
        EXPECT_EQ(won.index, 0U);
        co_return begun;
    });
    EXPECT_EQ(task.get(), 2);
}

TEST_P(WhenAnyOf, PassesAStopOfTheCallerOn) {
    auto two = runtime(2);
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        Latch asleep(2);
        auto task = two.handle().spawn_with_placement(placement, [&]() -> Task<bool> {
            const auto sleeper = [&]() -> Task<bool> {
                asleep.arrive();
                const auto slept = co_await sleep_for(never);
                co_return slept.error() == std::errc::operation_canceled;
            };
            const auto won = co_await when_any(sleeper(), sleeper());
            co_return won.index == 0 ? std::get<0>(won.value) : std::get<1>(won.value);
        });
        asleep.wait();
        task.request_stop();
        EXPECT_TRUE(task.get());
    }
}

TEST_P(WhenAnyOf, NestsDeeply) {
    struct Nest {
        static Task<int> down(int depth) {
            if (depth == 0) {
                co_await yield();
                co_return 0;
            }
            const auto won = co_await when_any(down(depth - 1), sleep_for_ever());
            co_return std::get<0>(won.value) + 1;
        }
    };
    auto one = runtime(1);
    const int depth = static_cast<int>(scaled(10'000, 2'000));
    EXPECT_EQ(one.handle().spawn_stealable(Nest::down(depth)).get(), depth);
    EXPECT_EQ(one.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(WhenAnyOf, StopsRaceWithTheWinner) {
    Random random(stress_seed());
    VirtualClock clock;
    auto two = runtime(2);
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    RunningClock running(clock, handle, stress_seed() + 1);
    for (unsigned round = 0; round < scaled(2'000, 400); ++round) {
        watchdog_.progress("round " + std::to_string(round));
        const auto work = std::chrono::nanoseconds(random.below(30'000));
        const auto delay = std::chrono::nanoseconds(random.below(40'000));
        const auto leaf = [&](int value) -> Task<int> {
            static_cast<void>(co_await sleep_for(work));
            co_return value;
        };
        const auto forks = [&]() -> Task<int> {
            auto [first, second] = co_await fork_join(leaf(1), leaf(1));
            co_return first + second;
        };
        const auto body = [&]() -> Task<int> {
            const auto won = co_await when_any(forks(), leaf(2), without_stop(leaf(2)));
            co_return won.index == 0 ? std::get<0>(won.value)
            : won.index == 1         ? std::get<1>(won.value)
                                     : std::get<2>(won.value);
        };
        auto task = random.one_in(2) ? handle.spawn_pinned(0, body) : handle.spawn_stealable(body);
        spin_for(delay);
        task.request_stop();
        ASSERT_EQ(task.get(), 2);
    }
    running.stop();
    EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
}

TEST_P(WhenAnyOf, PublishesWhatACallbackOfAStopSends) {
    VirtualClock clock;
    auto two = runtime(2);
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    Event received;
    auto receiver = handle.spawn_pinned(1, receives(received));
    auto sender = handle.spawn_pinned(
        0, [&]() -> Task<> { static_cast<void>(co_await when_any(sends_when_stopped(received), sleep_briefly())); });
    finish_step(handle, 0);
    finish_step(handle, 0);
    {
        const StalledShard stalled(handle, 0);  // The sleep ends with its next look at the clock.
        clock.set(clock.now() + std::chrono::milliseconds(1));
    }
    EXPECT_EQ(receiver.get(), 42U);
    sender.get();
}

}  // namespace
}  // namespace spargio::test
