// SPDX-License-Identifier: MIT
// Which CPUs the threads of a benchmark run on: the same for every runtime in a workload.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <vector>

#include <sched.h>

namespace bench {

/// The CPUs this process may use, in rising order. The first call must come before the calling thread is pinned.
inline const std::vector<unsigned>& allowed_cpus() {
    static const std::vector<unsigned> all = [] {
        cpu_set_t set;
        CPU_ZERO(&set);
        std::vector<unsigned> cpus;
        if (sched_getaffinity(0, sizeof set, &set) == 0) {
            for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
                if (CPU_ISSET(cpu, &set)) {
                    cpus.push_back(cpu);
                }
            }
        }
        return cpus;
    }();
    return all;
}

/// The n-th CPU this process may use; throws where there are fewer.
inline unsigned nth_cpu(std::size_t n) {
    const auto& cpus = allowed_cpus();
    if (n >= cpus.size()) {
        throw std::runtime_error("needs more CPUs than this process may use");
    }
    return cpus[n];
}

// Where the threads of every variant run, where there are two: one asks, the other one answers.
inline unsigned client_cpu() {
    return nth_cpu(0);
}
inline unsigned responder_cpu() {
    return nth_cpu(1);
}

/// Keeps the calling thread on one CPU until the end of the scope, then gives it back what it had.
class PinnedScope {
public:
    explicit PinnedScope(unsigned cpu) {
        CPU_ZERO(&before_);
        cpu_set_t only;
        CPU_ZERO(&only);
        CPU_SET(cpu, &only);
        if (sched_getaffinity(0, sizeof before_, &before_) != 0 || sched_setaffinity(0, sizeof only, &only) != 0) {
            throw std::runtime_error("the thread's CPU affinity cannot be set");
        }
    }
    PinnedScope(const PinnedScope&) = delete;
    PinnedScope& operator=(const PinnedScope&) = delete;
    ~PinnedScope() { sched_setaffinity(0, sizeof before_, &before_); }

private:
    cpu_set_t before_;
};

}  // namespace bench
