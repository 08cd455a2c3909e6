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

    /// Spins until `ready()` or the budget is spent; whether it became ready. The clock is read every few rounds. After
    /// the first microseconds the CPU is offered to others in between: whoever is to make us ready may be waiting for
    /// it.
    template <class Ready>
    bool spin(Ready&& ready) noexcept {
        if (budget_ <= std::chrono::nanoseconds::zero()) {
            return false;
        }
        const auto begin = clock::now();
        for (auto now = begin; now - begin < budget_; now = clock::now()) {
            for (int round = 0; round < 32; ++round) {
                if (ready()) {
                    hit();
                    return true;
                }
                cpu_relax();
            }
            if (now - begin >= kUnshared) {
                std::this_thread::yield();
            }
        }
        miss();
        return false;
    }

private:
    static constexpr std::chrono::nanoseconds kUnshared = std::chrono::microseconds(5);

    std::chrono::nanoseconds limit_;
    std::chrono::nanoseconds budget_;
};

}  // namespace spargio::detail
