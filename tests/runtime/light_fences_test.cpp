// SPDX-License-Identifier: MIT
// Shards that push and pop much, while no other seeks work, leave their fences out; what they have pushed by then is
// found by whoever becomes idle.
#include <chrono>

#include "membarrier.hpp"
#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/light_fences.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

class LightFences : public BackendTest {
protected:
    void SetUp() override {
        BackendTest::SetUp();
        if (!detail::membarrier_is_there()) {
            GTEST_SKIP() << "membarrier(2) is not available";
        }
    }

    Watchdog watchdog_{"light fences"};
};
SPARGIO_ON_BOTH_BACKENDS(LightFences);

TEST_P(LightFences, AShardThatForksBesideABusyOneHasThem) {
    const auto two = runtime(2);
    const auto handle = two.handle();
    const StalledShard other(handle, 1);
    handle.spawn_pinned(0, fork_until_light()).get();
}

TEST_P(LightFences, WhatWasPushedIsFoundByWhoeverBecomesIdle) {
    const auto two = builder(2).idle_spin(std::chrono::microseconds(0)).build();
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    for (unsigned round = 0; round < scaled(200, 20); ++round) {
        StalledShard other(handle, 1);
        Event pushed;
        Event ran;
        auto owner = handle.spawn_pinned(0, [&]() -> Task<> {
            co_await fork_until_light();
            handle.spawn_stealable([&] { ran.set(); }).detach();
            EXPECT_TRUE(fences_are_light()) << "nobody became idle in between";
            pushed.set();
            ran.wait();  // The shard is busy: another one has to take it.
            EXPECT_FALSE(fences_are_light()) << "who took it has ended that";
        });
        pushed.wait();
        other.release();
        owner.get();
        watchdog_.progress("a round");
    }
}

TEST_P(LightFences, TreesComeOutRightWhileTheyComeAndGo) {
    const auto three = runtime(3);
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    for (unsigned round = 0; round < scaled(30, 3); ++round) {
        auto tree = handle.spawn_stealable(fib(20));
        // Something for the others to run into, and to sleep after.
        finish_step(handle, static_cast<ShardId>(round % 3));
        EXPECT_EQ(tree.get(), 6765U);
        watchdog_.progress("a tree");
    }
}

}  // namespace
}  // namespace spargio::test
