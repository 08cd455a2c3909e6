// SPDX-License-Identifier: MIT
// Checking and completing the options of a runtime.
#include "runtime_options.hpp"

#include <algorithm>

#include <unistd.h>

#include "cpu_count.hpp"
#include "spargio/error.hpp"

namespace spargio::detail {

namespace {

constexpr std::size_t kMostShards = 65534;
constexpr std::uint32_t kMostRingEntries = 32768;  // IORING_MAX_ENTRIES
constexpr std::size_t kMostMessages = std::size_t{1} << 30U;
constexpr auto kLongestSpin = std::chrono::seconds(1);
constexpr auto kLongestSqpollIdle = std::chrono::hours(1);

BuildFailure invalid(std::string sentence) {
    return {RuntimeError::InvalidConfig, std::move(sentence)};
}

/// Where shards share CPUs, or have the only one, a spinning shard takes the time of the one it waits for.
bool may_spin(const RuntimeOptions& options, std::size_t quota, std::size_t usable) {
    const auto shards = *options.shards;
    if (options.thread_affinity.empty()) {
        return shards <= usable && usable > 1;
    }
    // The shards leave the CPUs of the calling thread for those that are named.
    auto cpus = options.thread_affinity;
    std::sort(cpus.begin(), cpus.end());
    const bool all_differ = std::adjacent_find(cpus.begin(), cpus.end()) == cpus.end();
    const bool alone = shards == 1 && usable == 1 && sysconf(_SC_NPROCESSORS_ONLN) == 1;
    return all_differ && shards <= cpus.size() && shards <= quota && !alone;
}

}  // namespace

std::optional<BuildFailure> complete_options(RuntimeOptions& options) {
    if (options.backend != BackendKind::Auto && options.backend != BackendKind::IoUring &&
        options.backend != BackendKind::Queue) {
        return invalid("backend: " + std::to_string(static_cast<int>(options.backend)) + " is none");
    }
    const auto quota = quota_cpus();
    const auto cpus = usable_cpus(quota);
    if (!options.shards) {
        options.shards = std::min(cpus, kMostShards);
    }
    if (*options.shards < 1 || *options.shards > kMostShards) {
        return invalid("shards: " + std::to_string(*options.shards) + " is not between 1 and 65534");
    }
    if (options.ring_entries < 1 || options.ring_entries > kMostRingEntries) {
        return invalid("ring_entries: " + std::to_string(options.ring_entries) + " is not between 1 and 32768");
    }
    if (options.msg_ring_queue_capacity < 1 || options.msg_ring_queue_capacity > kMostMessages) {
        return invalid("msg_ring_queue_capacity: " + std::to_string(options.msg_ring_queue_capacity) +
                       " is not between 1 and 1073741824");
    }
    if (options.stealable_queue_capacity < 1) {
        return invalid("stealable_queue_capacity: must be at least 1");
    }
    if (options.steal_budget < 1) {
        return invalid("steal_budget: must be at least 1");
    }
    if (!options.idle_spin) {
        options.idle_spin = std::chrono::microseconds(may_spin(options, quota, cpus) ? 50 : 0);
    }
    if (*options.idle_spin < std::chrono::microseconds(0) || *options.idle_spin > kLongestSpin) {
        return invalid("idle_spin: must be between 0 and 1 s; 0 blocks at once");
    }
    if (!options.blocking_threads) {
        options.blocking_threads = 4 * cpus;
    }
    if (*options.blocking_threads < 1) {
        return invalid("blocking_threads: must be at least 1");
    }
    if (options.blocking_queue_capacity < 1) {
        return invalid("blocking_queue_capacity: must be at least 1");
    }
    if (options.sqpoll_cpu && !options.sqpoll_idle) {
        options.sqpoll_idle = std::chrono::milliseconds(2000);
    }
    if (options.sqpoll_idle &&
        (*options.sqpoll_idle < std::chrono::milliseconds(1) || *options.sqpoll_idle > kLongestSqpollIdle)) {
        return invalid("io_uring_sqpoll: the idle time must be between 1 ms and 1 h");
    }
    if (options.sqpoll_idle && options.defer_taskrun.value_or(false)) {
        return invalid("io_uring_sqpoll and io_uring_defer_taskrun exclude each other: choose one");
    }
    // Without a ring it has always been accepted.
    if (options.sqpoll_idle && options.coop_taskrun.value_or(false) && options.backend != BackendKind::Queue) {
        return invalid("io_uring_sqpoll and io_uring_coop_taskrun exclude each other: choose one");
    }
    if (options.defer_taskrun.value_or(false) && !options.single_issuer.value_or(true)) {
        return invalid("io_uring_defer_taskrun needs io_uring_single_issuer: the kernel accepts it only on such rings");
    }
    return std::nullopt;
}

}  // namespace spargio::detail
