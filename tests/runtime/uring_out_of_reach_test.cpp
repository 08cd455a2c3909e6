// SPDX-License-Identifier: MIT
// The kernel refuses bells because it cannot reach a ring: the sender's or the target's.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "support/event.hpp"
#include "support/receive_asleep.hpp"
#include "support/ring_descriptors.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

class UringOutOfReach : public UringTest {
protected:
    Watchdog watchdog_{"a ring out of reach"};
};

TEST_F(UringOutOfReach, ABellThatTheKernelRefusesIsRungAgain) {
    Runtime runtime = builder(2).idle_spin(microseconds(0)).build();
    const Capabilities capabilities = runtime.handle().capabilities();
    if (!capabilities.registered_ring_fd || !capabilities.send_msg_ring) {
        GTEST_SKIP() << "registered ring descriptors or IORING_REGISTER_SEND_MSG_RING are not available";
    }
    const auto rings = ring_descriptors();
    ASSERT_EQ(rings.size(), 2U);
    std::atomic<bool> enough{false};
    std::thread disturber([&] {
        Random random(stress_seed());
        while (!enough) {
            {
                const OutOfReach gone(rings[random.below(2)]);
                spin_for(microseconds(random.below(300)));
            }
            spin_for(microseconds(random.below(100)));
        }
    });
    const unsigned rounds = scaled(3'000, 500);
    EXPECT_EQ(runtime.handle().spawn_pinned(0, call_each_round(runtime.handle(), 1, rounds)).get(), rounds);
    EXPECT_EQ(spawn_from_outside(runtime.handle(), 2, rounds, watchdog_), 2U * rounds);
    EXPECT_EQ(do_some_of_everything(runtime), everything);
    enough = true;
    disturber.join();
    const RuntimeStats stats = runtime.handle().stats_snapshot();
    EXPECT_EQ(stats.late_wakes, 0U) << to_string(stats);
    EXPECT_GE(stats.parks, rounds) << to_string(stats);
}

// The kernel's thread finds out that a bell fails when the sender has gone on. The sender's step does not end before
// the message has arrived, so that the loop cannot make good what flush() has left undone.
TEST_F(UringOutOfReach, LatencyOfAFlushWhoseBellASubmissionThreadCannotRing) {
    auto built = builder(2).io_uring_sqpoll(milliseconds(50)).idle_spin(microseconds(0)).try_build();
    if (!built) {
        GTEST_SKIP() << "IORING_SETUP_SQPOLL is not available: " << built.error().message();
    }
    const RuntimeHandle handle = built->handle();
    if (!handle.capabilities().registered_ring_fd) {
        GTEST_SKIP() << "registered ring descriptors are not available";
    }
    const NoLateWakes all_woken(handle);
    const auto rings = ring_descriptors();
    ASSERT_EQ(rings.size(), 2U);
    for (int round = 0; round < 20; ++round) {
        Event arrived;
        auto receiver = receive_asleep(handle, 1, arrived);
        const auto send = [&] {
            const OutOfReach target(rings[0]);
            const OutOfReach other(rings[1]);
            EXPECT_TRUE(ShardCtx::current()->send_raw_nowait(1, 1, 1).has_value());
            ShardCtx::current()->flush();
            return arrived.wait_for(milliseconds(400));
        };
        const bool in_time = handle.spawn_pinned(0, send).get();
        receiver.get();
        ASSERT_TRUE(in_time) << "the safety time-out is 500 ms";
        watchdog_.progress("round " + std::to_string(round));
    }
}

}  // namespace
}  // namespace spargio::test
