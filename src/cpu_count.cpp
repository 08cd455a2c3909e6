// SPDX-License-Identifier: MIT
// Affinity mask and cgroup quota.
#include "cpu_count.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

#include <sched.h>

#include "spargio/detail/seams.hpp"

namespace spargio::detail {

namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

std::size_t affinity_cpus() noexcept {
    // The kernel refuses a mask smaller than its own: grow until it fits.
    for (int cpus = 1024; cpus <= 1024 * 64; cpus *= 4) {
        cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(cpus));
        if (set == nullptr) {
            break;
        }
        const auto bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
        const bool known = sched_getaffinity(0, bytes, set) == 0;
        const auto count = known ? static_cast<std::size_t>(CPU_COUNT_S(bytes, set)) : 0;
        CPU_FREE(set);
        if (count > 0) {
            return count;
        }
    }
    return std::max<std::size_t>(std::thread::hardware_concurrency(), 1);
}

/// CPUs a quota allows, rounded up: half a CPU is still a thread.
std::size_t whole_cpus(long long quota, long long period) noexcept {
    if (quota <= 0 || period <= 0) {
        return kNoLimit;
    }
    return static_cast<std::size_t>((quota + period - 1) / period);
}

std::size_t group_v2_cpus(const std::string& folder) {
    std::string quota;
    long long period = 0;
    std::ifstream limit(folder + "/cpu.max");
    return limit >> quota >> period && quota != "max" ? whole_cpus(std::stoll(quota), period) : kNoLimit;
}

std::size_t group_v1_cpus(const std::string& folder) {
    long long quota = 0;
    long long period = 0;
    std::ifstream limit(folder + "/cpu.cfs_quota_us");
    if (!(limit >> quota) || quota <= 0) {
        return kNoLimit;
    }
    std::ifstream span(folder + "/cpu.cfs_period_us");
    return span >> period ? whole_cpus(quota, period) : kNoLimit;
}

/// The least of the limits of the group `path` and of the groups above it.
template <class GroupCpus>
std::size_t path_cpus(const std::string& mount, std::string path, GroupCpus&& group_cpus) {
    std::size_t least = kNoLimit;
    for (;;) {
        least = std::min(least, group_cpus(mount + path));
        if (path.empty() || path == "/") {
            return least;
        }
        path.erase(path.find_last_of('/'));
    }
}

// A container's quota may change, but a process may ask for it many times. No lock: a child of fork() may find it
// taken. Release and acquire: who sees a time sees something that was read. Of two threads that read at the same time
// the slower one may put the older value back, for a second at most.
constinit atomic<std::size_t> known_quota{kNoLimit};
constinit atomic<clock::rep> quota_read_at{0};

std::size_t read_quota() noexcept {
    try {
        return quota_cpus_of("/proc/self/cgroup", "/sys/fs/cgroup");
    } catch (...) {  // Unreadable or unknown: no limit that we know of.
        return kNoLimit;
    }
}

}  // namespace

std::size_t quota_cpus_of(const std::string& membership, const std::string& mount) {
    std::size_t least = kNoLimit;
    std::ifstream groups(membership);
    // Lines "hierarchy:controllers:path"; v2 has no controllers.
    for (std::string line; std::getline(groups, line);) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) {
            continue;
        }
        const auto controllers = line.substr(first + 1, second - first - 1);
        const auto path = line.substr(second + 1);
        if (controllers.empty()) {
            least = std::min(least, path_cpus(mount, path, group_v2_cpus));
        } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
            least = std::min(least, path_cpus(mount + "/cpu", path, group_v1_cpus));
        }
    }
    return least;
}

std::size_t quota_cpus() noexcept {
    const auto now = clock::now().time_since_epoch();
    const clock::duration last(quota_read_at.load(std::memory_order_acquire));
    if (last.count() == 0 || now - last >= std::chrono::seconds(1)) {
        known_quota.store(read_quota(), std::memory_order_relaxed);
        quota_read_at.store(now.count(), std::memory_order_release);
    }
    return known_quota.load(std::memory_order_relaxed);
}

void forget_quota() noexcept {
    quota_read_at.store(0, std::memory_order_relaxed);
}

std::size_t usable_cpus(std::size_t quota) noexcept {
    return std::max<std::size_t>(std::min(affinity_cpus(), quota), 1);
}

}  // namespace spargio::detail
