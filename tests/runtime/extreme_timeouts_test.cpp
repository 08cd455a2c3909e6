// SPDX-License-Identifier: MIT
// timeout() and sleep_until() at both ends of what a duration can say: for ever, or not at all; never an overflow.
#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>
#include <system_error>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/small_tasks.hpp"
#include "support/stress.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;
using std::chrono::time_point;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr std::uint64_t all_ones = ~std::uint64_t{0};

/// Calls `f` with durations that are longer than the clock's.
template <class F>
void for_each_endless(F f) {
    f(std::chrono::nanoseconds::max());
    f(std::chrono::microseconds::max());
    f(std::chrono::hours::max());
    f(std::chrono::years::max());
    f(std::chrono::hours(3'000'000));  // More nanoseconds than 64 bits hold.
    f(duration<double>(infinity));
    f(duration<double>::max());
    f(duration<float, std::milli>::max());
    f(duration<long double>::max());
    f(duration<std::uint64_t>(all_ones));
    f(duration<std::uint64_t, std::nano>(all_ones));
    f(duration<std::uint32_t, std::ratio<86'400>>(0xFFFFFFFF));
}

/// Calls `f` with durations that are none.
template <class F>
void for_each_nothing(F f) {
    f(std::chrono::nanoseconds(0));
    f(std::chrono::nanoseconds(-1));
    f(std::chrono::nanoseconds::min());
    f(std::chrono::hours::min());
    f(std::chrono::years::min());
    f(duration<double>(-infinity));
    f(duration<double>(not_a_number));
    f(duration<double>(-0.0));
    f(duration<float>::min());  // chrono's is the lowest.
    f(duration<std::uint64_t>(0));
    f(duration<std::int8_t>(-128));
}

class ExtremeTimeouts : public BackendTest {
protected:
    static constexpr auto century = std::chrono::hours(24 * 365 * 100);

    Watchdog watchdog_{"extreme durations"};
    VirtualClock clock_;
    Runtime one_ = runtime(1);
    RuntimeHandle handle_ = one_.handle();
};
SPARGIO_ON_BOTH_BACKENDS(ExtremeTimeouts);

// After a hundred years each still waits, and gives the value.
TEST_P(ExtremeTimeouts, AnEndlessOneGivesTheValueWheneverItComes) {
    Event go;
    std::vector<JoinHandle<Result<int>>> limited;
    for_each_endless(
        [&](auto limit) { limited.push_back(handle_.spawn_pinned(0, timeout(limit, number_after(go, 7)))); });
    finish_step(handle_, 0);
    clock_.advance(handle_, century);
    for (auto& each : limited) {
        EXPECT_FALSE(each.done());
    }
    go.set();
    for (auto& each : limited) {
        EXPECT_EQ(each.get(), Result<int>(7));
    }
    EXPECT_EQ(handle_.stats_snapshot().timers_fired, 0U);
}

Task<int> seven_at_once() {
    co_return 7;
}

// The first step is always given. What has not ended in it is stopped, though the clock stands still.
TEST_P(ExtremeTimeouts, NoTimeAtAllIsTimedOutUnlessTheValueIsThere) {
    for_each_nothing([&](auto limit) {
        EXPECT_EQ(handle_.spawn_pinned(0, timeout(limit, seven_at_once())).get(), Result<int>(7));
        Event never_set;
        auto late = handle_.spawn_pinned(0, timeout(limit, number_after(never_set, 7)));
        EXPECT_EQ(late.get().error(), std::errc::timed_out);
    });
}

template <class Duration>
Task<std::error_code> sleep_until_tells(time_point<steady_clock, Duration> due) {
    const auto slept = co_await sleep_until(due);
    co_return slept.error();
}

// With a precision of its own, a time may be outside of what the clock can tell.
TEST_P(ExtremeTimeouts, TimesOfAnyPrecisionAreClamped) {
    const auto due = [](auto since_epoch) { return time_point<steady_clock, decltype(since_epoch)>(since_epoch); };
    for_each_nothing(
        [&](auto past) { EXPECT_EQ(handle_.spawn_pinned(0, sleep_until_tells(due(past))).get(), std::error_code()); });
    EXPECT_EQ(handle_.stats_snapshot().timers_fired, 0U);
    std::vector<JoinHandle<std::error_code>> sleepers;
    for_each_endless([&](auto far) { sleepers.push_back(handle_.spawn_pinned(0, sleep_until_tells(due(far)))); });
    finish_step(handle_, 0);
    clock_.advance(handle_, century);
    for (auto& sleeper : sleepers) {
        EXPECT_FALSE(sleeper.done());
        sleeper.request_stop();
        EXPECT_EQ(sleeper.get(), std::errc::operation_canceled);
    }
}

// The clock itself at its end: what is due then is over, and what would be due later is due then.
TEST_P(ExtremeTimeouts, TheLastMomentOfTheClockComes) {
    clock_.set(steady_clock::time_point::max() - std::chrono::seconds(1));
    auto last = handle_.spawn_pinned(0, sleep_until_tells(steady_clock::time_point::max()));
    Event never_set;
    auto limited = handle_.spawn_pinned(0, timeout(std::chrono::hours(1), number_after(never_set, 7)));
    for (int i = 0; i < 65; ++i) {
        finish_step(handle_, 0);  // More than a turn has: it has looked at its timers.
    }
    EXPECT_FALSE(last.done());
    EXPECT_EQ(handle_.stats_snapshot().timers_fired, 0U);
    clock_.advance(handle_, std::chrono::seconds(1));
    EXPECT_EQ(last.get(), std::error_code());
    EXPECT_EQ(limited.get().error(), std::errc::timed_out);
}

}  // namespace
}  // namespace spargio::test
