// SPDX-License-Identifier: MIT
// A sandbox that denies io_uring_register: still a ring, without a registered descriptor, and with eventfds for foreign
// bells.
#include <chrono>
#include <string>

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include "spargio/spargio.hpp"
#include "support/process_gauges.hpp"
#include "support/seccomp_filter.hpp"
#include "support/stress.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

using SeccompRegister = Without<SYS_io_uring_register>;

TEST_F(SeccompRegister, TheRingWorksWithoutIt) {
    const auto descriptors = open_descriptors();
    {
        Watchdog watchdog("ring without io_uring_register");
        const Runtime runtime = RuntimeBuilder().shards(2).idle_spin(std::chrono::microseconds(0)).build();
        const Capabilities capabilities = runtime.handle().capabilities();
        EXPECT_EQ(runtime.backend(), BackendKind::IoUring) << capabilities.to_string();
        EXPECT_FALSE(capabilities.registered_ring_fd);
        EXPECT_FALSE(capabilities.send_msg_ring);
        EXPECT_GE(capabilities.notes.size(), 2U);
        const unsigned rounds = scaled(2'000, 300);
        EXPECT_EQ(spawn_from_outside(runtime.handle(), 3, rounds, watchdog), 3U * rounds);
        EXPECT_EQ(runtime.handle().spawn_pinned(0, call_each_round(runtime.handle(), 1, rounds)).get(), rounds);
        EXPECT_EQ(do_some_of_everything(runtime), everything);
        EXPECT_EQ(runtime.handle().stats_snapshot().late_wakes, 0U);
    }
    EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
}  // namespace spargio::test
