// SPDX-License-Identifier: MIT
// Tests of waiting on a word.
#include "futex.hpp"

#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "spargio/detail/atomic.hpp"

namespace spargio::detail {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

TEST(Futex, DeadlinesBecomeKernelTimes) {
    const auto time = to_timespec(clock::time_point(nanoseconds(12'345'678'901)));
    EXPECT_EQ(time.tv_sec, 12);
    EXPECT_EQ(time.tv_nsec, 345'678'901);
    EXPECT_EQ(to_timespec(clock::time_point(nanoseconds(-1))).tv_nsec, 0);
    EXPECT_EQ(to_timespec(clock::time_point::min()).tv_sec, 0);
    EXPECT_EQ(to_timespec(clock::time_point::max()).tv_nsec, 854'775'807);
}

TEST(Futex, DoesNotSleepOnAnotherValue) {
    const atomic<std::uint32_t> word{1};
    futex_wait(&word, 0, clock::time_point::max());
}

TEST(Futex, SleepsUntilTheDeadline) {
    const atomic<std::uint32_t> word{1};
    const auto deadline = clock::now() + milliseconds(20);
    unsigned sleeps = 0;
    for (; clock::now() < deadline; ++sleeps) {
        futex_wait(&word, 1, deadline);  // It may return for no reason, but not again and again.
    }
    EXPECT_LT(sleeps, 100U);
    futex_wait(&word, 1, clock::time_point::min());
}

TEST(Futex, AWakeEndsTheSleep) {
    atomic<std::uint32_t> word{0};
    std::thread sleeper([&word] {
        while (word.load() == 0) {
            futex_wait(&word, 0, clock::time_point::max());
        }
    });
    word.store(1);
    futex_wake(&word);
    sleeper.join();
}

}  // namespace
}  // namespace spargio::detail
