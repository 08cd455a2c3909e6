// SPDX-License-Identifier: MIT
// Tests of the number of usable CPUs, on threads that restrict themselves.
#include "cpu_count.hpp"

#include <algorithm>
#include <cstddef>
#include <thread>
#include <vector>

#include <sched.h>

#include <gtest/gtest.h>

namespace spargio::detail {
namespace {

/// The CPUs that the calling thread may run on; empty on a machine with more than a cpu_set_t knows.
std::vector<std::size_t> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<std::size_t> cpus;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &set)) {
                cpus.push_back(cpu);
            }
        }
    }
    return cpus;
}

TEST(UsableCpus, IsAtLeastOneAndNoMoreThanTheMask) {
    EXPECT_GE(usable_cpus(), 1U);
    const auto allowed = allowed_cpus();
    if (!allowed.empty()) {
        EXPECT_LE(usable_cpus(), allowed.size());
    }
}

TEST(UsableCpus, FollowsTheAffinityMask) {
    const auto allowed = allowed_cpus();
    if (allowed.empty()) {
        GTEST_SKIP() << "sched_getaffinity: more CPUs than a cpu_set_t holds";
    }
    const auto before = usable_cpus();  // A quota may allow fewer than the mask.
    for (std::size_t count = 1; count <= std::min<std::size_t>(allowed.size(), 4); ++count) {
        std::size_t usable = 0;
        bool restricted = false;
        std::thread([&] {
            cpu_set_t set;
            CPU_ZERO(&set);
            for (std::size_t i = 0; i < count; ++i) {
                CPU_SET(allowed[allowed.size() - 1 - i], &set);
            }
            restricted = sched_setaffinity(0, sizeof set, &set) == 0;
            usable = usable_cpus();
        }).join();
        ASSERT_TRUE(restricted);
        EXPECT_EQ(usable, std::min(count, before));
    }
    EXPECT_EQ(usable_cpus(), before);
}

}  // namespace
}  // namespace spargio::detail
