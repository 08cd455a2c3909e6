// SPDX-License-Identifier: MIT
// Where threads line up, so that they start within nanoseconds of each other.
#pragma once

#include <thread>

#include "spargio/detail/atomic.hpp"
#include "spargio/detail/seams.hpp"

namespace spargio::test {

/// A barrier that spins: one that sleeps wakes its threads one after the other, and the race that a test is after is
/// over before the second one runs. After a while it offers the CPU, so it works with fewer CPUs than threads.
class StartLine {
public:
    explicit StartLine(unsigned parties) noexcept : parties_(parties) {}

    void arrive_and_wait() noexcept {
        const auto round = round_.load();
        if (arrived_.fetch_add(1) + 1 == parties_) {
            arrived_.store(0);
            round_.fetch_add(1);
            return;
        }
        for (unsigned spins = 0; round_.load() == round; ++spins) {
            if (spins < 1'000) {
                detail::cpu_relax();
            } else {
                std::this_thread::yield();
            }
        }
    }

private:
    const unsigned parties_;
    detail::atomic<unsigned> arrived_{0};
    detail::atomic<unsigned> round_{0};
};

inline void spin(unsigned rounds) noexcept {
    for (; rounds != 0; --rounds) {
        detail::cpu_relax();
    }
}

}  // namespace spargio::test
