// SPDX-License-Identifier: MIT
// Tests of where ending shards wait for each other.
#include "shutdown_sync.hpp"

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace spargio::detail {
namespace {

TEST(ShutdownSync, OneOfManyBegins) {
    ShutdownSync sync;
    std::atomic<int> began{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            if (sync.begin()) {
                began.fetch_add(1);
                sync.finish();
            }
            sync.wait_finished();
            EXPECT_EQ(began.load(), 1);
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_FALSE(sync.begin());
    sync.wait_finished();  // Does not wait again.
}

TEST(ShutdownSync, TheLastToArriveActsAloneInEachRound) {
    constexpr std::size_t kParties = 4;
    constexpr int kRounds = 200;
    ShutdownSync sync;
    std::atomic<std::size_t> inside{0};
    int rounds = 0;  // Written by the last of each round, while all others wait.
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kParties; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < kRounds; ++round) {
                inside.fetch_add(1);
                sync.arrive_and_wait(kParties, [&] {
                    wrong += inside.exchange(0) != kParties ? 1 : 0;
                    ++rounds;
                });
                wrong += rounds != round + 1 ? 1 : 0;
                sync.arrive_and_wait(kParties);
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(wrong.load(), 0);
    EXPECT_EQ(rounds, kRounds);
}

TEST(ShutdownSync, AloneItDoesNotWait) {
    ShutdownSync sync;
    int calls = 0;
    sync.arrive_and_wait(1, [&calls] { ++calls; });
    sync.arrive_and_wait(1);
    EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace spargio::detail
