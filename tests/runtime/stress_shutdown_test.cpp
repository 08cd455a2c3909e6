// SPDX-License-Identifier: MIT
// Shutdown at a random moment under a random load of two runtimes: nothing hangs, leaks, or ends in the wrong order.
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <string>

#include "shutdown_world.hpp"
#include "support/backend_test.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

/// So many runs, from the process' seed on.
void shut_down_at_random_moments(BackendKind backend, unsigned runs) {
    const auto base = stress_seed();
    Watchdog watchdog("shutdown stress");
    static_cast<void>(RuntimeBuilder().shards(1).backend(backend).build());  // What a first runtime starts for good.
    const auto descriptors = open_descriptors();
    const auto threads = thread_count();
    std::size_t tasks = 0;
    for (unsigned run = 0; run < runs; ++run) {
        const auto seed = base + run;
        watchdog.progress("run with seed " + std::to_string(seed));
        World world(backend, seed);
        world.run();
        tasks += world.ledger().size();
        ASSERT_EQ(world.ledger().verdict(), "") << "SPARGIO_TEST_SEED=" << seed << " repeats this run as the first";
        ASSERT_FALSE(::testing::Test::HasFailure()) << "SPARGIO_TEST_SEED=" << seed << " repeats this run as the first";
    }
    EXPECT_GT(tasks, runs * 4);
    // The helper thread of a shutdown from within is the last to go.
    EXPECT_TRUE(threads_fall_to(threads)) << thread_count() << " threads instead of " << threads;
    // It may be there still: the kernel's submission threads of a test before may have been counted at the beginning.
    EXPECT_TRUE(descriptors_fall_to(descriptors)) << open_descriptors() << " instead of " << descriptors;
    std::printf("%u runs, %zu tasks\n", runs, tasks);
}

class StressShutdown : public BackendTest {};

TEST_P(StressShutdown, AtARandomMomentOfTwoRuntimesLosesNothing) {
    shut_down_at_random_moments(GetParam(), scaled(1000, 200));
}

SPARGIO_ON_BOTH_BACKENDS(StressShutdown);

class StressShutdownOfRings : public UringTest {};

TEST_F(StressShutdownOfRings, WhileBellsAndEntriesFail) {
    // Never freed: where the last owner goes with a task, only /proc tells that the runtime's threads have ended, which
    // orders their last look at this before nothing.
    static auto& faults = *new EveryNth(FailingCall::Both, 5, {EAGAIN, EINTR});
    const InstalledFaults installed(faults);
    faults.arm();
    shut_down_at_random_moments(BackendKind::IoUring, scaled(300, 60));
    EXPECT_GT(faults.failed(), 100U);
}

TEST_F(StressShutdownOfRings, WithEventfdsForBells) {
    const Environment mask("SPARGIO_URING_DISABLE", "msg_ring");
    shut_down_at_random_moments(BackendKind::IoUring, scaled(300, 60));
}

TEST_F(StressShutdownOfRings, OfOldKernels) {
    const Environment mask("SPARGIO_URING_DISABLE",
                           "msg_ring,single_issuer,defer_taskrun,coop_taskrun,ext_arg,no_sqarray");
    shut_down_at_random_moments(BackendKind::IoUring, scaled(300, 60));
}

}  // namespace
}  // namespace spargio::test
