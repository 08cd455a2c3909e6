// SPDX-License-Identifier: MIT
// A program that shuts itself in after it has built its runtime, and denies membarrier while shards rely on it: nothing
// is lost, work is stolen, idle shards sleep.
#include <cerrno>
#include <chrono>
#include <cstdio>

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include "membarrier.hpp"
#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/light_fences.hpp"
#include "support/process_gauges.hpp"
#include "support/process_main.hpp"
#include "support/seccomp_filter.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

/// One test for all: there is no way back.
TEST(SeccompMembarrierLater, NothingIsLost) {
    if (!detail::membarrier_is_there()) {
        GTEST_SKIP() << "membarrier(2) is not available";
    }
    Watchdog watchdog("membarrier denied");
    const Runtime runtime = RuntimeBuilder().shards(2).backend(best_backend()).build();
    const auto handle = runtime.handle();
    const NoLateWakes all_woken(handle);
    {
        StalledShard other(handle, 1);
        Event pushed;
        Event denied;
        Event ran;
        auto owner = handle.spawn_pinned(0, [&]() -> Task<> {
            co_await fork_until_light();
            handle.spawn_stealable([&] { ran.set(); }).detach();
            pushed.set();
            denied.wait();
            // It has not touched its deque since: now it does, and learns that it has to fence.
            while (fences_are_light()) {}
            handle.spawn_stealable([] {}).detach();
            ran.wait();  // Busy: it is for the other shard.
        });
        pushed.wait();
        const bool done = deny_system_call(SYS_membarrier, EPERM, DeniedIn::AllThreads);
        ASSERT_TRUE(done) << "seccomp filters are not available";
        ASSERT_FALSE(detail::membarrier_all());
        other.release();  // Becomes idle, and is refused.
        denied.set();
        owner.get();
    }
    watchdog.progress("the first");
    const auto stolen = handle.stats_snapshot().stealable_stolen;
    // Thieves go without the barrier: else the watchdog ends this.
    for (unsigned round = 0; round < scaled(50, 5) || handle.stats_snapshot().stealable_stolen == stolen; ++round) {
        EXPECT_EQ(handle.spawn_stealable(forked_fib(18)).get(), 2584U);
        if (round < scaled(50, 5)) {
            watchdog.progress("a tree");
        }
    }
    EXPECT_EQ(do_some_of_everything(runtime), everything);
    EXPECT_EQ(handle.spawn_pinned(0, call_each_round(handle, 1, 1000)).get(), 1000U);
}

/// A runtime that is built where the process has been registered before, and the call is denied by now.
TEST(SeccompMembarrierLater, TheNextRuntimeWorksToo) {
    Watchdog watchdog("membarrier denied, the next runtime");
    const Runtime runtime = RuntimeBuilder().shards(2).backend(best_backend()).build();
    const auto handle = runtime.handle();
    const NoLateWakes all_woken(handle);
    for (unsigned round = 0; round < scaled(50, 5); ++round) {
        EXPECT_EQ(handle.spawn_stealable(forked_fib(18)).get(), 2584U);
        watchdog.progress("a tree");
    }
    EXPECT_EQ(do_some_of_everything(runtime), everything);
}

}  // namespace
}  // namespace spargio::test

int main(int argc, char** argv) {
    ::testing::InitGoogleTest(&argc, argv);
    return spargio::test::run_process_tests();
}
