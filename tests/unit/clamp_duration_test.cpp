// SPDX-License-Identifier: MIT
// Tests of how durations of any kind become nanoseconds: clamped, rounded up, without overflow.
#include "spargio/detail/clamp_duration.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>

#include <gtest/gtest.h>

namespace spargio::detail {
namespace {

using std::chrono::duration;
using std::chrono::nanoseconds;

constexpr nanoseconds none{0};
constexpr nanoseconds most{std::int64_t{1} << 62U};
constexpr auto infinity = std::numeric_limits<double>::infinity();
constexpr auto nan = std::numeric_limits<double>::quiet_NaN();

// In constant expressions, so that an overflow does not compile.
static_assert(clamp_duration(nanoseconds(0)) == none);
static_assert(clamp_duration(nanoseconds(1)) == nanoseconds(1));
static_assert(clamp_duration(std::chrono::milliseconds(5)) == nanoseconds(5'000'000));
static_assert(clamp_duration(std::chrono::hours(24)) == std::chrono::hours(24));
static_assert(clamp_duration(most - nanoseconds(1024)) <= most);
static_assert(clamp_duration(most) == most);

static_assert(clamp_duration(nanoseconds(-1)) == none);
static_assert(clamp_duration(nanoseconds::min()) == none);
static_assert(clamp_duration(std::chrono::hours(-1)) == none);
static_assert(clamp_duration(std::chrono::hours::min()) == none);
static_assert(clamp_duration(std::chrono::years::min()) == none);

static_assert(clamp_duration(nanoseconds::max()) == most);
static_assert(clamp_duration(std::chrono::microseconds::max()) == most);
static_assert(clamp_duration(std::chrono::milliseconds::max()) == most);
static_assert(clamp_duration(std::chrono::seconds::max()) == most);
static_assert(clamp_duration(std::chrono::hours::max()) == most);
static_assert(clamp_duration(std::chrono::years::max()) == most);
static_assert(clamp_duration(duration<std::uint64_t>(~std::uint64_t{0})) == most);
static_assert(clamp_duration(duration<std::uint64_t, std::nano>(~std::uint64_t{0})) == most);

static_assert(clamp_duration(std::chrono::microseconds(most.count() / 1000)) ==
              nanoseconds(most.count() / 1000 * 1000));
static_assert(clamp_duration(std::chrono::microseconds(most.count() / 1000 + 1)) == most);
static_assert(clamp_duration(duration<std::int64_t, std::ratio<std::numeric_limits<std::int64_t>::max()>>(1)) == most);
static_assert(clamp_duration(duration<std::uint8_t, std::milli>(255)) == std::chrono::milliseconds(255));
static_assert(clamp_duration(duration<char, std::milli>('\x7f')) == std::chrono::milliseconds(127));

static_assert(clamp_duration(duration<double>(nan)) == none);
static_assert(clamp_duration(duration<double>(infinity)) == most);
static_assert(clamp_duration(duration<double>(-infinity)) == none);
static_assert(clamp_duration(duration<double>(-0.0)) == none);
static_assert(clamp_duration(duration<double>::max()) == most);
static_assert(clamp_duration(duration<double>::min()) == none);  // chrono's min is the lowest.
static_assert(clamp_duration(duration<float>(std::numeric_limits<float>::quiet_NaN())) == none);
static_assert(clamp_duration(duration<float>::max()) == most);
static_assert(clamp_duration(duration<long double>::max()) == most);

// Waking early would be a mistake: up, never down.
static_assert(clamp_duration(duration<double>(0.5)) == std::chrono::milliseconds(500));
static_assert(clamp_duration(duration<double, std::nano>(0.25)) == nanoseconds(1));
static_assert(clamp_duration(duration<double, std::nano>(1.5)) == nanoseconds(2));
static_assert(clamp_duration(duration<double>(std::numeric_limits<double>::denorm_min())) == nanoseconds(1));
static_assert(clamp_duration(duration<std::int64_t, std::pico>(1)) == nanoseconds(1));
static_assert(clamp_duration(duration<std::int64_t, std::pico>(2001)) == nanoseconds(3));
static_assert(clamp_duration(duration<std::int64_t, std::atto>::max()) == nanoseconds(9'223'372'037));
static_assert(clamp_duration(duration<std::int8_t>(127)) == std::chrono::seconds(127));
static_assert(clamp_duration(duration<std::int64_t, std::ratio<1, 3>>(1)) == nanoseconds(333'333'334));
static_assert(clamp_duration(duration<std::int64_t, std::ratio<7, 1'000'000'000'000>>::max()) ==
              nanoseconds(64'563'604'257'983'431));
static_assert(clamp_duration(duration<std::int64_t, std::ratio<1, 10'000'000'019>>(10'000'000'018)) ==
              std::chrono::seconds(1));

// Below the limit, with a period that is no whole number of nanoseconds: the conversion must not overflow on its way.
TEST(ClampDuration, PeriodsThatDoNotDivideIntoNanoseconds) {
    using Samples = duration<std::int64_t, std::ratio<1, 44'100>>;
    using Frames = duration<std::int64_t, std::ratio<1, 60>>;
    EXPECT_EQ(clamp_duration(Samples(44'100)), std::chrono::seconds(1));
    EXPECT_EQ(clamp_duration(Samples(std::int64_t{44'100} * 86'400 * 365)), std::chrono::hours(24 * 365));
    EXPECT_EQ(clamp_duration(Frames(std::int64_t{60} * 4'000'000'000)), std::chrono::seconds(4'000'000'000));
    EXPECT_EQ(clamp_duration(Frames::max()), most);
    EXPECT_EQ(clamp_duration(Frames::min()), none);
}

}  // namespace
}  // namespace spargio::detail
