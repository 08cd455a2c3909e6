// SPDX-License-Identifier: MIT
// A program that shuts itself in after it has built its runtime, and denies io_uring_register, by which foreign threads
// have rung bells until then: they ring the eventfds, and nothing is lost.
#include <cerrno>
#include <chrono>

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/seccomp_filter.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

using SeccompRegisterLater = UringTest;

TEST_F(SeccompRegisterLater, BellsComeAllTheSame) {
    Watchdog watchdog("io_uring_register denied later");
    Runtime runtime = builder(2).idle_spin(std::chrono::microseconds(0)).build();
    const auto handle = runtime.handle();
    const NoLateWakes all_woken(handle);
    EXPECT_EQ(do_some_of_everything(runtime), everything);
    const bool done = deny_system_call(SYS_io_uring_register, EPERM, DeniedIn::AllThreads);
    ASSERT_TRUE(done) << "seccomp filters are not available";
    const unsigned rounds = scaled(2'000, 300);
    EXPECT_EQ(spawn_from_outside(handle, 3, rounds, watchdog), 3U * rounds);
    EXPECT_EQ(handle.spawn_pinned(0, call_each_round(handle, 1, rounds)).get(), rounds);
    EXPECT_EQ(do_some_of_everything(runtime), everything);
    auto unfinished = handle.spawn_pinned(1, sleep_for_ever());
    finish_step(handle, 0);
    finish_step(handle, 1);
    watchdog.progress("shutdown");
    runtime.shutdown();  // All bells of a shutdown are rung that way.
    EXPECT_TRUE(unfinished.done());
}

}  // namespace
}  // namespace spargio::test
