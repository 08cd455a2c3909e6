// SPDX-License-Identifier: MIT
// Shutdown at a random moment under a random load of two runtimes: nothing hangs, leaks, or ends in the wrong order.
#include <cstdio>
#include <string>

#include "shutdown_world.hpp"
#include "support/backend_test.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

class StressShutdown : public BackendTest {};

TEST_P(StressShutdown, AtARandomMomentOfTwoRuntimesLosesNothing) {
    const unsigned runs = scaled(1000, 200);
    const auto base = stress_seed();
    Watchdog watchdog("shutdown stress");
    static_cast<void>(runtime(1));  // What a first runtime starts for good is there.
    const auto descriptors = open_descriptors();
    const auto threads = thread_count();
    std::size_t tasks = 0;
    for (unsigned run = 0; run < runs; ++run) {
        const auto seed = base + run;
        watchdog.progress("run with seed " + std::to_string(seed));
        World world(GetParam(), seed);
        world.run();
        tasks += world.ledger().size();
        ASSERT_EQ(world.ledger().verdict(), "") << "SPARGIO_TEST_SEED=" << seed << " repeats this run as the first";
        ASSERT_FALSE(HasFailure()) << "SPARGIO_TEST_SEED=" << seed << " repeats this run as the first";
    }
    EXPECT_GT(tasks, runs * 4);
    // The helper thread of a shutdown from within is the last to go.
    EXPECT_TRUE(threads_fall_to(threads)) << thread_count() << " threads instead of " << threads;
    EXPECT_EQ(open_descriptors(), descriptors);
    std::printf("%u runs, %zu tasks\n", runs, tasks);
}

SPARGIO_ON_BOTH_BACKENDS(StressShutdown);

}  // namespace
}  // namespace spargio::test
