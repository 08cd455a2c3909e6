// SPDX-License-Identifier: MIT
// Tests of the adaptive spin.
#include "adaptive_spin.hpp"

#include <chrono>

#include <gtest/gtest.h>

#include "spargio/detail/seams.hpp"

namespace spargio::detail {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

TEST(AdaptiveSpin, StartsAtItsLimit) {
    const AdaptiveSpin spin(microseconds(20));
    EXPECT_EQ(spin.budget(), microseconds(20));
}

TEST(AdaptiveSpin, AMissHalvesTheBudgetDownToNothing) {
    AdaptiveSpin spin(microseconds(10));
    spin.miss();
    EXPECT_EQ(spin.budget(), microseconds(5));
    spin.miss();
    EXPECT_EQ(spin.budget(), nanoseconds(2500));
    spin.miss();
    EXPECT_EQ(spin.budget(), nanoseconds(1250));
    spin.miss();
    EXPECT_EQ(spin.budget(), nanoseconds(0));
    spin.miss();
    EXPECT_EQ(spin.budget(), nanoseconds(0));
}

TEST(AdaptiveSpin, AHitRaisesItToTheLimit) {
    AdaptiveSpin spin(microseconds(10));
    for (int i = 0; i < 10; ++i) {
        spin.miss();
    }
    spin.hit();
    EXPECT_EQ(spin.budget(), microseconds(10));
}

TEST(AdaptiveSpin, AShortSleepWouldHaveBeenAHit) {
    AdaptiveSpin spin(microseconds(10));
    for (int i = 0; i < 10; ++i) {
        spin.miss();
    }
    spin.slept(microseconds(10));
    EXPECT_EQ(spin.budget(), nanoseconds(0));
    spin.slept(microseconds(9));
    EXPECT_EQ(spin.budget(), microseconds(10));
}

/// Others want the CPU: the looks between two offers take far longer than looks take.
void lose_the_cpu(AdaptiveSpin& spin) {
    EXPECT_FALSE(spin.spin([] {
        const auto until = clock::now() + microseconds(2);
        while (clock::now() < until) {}
        return false;
    }));
    EXPECT_EQ(spin.budget(), nanoseconds(0));
}

/// How many short sleeps go by before it spins again.
int sleeps_before_spinning(AdaptiveSpin& spin) {
    int sleeps = 0;
    while (spin.budget() == nanoseconds(0)) {
        spin.slept(microseconds(1));
        ++sleeps;
    }
    return sleeps - 1;
}

TEST(AdaptiveSpin, ALostCpuEndsTheSpinningForAWhile) {
    AdaptiveSpin spin(microseconds(10));
    for (const int sleeps : {4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4096}) {
        lose_the_cpu(spin);
        EXPECT_EQ(sleeps_before_spinning(spin), sleeps);
        EXPECT_EQ(spin.budget(), microseconds(10));
        spin.hit();
    }
}

TEST(AdaptiveSpin, ALostCpuEndsTheSpinningForAShortWhileIfItHasPaid) {
    AdaptiveSpin spin(microseconds(10));
    const auto sleeps_after_hits = [&spin](int hits) {
        for (int i = 0; i < hits; ++i) {
            spin.hit();
        }
        lose_the_cpu(spin);
        return sleeps_before_spinning(spin);
    };
    EXPECT_EQ(sleeps_after_hits(0), 4);
    EXPECT_EQ(sleeps_after_hits(1023), 8);
    EXPECT_EQ(sleeps_after_hits(1024), 4);
    EXPECT_EQ(sleeps_after_hits(0), 8);
}

TEST(AdaptiveSpin, WithoutABudgetItDoesNotLook) {
    AdaptiveSpin spin(nanoseconds(0));
    int looks = 0;
    const auto look = [&looks] {
        ++looks;
        return true;
    };
    EXPECT_FALSE(spin.spin(look));
    EXPECT_EQ(looks, 0);
    spin.hit();
    spin.slept(nanoseconds(0));
    EXPECT_FALSE(spin.spin(look));
    EXPECT_EQ(looks, 0);
}

TEST(AdaptiveSpin, EndsWithTheFirstLookThatFindsSomething) {
    AdaptiveSpin spin(std::chrono::hours(1));
    spin.miss();
    int looks = 0;
    EXPECT_TRUE(spin.spin([&looks] { return ++looks == 100; }));
    EXPECT_EQ(looks, 100);
    EXPECT_EQ(spin.budget(), std::chrono::hours(1));
}

// What was known to come has not paid for the spin.
TEST(AdaptiveSpin, EndsWithWhatIsOverAndCountsIt) {
    AdaptiveSpin spin(std::chrono::hours(1));
    int looks = 0;
    EXPECT_TRUE(spin.spin([] { return false; }, [&looks] { return ++looks == 100; }));
    EXPECT_EQ(looks, 100);
    EXPECT_EQ(spin.budget(), std::chrono::minutes(30));
    EXPECT_TRUE(spin.spin([] { return true; }, [] { return true; }));
    EXPECT_EQ(spin.budget(), std::chrono::hours(1)) << "what came is a reward all the same";
}

TEST(AdaptiveSpinTimings, AMissTakesTheWholeBudget) {
    // Where others want the CPU, it may be lost in between, which ends the spinning: then once more.
    for (int attempt = 0; attempt < 1000; ++attempt) {
        AdaptiveSpin spin(microseconds(200));
        int looks = 0;
        const auto begin = clock::now();
        EXPECT_FALSE(spin.spin([&looks] {
            ++looks;
            return false;
        }));
        EXPECT_GE(clock::now() - begin, microseconds(200));
        EXPECT_GT(looks, 0);
        if (spin.budget() != nanoseconds(0)) {
            EXPECT_EQ(spin.budget(), microseconds(100));
            return;
        }
    }
    FAIL() << "the CPU was lost in each of a thousand spins";
}

TEST(AdaptiveSpin, AGlanceEndsWithTheFirstLookThatFindsSomething) {
    AdaptiveSpin spin(microseconds(50));
    int looks = 0;
    EXPECT_TRUE(spin.glance([&looks] { return ++looks == 20; }, [] { return false; }));
    EXPECT_EQ(looks, 20);
}

TEST(AdaptiveSpin, AGlanceLooksFirstAndIsThenGivenUpForSomethingBetter) {
    AdaptiveSpin spin(microseconds(50));
    int looks = 0;
    const auto better = [] { return true; };
    EXPECT_TRUE(spin.glance([&looks] { return ++looks == 9; }, better));
    looks = 0;
    EXPECT_FALSE(spin.glance(
        [&looks] {
            ++looks;
            return false;
        },
        better));
    EXPECT_EQ(looks, 9);
}

TEST(AdaptiveSpin, WithoutABudgetItDoesNotGlance) {
    AdaptiveSpin spin(nanoseconds(0));
    const auto ready = [] { return true; };
    EXPECT_FALSE(spin.glance(ready, ready));
}

TEST(AdaptiveSpin, OffersThatNobodyTakesBecomeRarer) {
    AdaptiveSpin spin(microseconds(50));
    EXPECT_EQ(spin.looks(), 32);
    for (const int next : {64, 128, 128}) {
        EXPECT_TRUE(spin.offered(microseconds(1), nanoseconds(300)));
        EXPECT_EQ(spin.looks(), next);
    }
    int looks = 0;
    EXPECT_FALSE(spin.glance(
        [&looks] {
            ++looks;
            return false;
        },
        [] { return false; }));
    EXPECT_EQ(looks, 128);
}

TEST(AdaptiveSpin, AnOfferThatIsTakenMakesThemFrequentAgain) {
    AdaptiveSpin spin(microseconds(50));
    for (int i = 0; i < 2; ++i) {
        EXPECT_TRUE(spin.offered(microseconds(1), nanoseconds(300)));
    }
    EXPECT_TRUE(spin.offered(microseconds(8), nanoseconds(599)));
    EXPECT_EQ(spin.looks(), 128);
    EXPECT_TRUE(spin.offered(microseconds(8), nanoseconds(600)));
    EXPECT_EQ(spin.looks(), 32);
}

TEST(AdaptiveSpin, AMissMakesOffersFrequentAgain) {
    AdaptiveSpin spin(microseconds(50));
    EXPECT_TRUE(spin.offered(microseconds(1), nanoseconds(300)));
    EXPECT_EQ(spin.looks(), 64);
    spin.miss();
    EXPECT_EQ(spin.looks(), 32);
}

TEST(AdaptiveSpin, TheMoreLooksTheLongerTheyMayTake) {
    AdaptiveSpin spin(microseconds(50));
    for (int i = 0; i < 2; ++i) {
        EXPECT_TRUE(spin.offered(microseconds(1), nanoseconds(300)));
    }
    EXPECT_TRUE(spin.offered(microseconds(60), nanoseconds(300)));
    EXPECT_EQ(spin.looks(), 128);
    EXPECT_FALSE(spin.offered(microseconds(8), microseconds(62)));
    EXPECT_EQ(spin.budget(), nanoseconds(0));
    EXPECT_EQ(spin.looks(), 32);
    EXPECT_FALSE(spin.offered(microseconds(1), microseconds(50)));
}

TEST(AdaptiveSpin, WhoHasWokenSomebodyOffersTheCpuAtOnce) {
    AdaptiveSpin spin(microseconds(50));
    // Looks so long that the first offer comes too late, and ends the spin; after it there is one more.
    const auto looks_before_an_offer = [&spin] {
        spin.hit();
        int looks = 0;
        EXPECT_FALSE(spin.spin([&looks] {
            ++looks;
            const auto until = clock::now() + microseconds(71);
            while (clock::now() < until) {}
            return false;
        }));
        return looks - 1;
    };
    spin.woke();
    EXPECT_EQ(looks_before_an_offer(), 1);
    EXPECT_EQ(looks_before_an_offer(), 32) << "once for each that was woken";
}

}  // namespace
}  // namespace spargio::detail
