// SPDX-License-Identifier: MIT
// Tests of the number of usable CPUs, on threads that restrict themselves.
#include "cpu_count.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
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

/// A cgroup file system in a temporary folder.
class GroupsOnDisk : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "spargio_cgroups_XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void write(const std::string& file, const std::string& text) const {
        const auto path = folder_ / file;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text;
    }
    std::size_t quota(const std::string& membership) const {
        write("membership", membership);
        return quota_cpus_of((folder_ / "membership").string(), (folder_ / "sys").string());
    }

    static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

private:
    std::filesystem::path folder_;
};

TEST_F(GroupsOnDisk, WithoutAQuotaThereIsNoLimit) {
    EXPECT_EQ(quota(""), none);
    EXPECT_EQ(quota("0::/\n"), none);
    write("sys/a/cpu.max", "max 100000\n");
    EXPECT_EQ(quota("0::/a\n"), none);
    EXPECT_EQ(quota("0::/gone/since\n"), none);
    EXPECT_EQ(quota_cpus_of("/no/such/file", "/no/such/folder"), none);
}

TEST_F(GroupsOnDisk, AQuotaOfVersionTwoIsRoundedUp) {
    write("sys/a/cpu.max", "100000 100000\n");
    EXPECT_EQ(quota("0::/a\n"), 1U);
    write("sys/a/cpu.max", "150000 100000\n");
    EXPECT_EQ(quota("0::/a\n"), 2U);
    write("sys/a/cpu.max", "1000 100000\n");
    EXPECT_EQ(quota("0::/a\n"), 1U);
}

TEST_F(GroupsOnDisk, TheLeastOfAGroupAndThoseAboveItCounts) {
    write("sys/cpu.max", "800000 100000\n");
    write("sys/a/cpu.max", "200000 100000\n");
    write("sys/a/b/cpu.max", "max 100000\n");
    write("sys/a/c/cpu.max", "100000 100000\n");
    EXPECT_EQ(quota("0::/\n"), 8U);
    EXPECT_EQ(quota("0::/a/b\n"), 2U);
    EXPECT_EQ(quota("0::/a/c\n"), 1U);
}

TEST_F(GroupsOnDisk, AQuotaOfVersionOneCountsForTheCpuController) {
    write("sys/cpu/a/cpu.cfs_quota_us", "300000\n");
    write("sys/cpu/a/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(quota("4:cpu,cpuacct:/a\n0::/\n"), 3U);
    EXPECT_EQ(quota("4:memory:/a\n"), none);
    write("sys/cpu/a/cpu.cfs_quota_us", "-1\n");
    EXPECT_EQ(quota("4:cpu,cpuacct:/a\n"), none);
}

}  // namespace
}  // namespace spargio::detail
