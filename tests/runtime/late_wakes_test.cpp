// SPDX-License-Identifier: MIT
// late_wakes counts a wake that was lost: what other tests assert to be 0 can be something else.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include <liburing.h>

#include "scheduler.hpp"
#include "shard.hpp"
#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/ring_descriptors.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"
#include "uring.hpp"

namespace spargio::test {
namespace {

class UringLateWakes : public UringTest {
protected:
    Watchdog watchdog_{"late wakes"};
};

// The kernel takes the bell, and nobody hears it.
TEST_F(UringLateWakes, CountABellThatWasRungAndNeverHeard) {
    Runtime runtime = builder(1).idle_spin(std::chrono::microseconds(0)).build();
    const auto handle = runtime.handle();
    const Capabilities capabilities = handle.capabilities();
    if (!capabilities.registered_ring_fd || !capabilities.send_msg_ring) {
        GTEST_SKIP() << "registered ring descriptors or IORING_REGISTER_SEND_MSG_RING are not available";
    }
    const auto rings = ring_descriptors();
    ASSERT_EQ(rings.size(), 1U);
    io_uring stranger{};
    ASSERT_EQ(io_uring_queue_init(8, &stranger, 0), 0);
    for (const auto parks = handle.stats_snapshot().parks; handle.stats_snapshot().parks == parks;) {
        std::this_thread::yield();  // It has just gone to sleep: a whole safety time-out is to come.
    }
    {
        const OutOfReach elsewhere(rings.front(), stranger.ring_fd);
        handle.spawn_pinned(0, [] {}).get();  // At the safety time-out.
    }
    EXPECT_EQ(handle.stats_snapshot().late_wakes, 1U);
    // The bell is owed still, and a shutdown waits for it: a ring that were closed now could be another's when it
    // comes.
    std::atomic<bool> over{false};
    std::thread ending([&] {
        runtime.shutdown();
        over = true;
    });
    while (!handle.spawn_pinned(0, [] {}).spawn_error()) {
        std::this_thread::yield();
    }
    spin_for(std::chrono::milliseconds(20));  // Enough for one that does not wait; one that waits needs none.
    EXPECT_FALSE(over);
    EXPECT_EQ(detail::send_msg_ring(rings.front(), detail::user_data::bell), 0);
    ending.join();
    io_uring_queue_exit(&stranger);
}

class LateWakes : public BackendTest {
protected:
    Watchdog watchdog_{"late wakes of thieves"};
};
SPARGIO_ON_BOTH_BACKENDS(LateWakes);

// The shard that has it is busy, and whoever spawned it was told that another one searches, which then goes away.
TEST_P(LateWakes, CountStealableWorkThatNobodyWasWokenFor) {
    const auto two = builder(2).idle_spin(std::chrono::microseconds(0)).build();
    const auto handle = two.handle();
    Event ran;
    Event begun;
    detail::Shard* owner = nullptr;
    auto busy = handle.spawn_pinned(0, [&] {
        owner = detail::current_shard();
        begun.set();
        ran.wait();
    });
    begun.wait();
    auto& runtime = owner->runtime();
    const auto& thief = *runtime.shards[1];
    std::uint64_t parks = 0;
    Event rung;
    auto step = handle.spawn_pinned(1, [&] {
        parks = thief.counters.parks.get();
        rung.wait();  // Else the bell for this step may come later, and end the sleep.
    });
    rung.set();
    step.get();
    while (thief.counters.parks.get() == parks) {
        std::this_thread::yield();  // Then it has just gone to sleep: a whole safety time-out is to come.
    }
    runtime.searching.store(true);
    handle.spawn_stealable_on(0, [&] { ran.set(); }).detach();
    runtime.searching.store(false);
    busy.get();
    EXPECT_EQ(handle.stats_snapshot().late_wakes, 1U);
}

}  // namespace
}  // namespace spargio::test
