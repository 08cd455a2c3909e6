// SPDX-License-Identifier: MIT
// late_wakes counts a wake that was lost: here the kernel takes the bell, and nobody hears it.
#include <chrono>
#include <thread>

#include <liburing.h>

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
    // The bell is owed still, and a shutdown waits for it.
    EXPECT_EQ(detail::send_msg_ring(rings.front(), detail::user_data::bell), 0);
    io_uring_queue_exit(&stranger);
}

}  // namespace
}  // namespace spargio::test
