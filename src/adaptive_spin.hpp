// SPDX-License-Identifier: MIT
// How long to spin before blocking: long while spins pay, hardly at all when they miss.
#pragma once

#include <chrono>

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

    /// Spins until `ready()` or the budget is spent; whether it became ready. The clock is read every few rounds.
    template <class Ready>
    bool spin(Ready&& ready) noexcept {
        if (budget_ <= std::chrono::nanoseconds::zero()) {
            return false;
        }
        const auto end = clock::now() + budget_;
        do {
            for (int round = 0; round < 32; ++round) {
                if (ready()) {
                    hit();
                    return true;
                }
                cpu_relax();
            }
        } while (clock::now() < end);
        miss();
        return false;
    }

private:
    std::chrono::nanoseconds limit_;
    std::chrono::nanoseconds budget_;
};

}  // namespace spargio::detail
