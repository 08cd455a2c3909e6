// SPDX-License-Identifier: MIT
// A program that shuts itself in after it has built its runtime, and denies membarrier while shards rely on it: nothing
// is lost, work is stolen, idle shards sleep.
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include "membarrier.hpp"
#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/light_fences.hpp"
#include "support/process_gauges.hpp"
#include "support/seccomp_filter.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

/// While shard 0, whose fences are light, and shard 1 are inside a step and touch no deque, the others are refused a
/// sight of theirs.
TEST(SeccompMembarrierLater, NothingIsLostAndIdleShardsSleep) {
    if (!detail::membarrier_is_there()) {
        GTEST_SKIP() << "membarrier(2) is not available";
    }
    Watchdog watchdog("membarrier denied");
    const Runtime runtime = RuntimeBuilder().shards(4).backend(best_backend()).build();
    const auto handle = runtime.handle();
    const NoLateWakes all_woken(handle);
    {
        StalledShard busy(handle, 1);
        std::optional<StalledShard> two(std::in_place, handle, ShardId{2});
        std::optional<StalledShard> three(std::in_place, handle, ShardId{3});
        Event pushed;
        Event go_on;
        Event ran;
        auto owner = handle.spawn_pinned(0, [&]() -> Task<> {
            co_await fork_until_light();
            handle.spawn_stealable([&] { ran.set(); }).detach();
            pushed.set();
            go_on.wait();
            // It has not touched its deque since: now it does, and learns that it has to fence.
            while (fences_are_light()) {}
            handle.spawn_stealable([] {}).detach();
            ran.wait();  // Busy: it is for another shard.
            // Its deque can be seen again, beside a shard whose cannot.
            const auto stolen = handle.stats_snapshot().stealable_stolen;
            while (handle.stats_snapshot().stealable_stolen == stolen) {
                EXPECT_EQ(co_await fib(18), 2584U);
            }
        });
        pushed.wait();
        const bool done = deny_system_call(SYS_membarrier, EPERM, DeniedIn::AllThreads);
        ASSERT_TRUE(done) << "seccomp filters are not available";
        ASSERT_FALSE(detail::membarrier_all());
        two.reset();  // Become idle, and are refused.
        three.reset();
        for (int i = 0; i < 10; ++i) {  // What lies in no deque is for them all the same.
            EXPECT_GE(handle.spawn_stealable_on(1, [] { return ShardCtx::current()->shard_id(); }).get(), 2);
        }
        watchdog.progress("beside a deque that cannot be seen");
        const auto rung = handle.stats_snapshot().doorbells_rung;
        const auto cpu = cpu_time();
        std::this_thread::sleep_for(200ms);  // A span to measure: two idle shards do not keep each other awake.
        EXPECT_LT(handle.stats_snapshot().doorbells_rung - rung, 20U);
        EXPECT_LT(cpu_time() - cpu, 100ms);
        EXPECT_FALSE(ran.is_set());
        go_on.set();
        owner.get();
    }
    watchdog.progress("the first");
    const auto stolen = handle.stats_snapshot().stealable_stolen;
    // Thieves go without the barrier: else the watchdog ends this.
    for (unsigned round = 0; round < scaled(50, 5) || handle.stats_snapshot().stealable_stolen == stolen; ++round) {
        EXPECT_EQ(handle.spawn_stealable(fib(18)).get(), 2584U);
        if (round < scaled(50, 5)) {
            watchdog.progress("a tree");
        }
    }
    EXPECT_EQ(do_some_of_everything(runtime), everything);
    EXPECT_EQ(handle.spawn_pinned(0, call_each_round(handle, 1, 1000)).get(), 1000U);
}

/// A runtime that is built where the process has been registered before, and the call is denied by now.
TEST(SeccompMembarrierLater, TheNextRuntimeWorksToo) {
    if (!detail::membarrier_is_there()) {
        GTEST_SKIP() << "membarrier(2) is not available";
    }
    Watchdog watchdog("membarrier denied, the next runtime");
    EXPECT_EQ(do_some_of_everything(RuntimeBuilder().shards(2).build()), everything);
    const bool done = deny_system_call(SYS_membarrier, EPERM, DeniedIn::AllThreads);
    ASSERT_TRUE(done) << "seccomp filters are not available";
    ASSERT_FALSE(detail::membarrier_all());
    const Runtime runtime = RuntimeBuilder().shards(2).backend(best_backend()).build();
    const auto handle = runtime.handle();
    const NoLateWakes all_woken(handle);
    for (unsigned round = 0; round < scaled(50, 5); ++round) {
        EXPECT_EQ(handle.spawn_stealable(fib(18)).get(), 2584U);
        watchdog.progress("a tree");
    }
    EXPECT_EQ(do_some_of_everything(runtime), everything);
}

}  // namespace
}  // namespace spargio::test
