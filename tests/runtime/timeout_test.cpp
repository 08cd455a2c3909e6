// SPDX-License-Identifier: MIT
// timeout: a value that is there wins, all else after the deadline's stop is timed_out. On the virtual clock.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/sends_when_stopped.hpp"
#include "support/shutdown_checks.hpp"
#include "support/small_tasks.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

constexpr auto soon = std::chrono::microseconds(300);

class Timeout : public BackendTest {
protected:
    /// What the task gives, which has not ended before `soon` has passed.
    template <class T>
    T after_soon(Runtime& runtime, Task<T> task) {
        const auto handle = runtime.handle();
        auto spawned = handle.spawn_pinned(0, std::move(task));
        finish_step(handle, 0);
        clock_.advance(handle, soon - std::chrono::nanoseconds(1));
        EXPECT_FALSE(spawned.done()) << "too early";
        clock_.advance(handle, std::chrono::nanoseconds(1));
        return spawned.get();
    }

    Watchdog watchdog_{"timeout"};
    VirtualClock clock_;
};
SPARGIO_ON_BOTH_BACKENDS(Timeout);

static_assert(std::is_same_v<decltype(timeout(soon, std::declval<Task<int>>())), Task<Result<int>>>);
static_assert(std::is_same_v<decltype(timeout(soon, std::declval<Task<>>())), Task<Result<>>>);
static_assert(std::is_same_v<decltype(timeout(soon, std::declval<Task<Result<int>>>())), Task<Result<Result<int>>>>);

Task<int> at_once(int value) {
    co_return value;
}
Task<int> after_a_yield(int value) {
    co_await yield();
    co_return value;
}
Task<Result<void>> sleeps_on() {
    co_return co_await sleep_for(never);
}
Task<Result<int>> error_at_once() {
    co_return std::make_error_code(std::errc::broken_pipe);
}
/// A value for whoever is stopped: as a read that was complete when it was cancelled.
Task<Result<int>> value_in_spite_of_the_stop(int value) {
    static_cast<void>(co_await sleep_for(never));
    co_return value;
}
Task<int> plain_value_after_the_stop(int value) {
    static_cast<void>(co_await sleep_for(never));
    co_return value;
}
Task<int> throws_what_the_stop_made_it() {
    const auto slept = co_await sleep_for(never);
    slept.value();
    co_return 1;
}
Task<int> throws(const char* text, std::chrono::nanoseconds after) {
    static_cast<void>(co_await sleep_for(after));
    throw std::runtime_error(text);
}

template <class T>
T on_shard(Runtime& runtime, Task<T> task) {
    return runtime.handle().spawn_pinned(0, std::move(task)).get();
}

TEST_P(Timeout, GivesWhatWasThereInTime) {
    auto one = runtime(1);
    EXPECT_EQ(on_shard(one, timeout(never, at_once(1))).value(), 1);
    EXPECT_EQ(on_shard(one, timeout(never, after_a_yield(2))).value(), 2);
    EXPECT_EQ(*on_shard(one, timeout(never, boxed(3))).value(), 3);
    EXPECT_TRUE(on_shard(one, timeout(never, nothing())).has_value());
    const auto inner = on_shard(one, timeout(never, error_at_once()));
    ASSERT_TRUE(inner.has_value());
    EXPECT_EQ(inner->error(), std::errc::broken_pipe);
    EXPECT_EQ(one.handle().stats_snapshot().timers_fired, 0U);
    EXPECT_EQ(one.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(Timeout, IsTimedOutAfterTheInnerTaskWasStoppedAndHasEnded) {
    auto one = runtime(1);
    EndLog log;
    const auto body = [&]() -> Task<bool> {
        const auto inner = [&]() -> Task<int> {
            const Tracker local(log, "inner");
            const auto slept = co_await sleep_for(never);
            EXPECT_EQ(slept.error(), std::errc::operation_canceled);
            co_await yield();
            co_return 1;
        };
        const auto result = co_await timeout(soon, inner());
        const bool ended = log.size() == 1;
        co_return ended&& result.error() == std::errc::timed_out;
    };
    EXPECT_TRUE(after_soon(one, body()));
    EXPECT_EQ(one.handle().stats_snapshot().timers_fired, 1U);
}

TEST_P(Timeout, AfterTheStopOnlyAResultWithAValueWins) {
    auto one = runtime(1);
    const auto kept = after_soon(one, timeout(soon, value_in_spite_of_the_stop(5)));
    ASSERT_TRUE(kept.has_value());
    EXPECT_EQ(kept->value(), 5);
    EXPECT_EQ(after_soon(one, timeout(soon, sleeps_on())).error(), std::errc::timed_out);
    EXPECT_EQ(after_soon(one, timeout(soon, plain_value_after_the_stop(5))).error(), std::errc::timed_out);
}

TEST_P(Timeout, RethrowsEveryExceptionButTheStopsOwn) {
    auto one = runtime(1);
    EXPECT_THROW(static_cast<void>(after_soon(one, timeout(never, throws("early", soon)))), std::runtime_error);
    EXPECT_THROW(static_cast<void>(after_soon(one, timeout(soon, throws("late", never)))), std::runtime_error);
    EXPECT_EQ(after_soon(one, timeout(soon, throws_what_the_stop_made_it())).error(), std::errc::timed_out);
    const auto canceled_early = []() -> Task<int> {
        co_await yield();
        throw std::system_error(std::make_error_code(std::errc::operation_canceled));
    };
    EXPECT_THROW(static_cast<void>(on_shard(one, timeout(never, canceled_early()))), std::system_error);
    const auto other_error_late = []() -> Task<int> {
        static_cast<void>(co_await sleep_for(never));
        throw std::system_error(std::make_error_code(std::errc::broken_pipe));
    };
    EXPECT_THROW(static_cast<void>(after_soon(one, timeout(soon, other_error_late()))), std::system_error);
}

TEST_P(Timeout, WithNoTimeLeavesOneStep) {
    auto one = runtime(1);
    for (const auto limit :
         {std::chrono::nanoseconds(0), std::chrono::nanoseconds(-1), std::chrono::nanoseconds::min()}) {
        EXPECT_EQ(on_shard(one, timeout(limit, at_once(1))).value(), 1);
        EXPECT_EQ(on_shard(one, timeout(limit, sleeps_on())).error(), std::errc::timed_out);
    }
}

TEST_P(Timeout, ClampsItsDuration) {
    auto one = runtime(1);
    EXPECT_EQ(on_shard(one, timeout(std::chrono::hours::max(), after_a_yield(1))).value(), 1);
    EXPECT_EQ(on_shard(one, timeout(std::chrono::duration<double>(1e300), after_a_yield(2))).value(), 2);
    EXPECT_EQ(on_shard(one, timeout(std::chrono::hours::min(), sleeps_on())).error(), std::errc::timed_out);
}

TEST_P(Timeout, PassesAStopOfTheCallerOnAndGivesTheResultAsItIs) {
    auto two = runtime(2);
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        Event asleep;
        auto task = two.handle().spawn_with_placement(placement, [&]() -> Task<bool> {
            const auto inner = [&]() -> Task<Result<void>> {
                asleep.set();
                co_return co_await sleep_for(never);
            };
            const auto result = co_await timeout(never, inner());
            co_return result.has_value() && result->error() == std::errc::operation_canceled;
        });
        asleep.wait();
        task.request_stop();
        EXPECT_TRUE(task.get());
    }
    EXPECT_EQ(two.handle().stats_snapshot().timers_fired, 0U);
}

// The stop came first: the deadline, which comes before the inner task's end, changes nothing.
TEST_P(Timeout, AfterAStopOfTheCallerTheDeadlineDoesNotCount) {
    auto one = runtime(1);
    Event begun;
    std::atomic<bool> deadline_is_over{false};
    auto task = one.handle().spawn_pinned(0, [&]() -> Task<bool> {
        const auto inner = [&]() -> Task<int> {
            begun.set();
            while (!deadline_is_over) {
                co_await yield();
            }
            const auto token = co_await this_task::stop_token();
            co_return token.stop_requested() ? 4 : 0;
        };
        const auto result = co_await timeout(soon, inner());
        co_return result.has_value() && *result == 4;
    });
    begun.wait();
    task.request_stop();
    clock_.advance(one.handle(), soon);
    EXPECT_FALSE(task.done());
    deadline_is_over = true;
    EXPECT_TRUE(task.get());
    EXPECT_EQ(one.handle().stats_snapshot().timers_fired, 0U);
}

TEST_P(Timeout, NestsAndTheInnerDeadlineIsNotTheOuterOnes) {
    auto one = runtime(1);
    const auto outer_late = after_soon(one, timeout(never, timeout(soon, sleeps_on())));
    ASSERT_TRUE(outer_late.has_value());
    EXPECT_EQ(outer_late->error(), std::errc::timed_out);
    const auto outer_early = after_soon(one, timeout(soon, timeout(never, plain_value_after_the_stop(2))));
    ASSERT_TRUE(outer_early.has_value()) << "the inner one gives a Result with a value";
    EXPECT_EQ(outer_early->value(), 2);
}

TEST_P(Timeout, ResumesTheStealableCallerOnItsShard) {
    auto two = runtime(2);
    auto task = two.handle().spawn_stealable([]() -> Task<bool> {
        bool same = true;
        for (int i = 0; i < 100; ++i) {
            const auto before = ShardCtx::current()->shard_id();
            static_cast<void>(co_await timeout(never, after_a_yield(1)));
            same = same && before == ShardCtx::current()->shard_id();
        }
        co_return same;
    });
    EXPECT_TRUE(task.get());
}

TEST_P(Timeout, InAShutdownEndsTheInnerTaskFirst) {
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        EndLog log;
        Event asleep;
        auto two = runtime(2);
        const auto inner = [&]() -> Task<> {
            const Tracker local(log, "inner");
            asleep.set();
            static_cast<void>(co_await sleep_for(never));
        };
        two.handle()
            .spawn_with_placement(placement,
                                  [&]() -> Task<> {
                                      const Tracker local(log, "outer");
                                      static_cast<void>(co_await timeout(std::chrono::hours(1), inner()));
                                      ADD_FAILURE() << "resumed by a shutdown";
                                  })
            .detach();
        asleep.wait();
        two.shutdown();
        EXPECT_EQ(log.names(), (std::vector<std::string>{"inner", "outer"}));
        expect_nothing_left(two.handle());
    }
}

// A callback that the deadline's stop runs sends a message, and no step follows that would publish it.
TEST_P(Timeout, PublishesWhatACallbackOfTheStopSends) {
    auto two = runtime(2);
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    Event received;
    auto receiver = handle.spawn_pinned(1, receives(received));
    auto sender = handle.spawn_pinned(
        0, [&]() -> Task<> { static_cast<void>(co_await timeout(soon, sends_when_stopped(received))); });
    finish_step(handle, 0);
    finish_step(handle, 0);
    {
        const StalledShard stalled(handle, 0);  // Its last step before it looks at the clock.
        clock_.set(clock_.now() + soon);
    }
    EXPECT_EQ(receiver.get(), 42U);
    sender.get();
}

TEST_P(Timeout, RacesWithEndsAndStops) {
    Random random(stress_seed());
    auto two = runtime(2);
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    RunningClock running(clock_, handle, stress_seed() + 1);
    unsigned timed_out = 0;
    unsigned in_time = 0;
    for (unsigned round = 0; round < scaled(2'000, 400); ++round) {
        watchdog_.progress("round " + std::to_string(round));
        const auto limit = std::chrono::nanoseconds(random.below(60'000));
        const auto work = std::chrono::nanoseconds(random.below(60'000));
        const bool stops = random.one_in(2);
        const bool forks = random.one_in(2);
        const auto delay = std::chrono::nanoseconds(random.below(60'000));
        const auto leaf = [&]() -> Task<Result<int>> {
            const auto slept = co_await sleep_for(work);
            if (!slept) {
                co_return slept.error();
            }
            co_return 1;
        };
        const auto inner = [&]() -> Task<Result<int>> {
            if (forks) {
                auto [first, second] = co_await fork_join(leaf(), leaf());
                static_cast<void>(second);
                co_return first;
            }
            co_return co_await leaf();
        };
        const auto body = [&]() -> Task<Result<Result<int>>> { co_return co_await timeout(limit, inner()); };
        auto task = random.one_in(2) ? handle.spawn_pinned(0, body) : handle.spawn_stealable(body);
        spin_for(delay);
        if (stops) {
            task.request_stop();
        }
        const auto result = task.get();
        timed_out += result ? 0 : 1;
        in_time += result && *result ? 1 : 0;
        if (!result) {
            ASSERT_EQ(result.error(), std::errc::timed_out);
        } else if (!*result) {
            ASSERT_TRUE(stops);
            ASSERT_EQ(result->error(), std::errc::operation_canceled);
        }
    }
    EXPECT_GT(timed_out, 0U);
    EXPECT_GT(in_time, 0U);
    running.stop();
    EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
}

// Also where the step is put off: many tasks of the shard come first, and the deadline with them.
TEST_P(Timeout, OfNothingLeavesTheFirstStep) {
    Runtime one = runtime(1);
    std::vector<JoinHandle<int>> tasks;
    const auto again_and_again = [](int rounds) -> Task<int> {
        int in_time = 0;
        for (int i = 0; i < rounds; ++i) {
            const auto value = co_await timeout(std::chrono::seconds(0), at_once(1));
            in_time += value.value_or(0);
        }
        co_return in_time;
    };
    for (int i = 0; i < 100; ++i) {
        tasks.push_back(one.handle().spawn_pinned(0, again_and_again(200)));
    }
    for (auto& task : tasks) {
        EXPECT_EQ(task.get(), 200);
    }
}

}  // namespace
}  // namespace spargio::test
