// SPDX-License-Identifier: MIT
// Tests of the seams: the random source, the clock, the atomics.
#include "spargio/detail/seams.hpp"

#include <array>
#include <cstdint>

#include <gtest/gtest.h>

namespace spargio::detail {
namespace {

static_assert(clock::is_steady);
static_assert(atomic<std::uintptr_t>::is_always_lock_free && atomic<std::uint32_t>::is_always_lock_free);

// Of the published generator: x = 1, shifts 12, 25, 27, times the constant.
static_assert(RandomSource(1).next() == 0x47E4CE4B896CDD1DULL);

TEST(RandomSource, TheSameSeedGivesTheSameNumbers) {
    RandomSource a(42);
    RandomSource b(42);
    RandomSource c(43);
    bool differs = false;
    for (int i = 0; i < 100; ++i) {
        const auto number = a.next();
        EXPECT_EQ(number, b.next());
        differs |= number != c.next();
    }
    EXPECT_TRUE(differs);
}

TEST(RandomSource, SeedZeroIsNotStuck) {
    RandomSource random(0);
    EXPECT_NE(random.next(), 0U);
    EXPECT_NE(random.next(), random.next());
}

TEST(RandomSource, BelowStaysBelowItsBound) {
    RandomSource random(7);
    for (const std::uint32_t bound : {1U, 2U, 3U, 7U, 1000U, 0x80000000U, 0xFFFFFFFFU}) {
        for (int i = 0; i < 1000; ++i) {
            ASSERT_LT(random.below(bound), bound);
        }
    }
}

TEST(RandomSource, BelowGivesEveryNumberAboutAsOften) {
    RandomSource random(11);
    std::array<int, 5> seen{};
    for (int i = 0; i < 10'000; ++i) {
        ++seen[random.below(5)];
    }
    for (const int count : seen) {
        EXPECT_GT(count, 1800);
        EXPECT_LT(count, 2200);
    }
}

TEST(CpuRelax, Returns) {
    cpu_relax();
}

}  // namespace
}  // namespace spargio::detail
