// SPDX-License-Identifier: MIT
#include "adaptive_mutex.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "support/process_gauges.hpp"
#include "support/race.hpp"
#include "support/stress.hpp"

namespace spargio::detail {
namespace {

using test::scaled;
using test::Watchdog;

class AdaptiveMutexTest : public ::testing::Test {
protected:
    Watchdog watchdog_{"mutex"};
};

TEST_F(AdaptiveMutexTest, SectionsExcludeEachOther) {
    const std::uint64_t rounds = scaled(300'000, 20'000);
    constexpr unsigned kThreads = 5;
    AdaptiveMutex mutex;
    std::uint64_t sum = 0;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            for (std::uint64_t round = 0; round < rounds; ++round) {
                const std::lock_guard lock(mutex);
                sum += round;
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(sum, kThreads * rounds * (rounds - 1) / 2);
}

/// Each of them sleeps in the kernel when it is unlocked, and one unlock is all there is.
TEST_F(AdaptiveMutexTest, ThoseWhoSleepAreWokenOneAfterTheOther) {
    constexpr unsigned kThreads = 8;
    AdaptiveMutex mutex;
    unsigned entered = 0;
    std::vector<std::atomic<pid_t>> ids(kThreads);
    std::vector<std::thread> threads;
    mutex.lock();
    for (auto& id : ids) {
        threads.emplace_back([&] {
            id = gettid();
            const std::lock_guard lock(mutex);
            ++entered;
        });
    }
    for (const auto& id : ids) {
        while (id == 0) {
            std::this_thread::yield();
        }
        test::wait_until_asleep(id);
    }
    EXPECT_EQ(entered, 0U);
    mutex.unlock();
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(entered, kThreads);
}

/// Who wants to sleep comes late to the kernel now and then, as one that has lost its CPU.
struct LateFutex : KernelFutex {
    static void wait(const void* word, std::uint32_t value) noexcept {
        thread_local test::Random random(test::stress_seed() + static_cast<std::uint64_t>(gettid()));
        if (random.one_in(8)) {
            test::pause_for(std::chrono::microseconds(200));
        }
        KernelFutex::wait(word, value);
    }
};

/// Sections that are long enough for the others to sleep, and words that are again as a late sleeper has left them.
TEST_F(AdaptiveMutexTest, NobodySleepsForEver) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(scaled(2'000, 1'000));
    BasicAdaptiveMutex<LateFutex> mutex;
    std::atomic<unsigned> inside{0};
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 4; ++i) {
        threads.emplace_back([&, random = test::Random(test::stress_seed() + i)]() mutable {
            while (std::chrono::steady_clock::now() < end) {
                const std::lock_guard lock(mutex);
                EXPECT_EQ(inside.fetch_add(1), 0U);
                if (random.one_in(16)) {
                    test::pause_for(std::chrono::nanoseconds(random.below(20'000)));
                }
                inside.fetch_sub(1);
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
}

/// As a reference count under a lock does: whoever finds that it is the last one frees what the mutex is in.
TEST_F(AdaptiveMutexTest, TheLastOneMayDestroyIt) {
    struct Shared {
        AdaptiveMutex mutex;
        int users = 2;
    };
    test::Rival rival;
    for (unsigned round = 0; round < scaled(20'000, 2'000); ++round) {
        auto* shared = new Shared;
        const auto leave = [shared] {
            shared->mutex.lock();
            const bool last = --shared->users == 0;
            shared->mutex.unlock();
            if (last) {
                delete shared;
            }
        };
        rival.race(leave, leave);
    }
}

}  // namespace
}  // namespace spargio::detail
