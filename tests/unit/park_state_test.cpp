// SPDX-License-Identifier: MIT
// Tests of the sleep handshake's word: its transitions, one bell for each sleep, no item slept over.
#include "park_state.hpp"

#include <atomic>
#include <cstdint>
#include <semaphore>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "inbox.hpp"
#include "spargio/detail/seams.hpp"
#include "spargio/detail/work_item.hpp"
#include "support/race.hpp"
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
    ParkState state;
    bool rings = false;
    bool other_rings = false;
    int wrong = 0;
    const auto waker = [&state](bool& told) {
        return [&state, &told](RandomSource& random) {
            test::jitter(random, 3);
            told = state.notify();
        };
    };
    const auto check = [&] {
        wrong += rings == other_rings ? 1 : 0;
        wrong += state.resume() != Woken::Notified ? 1 : 0;
    };
    test::race(
        test::scaled(30'000, 5'000), [&state] { state.prepare(); }, waker(rings), {waker(other_rings)}, check);
    EXPECT_EQ(wrong, 0);
}

// The handshake at its core, with the queue that shards use: one store and one load on each side, at the same time.
TEST(ParkState, TheSleeperSeesTheItemOrTheWakerSeesTheSleeper) {
    ParkState state;
    Inbox inbox;
    WorkItem item([](WorkItem*, Shard*) noexcept {});
    bool sleeps = false;
    bool rings = false;
    int wrong = 0;
    const auto fall_asleep = [&](RandomSource& random) {
        test::jitter(random, 3);
        state.prepare();
        sleeps = inbox.empty();
    };
    const auto wake = [&](RandomSource& random) {
        test::jitter(random, 3);
        rings = inbox.try_push(&item) == Push::WasEmpty && state.notify();
    };
    const auto check = [&] {
        wrong += sleeps && !rings ? 1 : 0;
        wrong += (state.resume() == Woken::Notified) != rings ? 1 : 0;
        WorkList out;
        wrong += inbox.take_all(out) != 1 ? 1 : 0;
    };
    test::race(
        test::scaled(50'000, 5'000), [] {}, fall_asleep, {wake}, check);
    EXPECT_EQ(wrong, 0);
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
    for (std::uint64_t sleeps = 0; sleeps < 5'000 || told == 0; ++sleeps) {
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

TEST(ParkState, NoItemIsSleptOver) {
    constexpr int kWakers = 3;
    constexpr int kItems = 3'000;  // Of each waker.
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
