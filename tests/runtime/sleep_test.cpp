// SPDX-License-Identifier: MIT
// sleep_for and sleep_until: when they end, in which order, and how a stop ends them. On the virtual clock, but for
// two tests of the real one.
#include <algorithm>
#include <chrono>
#include <limits>
#include <system_error>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/ring_entries.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class Sleep : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(Sleep);

template <class Duration>
Task<std::error_code> sleep_and_tell(Duration duration) {
    const auto slept = co_await sleep_for(duration);
    co_return slept.error();
}

TEST_P(Sleep, EndsWhenItIsDueAndNotBefore) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto handle = one.handle();
    for (const auto duration : {1ns, 1000ns, 999'999ns, 1'000'000ns, 20'000'000'000ns}) {
        auto sleeper = handle.spawn_pinned(0, sleep_and_tell(duration));
        auto until = handle.spawn_pinned(0, [due = clock.now() + duration]() -> Task<bool> {
            const auto slept = co_await sleep_until(due);
            co_return slept.has_value();
        });
        finish_step(handle, 0);
        clock.advance(handle, duration - 1ns);
        EXPECT_FALSE(sleeper.done());
        EXPECT_FALSE(until.done());
        clock.advance(handle, 1ns);
        EXPECT_TRUE(sleeper.done());
        EXPECT_TRUE(until.done());
        EXPECT_FALSE(sleeper.get());
        EXPECT_TRUE(until.get());
    }
    EXPECT_EQ(handle.stats_snapshot().timers_fired, 10U);
}

// On the real clock, which is its subject: the shard is woken by it, and not before.
TEST_P(Sleep, LastsByTheRealClock) {
    auto one = runtime(1);
    one.block_on([]() -> Task<> {
        for (const auto duration : {1us, 100us, 2000us}) {
            const auto start = Clock::now();
            const auto slept = co_await sleep_for(duration);
            EXPECT_GE(Clock::now() - start, duration);
            EXPECT_TRUE(slept.has_value());
        }
    });
}

// Other tasks of the shard would run if a sleep suspended.
TEST_P(Sleep, InThePastIsReadyWithoutSuspending) {
    auto one = runtime(1);
    one.block_on([]() -> Task<> {
        bool other_ran = false;
        auto other = ShardCtx::current()->spawn_local([&] { other_ran = true; });
        const auto zero = co_await sleep_for(0s);
        const auto negative = co_await sleep_for(-1h);
        const auto most_negative = co_await sleep_for(std::chrono::nanoseconds::min());
        const auto hours = co_await sleep_for(std::chrono::hours::min());
        const auto floating = co_await sleep_for(std::chrono::duration<double>(-1e300));
        const auto past = co_await sleep_until(Clock::now() - 1s);
        const auto first = co_await sleep_until(Clock::time_point::min());
        const auto epoch = co_await sleep_until(Clock::time_point());
        EXPECT_FALSE(other_ran);
        EXPECT_TRUE(zero && negative && most_negative && hours && floating && past && first && epoch);
        co_await std::move(other);
    });
    EXPECT_EQ(one.handle().stats_snapshot().timers_fired, 0U);
}

// Whether others sleep there decides who finds out.
TEST_P(Sleep, AwaitedWhenItIsOverEndsAtOnce) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto handle = one.handle();
    for (const bool others_sleep : {false, true}) {
        auto other =
            others_sleep ? handle.spawn_pinned(0, sleep_and_tell(1h)) : handle.spawn_pinned(0, sleep_and_tell(0s));
        finish_step(handle, 0);
        handle
            .spawn_pinned(0,
                          [&]() -> Task<> {
                              auto nap = sleep_for(1ms);
                              clock.set(clock.now() + 1ms);
                              EXPECT_TRUE((co_await nap).has_value());
                          })
            .get();
        other.request_stop();
        EXPECT_EQ(other.get(), others_sleep ? std::make_error_code(std::errc::operation_canceled) : std::error_code());
    }
}

TEST_P(Sleep, TheLongestDurationsDoNotOverflow) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto handle = one.handle();
    std::vector<JoinHandle<std::error_code>> sleepers;
    sleepers.push_back(handle.spawn_pinned(0, sleep_and_tell(std::chrono::nanoseconds::max())));
    sleepers.push_back(handle.spawn_pinned(0, sleep_and_tell(std::chrono::microseconds::max())));
    sleepers.push_back(handle.spawn_pinned(0, sleep_and_tell(std::chrono::hours::max())));
    sleepers.push_back(handle.spawn_pinned(0, sleep_and_tell(std::chrono::duration<double>(1e300))));
    sleepers.push_back(
        handle.spawn_pinned(0, sleep_and_tell(std::chrono::duration<double>(std::numeric_limits<double>::infinity()))));
    sleepers.push_back(handle.spawn_pinned(0, []() -> Task<std::error_code> {
        const auto slept = co_await sleep_until(Clock::time_point::max());
        co_return slept.error();
    }));
    sleepers.push_back(handle.spawn_pinned(0, []() -> Task<std::error_code> {
        using std::chrono::seconds;
        EXPECT_TRUE((co_await sleep_until(std::chrono::time_point<Clock, seconds>::min())).has_value());
        const auto slept = co_await sleep_until(std::chrono::time_point<Clock, seconds>::max());
        co_return slept.error();
    }));
    finish_step(handle, 0);
    clock.advance(handle, std::chrono::hours(24 * 365 * 100));
    for (auto& sleeper : sleepers) {
        EXPECT_FALSE(sleeper.done());
        sleeper.request_stop();
        EXPECT_EQ(sleeper.get(), std::errc::operation_canceled);
    }
}

TEST_P(Sleep, SleepersWakeInTheOrderOfTheirTimes) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto handle = one.handle();
    Random random(stress_seed());
    std::vector<std::uint32_t> order;
    const auto sleep_and_note = [&](std::uint32_t due) -> Task<> {
        static_cast<void>(co_await sleep_for(std::chrono::microseconds(due)));
        order.push_back(due);
    };
    std::vector<JoinHandle<void>> sleepers;
    for (int i = 0; i < 500; ++i) {
        sleepers.push_back(handle.spawn_pinned(0, sleep_and_note(1 + random.below(20'000))));
    }
    finish_step(handle, 0);
    clock.advance(handle, 10ms);
    EXPECT_TRUE(std::all_of(order.begin(), order.end(), [](std::uint32_t due) { return due <= 10'000; }));
    clock.advance(handle, 10ms);
    EXPECT_EQ(order.size(), 500U);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

// On every tick, a sleep that was over before the stop came is no stopped one. If the stop came first, and the shard
// looks at both only after the end of the sleep, either may win.
TEST_P(Sleep, ATieOfItsEndAndAStopHasOneWinner) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto handle = one.handle();
    for (int tick = 0; tick < 200; ++tick) {
        Event shard_is_busy;
        auto sleeper = handle.spawn_pinned(0, sleep_and_tell(5ns));
        finish_step(handle, 0);
        auto busy = handle.spawn_pinned(0, [&] { shard_is_busy.wait(); });
        // Both before the shard can look at either.
        if (tick % 2 == 0) {
            sleeper.request_stop();
        }
        clock.set(clock.now() + 5ns);
        if (tick % 2 == 1) {
            sleeper.request_stop();
        }
        shard_is_busy.set();
        busy.get();
        const auto error = sleeper.get();
        if (tick % 2 == 1) {
            EXPECT_EQ(error, std::error_code());
        } else {
            EXPECT_TRUE(!error || error == std::errc::operation_canceled);
        }
    }
    EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
}

// The same where its own shard's step stops it: the clock was read at an earlier stop.
TEST_P(Sleep, ThatWasOverWhenItsShardStoppedItIsNotCanceled) {
    VirtualClock clock;
    auto one = runtime(1);
    auto early = one.handle().spawn_pinned(0, sleep_and_tell(5ns));
    auto late = one.handle().spawn_pinned(0, sleep_and_tell(5ns));
    finish_step(one.handle(), 0);
    one.handle()
        .spawn_pinned(0,
                      [&]() -> Task<> {
                          early.request_stop();
                          co_await yield();
                          clock.set(clock.now() + 5ns);
                          late.request_stop();
                      })
        .get();
    EXPECT_EQ(early.get(), std::errc::operation_canceled);
    EXPECT_EQ(late.get(), std::error_code());
}

TEST_P(Sleep, LeavesTheShardToOthers) {
    auto one = runtime(1);
    auto sleeper = one.handle().spawn_pinned(0, sleep_and_tell(1h));
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(one.handle().spawn_pinned(0, [i] { return i; }).get(), i);
    }
    EXPECT_FALSE(sleeper.done());
    sleeper.request_stop();
    EXPECT_EQ(sleeper.get(), std::errc::operation_canceled);
}

// On the real clock, which the shard's park ends by.
TEST_P(Sleep, AnEarlierSleepShortensThePark) {
    auto one = runtime(1);
    auto late = one.handle().spawn_pinned(0, sleep_and_tell(1h));
    finish_step(one.handle(), 0);
    // The shard sleeps for an hour now, as far as it knows.
    EXPECT_TRUE(one.handle().spawn_pinned(0, sleep_and_tell(1ms)).wait_for(60s));
    late.request_stop();
    late.get();
}

TEST_P(Sleep, IsCanceledByAStopFromAnywhere) {
    auto two = runtime(2);
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    const auto expect_canceled = [&](auto stop) {
        auto sleeper = handle.spawn_pinned(0, sleep_and_tell(1h));
        finish_step(handle, 0);
        stop(sleeper);
        EXPECT_EQ(sleeper.get(), std::errc::operation_canceled);
    };
    expect_canceled([](auto& sleeper) { sleeper.request_stop(); });
    expect_canceled([&](auto& sleeper) { handle.spawn_pinned(0, [&] { sleeper.request_stop(); }).get(); });
    expect_canceled([&](auto& sleeper) { handle.spawn_pinned(1, [&] { sleeper.request_stop(); }).get(); });
    expect_canceled([&](auto& sleeper) { handle.spawn_blocking([&] { sleeper.request_stop(); }).get(); });
    EXPECT_EQ(handle.stats_snapshot().timers_fired, 0U) << "a cancelled sleep has not come due";
}

TEST_P(Sleep, AfterAStopIsCanceledAtOnce) {
    auto one = runtime(1);
    Event stopped;
    auto task = one.handle().spawn_pinned(0, [&]() -> Task<> {
        stopped.wait();
        for (int i = 0; i < 3; ++i) {
            const auto slept = co_await sleep_for(1h);
            EXPECT_EQ(slept.error(), std::errc::operation_canceled);
        }
    });
    task.request_stop();
    stopped.set();
    task.get();
}

TEST_P(Sleep, InAnAwaitedTaskIsCanceledByTheStopOfItsRoot) {
    auto one = runtime(1);
    auto task = one.handle().spawn_pinned(0, []() -> Task<std::error_code> {
        auto inner = sleep_and_tell(1h);
        co_return co_await std::move(inner);
    });
    finish_step(one.handle(), 0);
    task.request_stop();
    EXPECT_EQ(task.get(), std::errc::operation_canceled);
}

TEST_P(Sleep, ThatIsOverIsNotCanceled) {
    VirtualClock clock;
    auto one = runtime(1);
    Event over;
    auto task = one.handle().spawn_pinned(0, [&]() -> Task<std::error_code> {
        const auto slept = co_await sleep_for(1ms);
        over.set();
        static_cast<void>(co_await sleep_for(1h));
        co_return slept.error();
    });
    finish_step(one.handle(), 0);
    clock.advance(one.handle(), 1ms);
    over.wait();
    task.request_stop();
    EXPECT_FALSE(task.get());
}

TEST_P(Sleep, OfAStealableTaskEndsOnAShardOfItsRuntime) {
    VirtualClock clock;
    auto two = runtime(2);
    std::vector<JoinHandle<ShardId>> sleepers;
    for (int i = 0; i < 100; ++i) {
        sleepers.push_back(two.handle().spawn_stealable([i]() -> Task<ShardId> {
            for (int round = 0; round < 5; ++round) {
                const auto slept = co_await sleep_for(std::chrono::microseconds(100 * (i % 7)));
                EXPECT_TRUE(slept.has_value());
            }
            co_return shard_here();
        }));
    }
    for (auto& sleeper : sleepers) {
        clock.advance_until_done(two.handle(), sleeper, 100us);
        EXPECT_LT(sleeper.get(), 2);
    }
    EXPECT_GT(two.handle().stats_snapshot().timers_fired, 0U);
}

class UringSleep : public UringTest {
protected:
    Watchdog watchdog_{"sleeps on rings"};
};

TEST_F(UringSleep, IsNothingThatTheKernelHearsOf) {
    auto one = builder(1).build();
    if (!entries_submitted()) {
        GTEST_SKIP() << "the ring's state in /proc/self/fdinfo is not available";
    }
    one.block_on([]() -> Task<> {
        constexpr std::size_t count = 1'000;
        const auto entries = entries_submitted();
        std::vector<JoinHandle<std::error_code>> sleepers;
        std::size_t begun = 0;
        for (std::size_t i = 0; i < count; ++i) {
            sleepers.push_back(ShardCtx::current()->spawn_local([&begun]() -> Task<std::error_code> {
                ++begun;
                co_return co_await sleep_and_tell(1h);
            }));
        }
        while (begun != count) {
            co_await yield();
        }
        for (auto& sleeper : sleepers) {
            sleeper.request_stop();
            EXPECT_EQ(co_await std::move(sleeper), std::errc::operation_canceled);
        }
        EXPECT_EQ(entries_submitted(), entries);
    }());
}

TEST_P(Sleep, TheDeadlineAndTheStopRace) {
    Random random(stress_seed());
    VirtualClock clock;
    auto two = runtime(2);
    const auto handle = two.handle();
    unsigned slept = 0;
    // How long the clock waits at most: it follows the winners, so that on a busy machine, too, each side wins some.
    std::uint32_t longest = 20'000;
    const unsigned rounds = scaled(3000, 500);
    for (unsigned round = 0; round < rounds; ++round) {
        auto sleeper = handle.spawn_pinned(0, sleep_and_tell(1us));
        finish_step(handle, 0);
        Event go;
        auto stopper = handle.spawn_pinned(1, [&, delay = random.below(20'000)] {
            go.wait();
            spin_for(std::chrono::nanoseconds(delay));
            sleeper.request_stop();
        });
        go.set();
        spin_for(std::chrono::nanoseconds(random.below(longest)));
        clock.advance(handle, 1us);
        stopper.get();
        const auto error = sleeper.get();
        ASSERT_TRUE(!error || error == std::errc::operation_canceled);
        slept += error ? 0 : 1;
        longest = std::clamp(error ? longest / 2 : longest * 2, 1'000U, 10'000'000U);
    }
    EXPECT_EQ(handle.stats_snapshot().timers_fired, slept);
    EXPECT_GT(slept, 0U);
    EXPECT_LT(slept, rounds);
}

TEST_P(Sleep, TimersFiredCountsThoseThatCameDue) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto handle = one.handle();
    std::vector<JoinHandle<std::error_code>> sleepers;
    for (int i = 0; i < 10; ++i) {
        sleepers.push_back(handle.spawn_pinned(0, sleep_and_tell(1ms)));
    }
    finish_step(handle, 0);
    clock.advance(handle, 1ms);
    for (auto& sleeper : sleepers) {
        EXPECT_FALSE(sleeper.get());
    }
    finish_step(handle, 0);
    EXPECT_EQ(handle.stats_snapshot().timers_fired, 10U);
}

}  // namespace
}  // namespace spargio::test
