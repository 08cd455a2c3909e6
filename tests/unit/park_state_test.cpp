// SPDX-License-Identifier: MIT
// Tests of the sleep handshake's word: its transitions, one bell for each sleep, no item slept over.
#include "spargio/detail/park_state.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <semaphore>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "spargio/detail/inbox.hpp"
#include "spargio/detail/seams.hpp"
#include "spargio/detail/work_item.hpp"
#include "start_line.hpp"
#include "support/stress.hpp"

namespace spargio::detail {
namespace {

using Woken = ParkState::Woken;

TEST(ParkState, ARunningShardNeedsNoBell) {
    ParkState state;
    EXPECT_FALSE(state.is_parked());
    EXPECT_EQ(state.word().load(), ParkState::running);
    EXPECT_FALSE(state.notify());
    EXPECT_EQ(state.word().load(), ParkState::running);
}

TEST(ParkState, TheFirstWakerOfASleepRings) {
    ParkState state;
    state.prepare();
    EXPECT_TRUE(state.is_parked());
    EXPECT_EQ(state.word().load(), ParkState::parked);
    EXPECT_TRUE(state.notify());
    EXPECT_FALSE(state.is_parked());
    EXPECT_EQ(state.word().load(), ParkState::notified);
    EXPECT_FALSE(state.notify());
    EXPECT_EQ(state.word().load(), ParkState::notified);
}

TEST(ParkState, ResumeTellsWhetherABellIsOwed) {
    ParkState state;
    state.prepare();
    EXPECT_EQ(state.resume(), Woken::Alone);
    EXPECT_EQ(state.word().load(), ParkState::running);
    state.prepare();
    EXPECT_TRUE(state.notify());
    EXPECT_EQ(state.resume(), Woken::Notified);
    EXPECT_EQ(state.word().load(), ParkState::running);
    EXPECT_FALSE(state.notify());
}

TEST(ParkState, EachSleepHasItsOwnBell) {
    ParkState state;
    for (int sleep = 0; sleep < 3; ++sleep) {
        state.prepare();
        EXPECT_TRUE(state.notify());
        EXPECT_FALSE(state.notify());
        EXPECT_EQ(state.resume(), Woken::Notified);
    }
}

TEST(ParkState, OfTwoRacingWakersOneRings) {
    const unsigned rounds = test::scaled(30'000, 5'000);
    const auto seed = test::stress_seed();
    ParkState state;
    bool other_rings = false;
    test::StartLine line(2);
    std::thread other([&] {
        RandomSource random(seed + 1);
        for (unsigned round = 0; round < rounds; ++round) {
            line.arrive_and_wait();
            test::spin(random.below(3));
            other_rings = state.notify();
            line.arrive_and_wait();
        }
    });
    RandomSource random(seed);
    unsigned wrong = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        state.prepare();
        line.arrive_and_wait();
        test::spin(random.below(3));
        const bool rings = state.notify();
        line.arrive_and_wait();
        wrong += rings == other_rings ? 1 : 0;
        wrong += state.resume() != Woken::Notified ? 1 : 0;
    }
    other.join();
    EXPECT_EQ(wrong, 0U);
}

// The handshake at its core, with the queue that shards use: one store and one load on each side, at the same time.
TEST(ParkState, TheSleeperSeesTheItemOrTheWakerSeesTheSleeper) {
    const unsigned rounds = test::scaled(50'000, 5'000);
    const auto seed = test::stress_seed();
    ParkState state;
    Inbox inbox;
    WorkItem item([](WorkItem*, Shard*) noexcept {});
    bool rings = false;
    test::StartLine line(2);
    std::thread waker([&] {
        RandomSource random(seed + 1);
        for (unsigned round = 0; round < rounds; ++round) {
            line.arrive_and_wait();
            test::spin(random.below(4));
            rings = inbox.try_push(&item) == Push::WasEmpty && state.notify();
            line.arrive_and_wait();
        }
    });
    RandomSource random(seed);
    unsigned wrong = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        line.arrive_and_wait();
        test::spin(random.below(4));
        state.prepare();
        const bool sleeps = inbox.empty();
        line.arrive_and_wait();
        wrong += sleeps && !rings ? 1 : 0;
        wrong += (state.resume() == Woken::Notified) != rings ? 1 : 0;
        WorkList out;
        wrong += inbox.take_all(out) != 1 ? 1 : 0;
    }
    waker.join();
    EXPECT_EQ(wrong, 0U);
}

TEST(ParkState, ASleeperLearnsOfEveryBellThatSomebodyTookUponHimself) {
    constexpr int kWakers = 3;
    ParkState state;
    std::atomic<bool> done{false};
    std::atomic<std::uint64_t> duties{0};
    std::vector<std::thread> wakers;
    for (int i = 0; i < kWakers; ++i) {
        wakers.emplace_back([&] {
            while (!done.load(std::memory_order_relaxed)) {
                if (state.notify()) {
                    duties.fetch_add(1, std::memory_order_relaxed);
                }
            }
        });
    }
    std::uint64_t told = 0;
    std::uint64_t alone = 0;
    for (std::uint64_t sleeps = 0; sleeps < 20'000 || told == 0; ++sleeps) {
        state.prepare();
        for (std::uint64_t spin = sleeps % 64; spin != 0; --spin) {
            cpu_relax();
        }
        (state.resume() == Woken::Notified ? told : alone) += 1;
    }
    done.store(true);
    for (auto& waker : wakers) {
        waker.join();
    }
    EXPECT_EQ(told, duties.load());
}

// One item at a time: a wake that is lost is not made good by the next one.
TEST(ParkState, NoItemIsSleptOver) {
    const unsigned items = test::scaled(50'000, 10'000);
    const auto seed = test::stress_seed();
    ParkState state;
    std::atomic<unsigned> queue{0};
    std::atomic<unsigned> taken{0};
    std::atomic<bool> lost{false};
    std::counting_semaphore<> bell(0);
    std::thread waker([&] {
        RandomSource random(seed + 1);
        for (unsigned item = 0; item < items && !lost.load(); ++item) {
            while (taken.load(std::memory_order_acquire) != item && !lost.load()) {
                std::this_thread::yield();
            }
            test::spin(random.below(20));
            queue.store(1, std::memory_order_seq_cst);
            if (state.notify()) {
                bell.release();
            }
        }
    });
    RandomSource random(seed);
    while (taken.load() < items && !lost.load()) {
        test::spin(random.below(20));
        state.prepare();
        const bool sleeps = queue.load(std::memory_order_seq_cst) == 0;
        if (sleeps && !bell.try_acquire_for(std::chrono::seconds(20))) {
            lost.store(true);
        }
        const bool owed = state.resume() == Woken::Notified;
        if (owed && !sleeps) {
            bell.acquire();
        }
        EXPECT_TRUE(owed || !sleeps || lost.load());
        taken.fetch_add(queue.exchange(0), std::memory_order_release);
    }
    waker.join();
    EXPECT_FALSE(lost.load());
    EXPECT_EQ(taken.load(), items);
}

TEST(ParkState, NoItemOfManyWakersIsSleptOver) {
    constexpr int kWakers = 3;
    constexpr int kItems = 5'000;  // Of each waker.
    ParkState state;
    std::atomic<int> queue{0};
    std::counting_semaphore<> bell(0);
    std::vector<std::thread> wakers;
    for (int i = 0; i < kWakers; ++i) {
        wakers.emplace_back([&] {
            for (int item = 0; item < kItems; ++item) {
                queue.fetch_add(1, std::memory_order_seq_cst);
                if (state.notify()) {
                    bell.release();
                }
            }
        });
    }
    int taken = 0;
    while (taken < kWakers * kItems) {
        state.prepare();
        const bool sleeps = queue.load(std::memory_order_seq_cst) == 0;
        if (sleeps) {
            bell.acquire();
        }
        const bool owed = state.resume() == Woken::Notified;
        EXPECT_TRUE(owed || !sleeps);
        if (owed && !sleeps) {
            bell.acquire();
        }
        taken += queue.exchange(0);
    }
    for (auto& waker : wakers) {
        waker.join();
    }
    EXPECT_EQ(taken, kWakers * kItems);
}

}  // namespace
}  // namespace spargio::detail
