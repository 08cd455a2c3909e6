// SPDX-License-Identifier: MIT
// How long to spin before blocking: long while spins pay, hardly at all when they miss.
#pragma once

#include <chrono>
#include <thread>

#include "spargio/detail/seams.hpp"

namespace spargio::detail {

/// A budget between 0 and a limit. A spin that was rewarded, or a sleep so short that a full spin would have been,
/// raises it to the limit; a miss halves it, and below a microsecond it is nothing. One owner.
class AdaptiveSpin {
public:
    explicit AdaptiveSpin(std::chrono::nanoseconds limit) noexcept : limit_(limit), budget_(limit) {}

    [[nodiscard]] std::chrono::nanoseconds budget() const noexcept { return budget_; }
    void hit() noexcept { budget_ = limit_; }
    void miss() noexcept {
        budget_ /= 2;
        if (budget_ < std::chrono::microseconds(1)) {
            budget_ = std::chrono::nanoseconds::zero();
        }
    }
    void slept(std::chrono::nanoseconds how_long) noexcept {
        if (how_long < limit_) {
            budget_ = limit_;
        }
    }

    /// Spins until `ready()` or the budget is spent; whether it became ready. After each few looks, a microsecond or
    /// so, it reads the clock and offers the CPU: whoever is to make us ready may be waiting for it. (With two shards
    /// and a foreign thread on two CPUs a join takes 2.4 us that way, 4.2 if the first offer comes after a microsecond
    /// more, 8 after five.)
    template <class Ready>
    bool spin(Ready&& ready) noexcept {
        if (budget_ <= std::chrono::nanoseconds::zero()) {
            return false;
        }
        const auto begin = clock::now();
        for (auto now = begin; now - begin < budget_; now = clock::now()) {
            for (int round = 0; round < kLooks; ++round) {
                if (ready()) {
                    hit();
                    return true;
                }
                cpu_relax();
            }
            std::this_thread::yield();
        }
        miss();
        return false;
    }

    /// The first few looks of a spin, a microsecond or so, without a clock; for what can be asked cheaply. None when
    /// spins have missed lately.
    template <class Ready>
    bool glance(Ready&& ready) noexcept {
        for (int round = 0; round < kLooks && budget_ > std::chrono::nanoseconds::zero(); ++round) {
            if (ready()) {
                hit();
                return true;
            }
            cpu_relax();
        }
        return false;
    }

private:
    static constexpr int kLooks = 32;  // Between two offers. Fewer cost more than they win.

    std::chrono::nanoseconds limit_;
    std::chrono::nanoseconds budget_;
};

}  // namespace spargio::detail
