// SPDX-License-Identifier: MIT
// How long to spin before blocking: long while spins pay, hardly at all when they miss.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "spargio/detail/seams.hpp"

namespace spargio::detail {

/// A budget between 0 and a limit. A spin that was rewarded, or a sleep so short that a full spin would have been,
/// raises it to the limit; a miss halves it, and below a microsecond it is nothing.
///
/// Where others want the CPU, whoever spins and offers it loses it for a slice of theirs, milliseconds, while one that
/// sleeps gets it as soon as it is woken. So an offer that took long ends the spinning for a while. (Requests at a rate
/// of 5,000 a second beside a program that computes: 1,220 us on average without that, 198 with it.) For a short while,
/// if it had paid before; a longer one each time, if not: what takes the CPU once may be the host of a virtual machine.
/// One owner.
class AdaptiveSpin {
public:
    explicit AdaptiveSpin(std::chrono::nanoseconds limit) noexcept : limit_(limit), budget_(limit) {}

    [[nodiscard]] std::chrono::nanoseconds budget() const noexcept { return budget_; }
    void hit() noexcept {
        budget_ = limit_;
        if (hits_ < kHitsThatPay) {
            ++hits_;
        }
    }
    void miss() noexcept {
        budget_ /= 2;
        looks_ = kLooks;  // They do not look at the clock.
        if (budget_ < std::chrono::microseconds(1)) {
            budget_ = std::chrono::nanoseconds::zero();
        }
    }
    void slept(std::chrono::nanoseconds how_long) noexcept {
        if (how_long >= limit_) {
            return;
        }
        if (held_back_ != 0) {
            --held_back_;
        } else {
            budget_ = limit_;
        }
    }

    /// The CPU was offered after looks of that length, and was back after `cost`. False: it was lost for long.
    bool offered(std::chrono::nanoseconds looks, std::chrono::nanoseconds cost) noexcept {
        if (looks + cost > std::max(limit_, kLongOffer) + (looks_ - kLooks) * kLongLook) {
            budget_ = std::chrono::nanoseconds::zero();
            held_for_ = hits_ == kHitsThatPay ? kHeldBack : std::min(2 * held_for_, kMostHeldBack);
            held_back_ = held_for_;
            hits_ = 0;
            looks_ = kLooks;
            return false;
        }
        shortest_offer_ = std::min(shortest_offer_, cost);
        // Nobody else has run if it was about as short as the shortest.
        looks_ = cost < 2 * shortest_offer_ ? std::min(2 * looks_, kMostLooks) : kLooks;
        return true;
    }
    /// How many looks there are before the next offer.
    [[nodiscard]] int looks() const noexcept { return looks_; }

    /// Somebody was woken, who is likely to make us ready, and may have to wait for this CPU: the next spin offers it
    /// at once.
    void woke() noexcept { woke_ = true; }

    /// Spins until `ready()` or `over()`, which it returns, or the budget is spent, or the CPU lost. What `over()`
    /// tells of was known to come, so who waits for it could have slept: it is a miss. After a few looks it reads the
    /// clock and offers the CPU: whoever is to make us ready may be waiting for it. (With two shards and a foreign
    /// thread on two CPUs a join takes 2.4 us that way, 4.2 if the first offer comes after a microsecond more, 8 after
    /// five.) Where nobody takes the offers they become rarer: they cost a system call each, and what they keep waiting
    /// is the answer.
    template <class Ready, class Over>
    bool spin(Ready&& ready, Over&& over) noexcept {
        int looks = std::exchange(woke_, false) ? 1 : looks_;
        if (budget_ <= std::chrono::nanoseconds::zero()) {
            return false;
        }
        const auto begin = clock::now();
        for (auto now = begin; now - begin < budget_; looks = looks_) {
            for (int look = 0; look < looks; ++look) {
                if (ready()) {
                    hit();
                    return true;
                }
                if (over()) {
                    miss();
                    return true;
                }
                cpu_relax();
            }
            if (!offer_cpu(now)) {
                return ready() || over();
            }
        }
        miss();
        return false;
    }

    template <class Ready>
    bool spin(Ready&& ready) noexcept {
        return spin(ready, [] { return false; });
    }

    /// The looks before the first offer of a spin, without a clock; for what can be asked cheaply. Given up when
    /// `better()`, which is asked after some of them. None when spins have missed lately.
    template <class Ready, class Better>
    bool glance(Ready&& ready, Better&& better) noexcept {
        for (int look = 0; look < looks_ && budget_ > std::chrono::nanoseconds::zero(); ++look) {
            if (ready()) {
                hit();
                return true;
            }
            if (look % kLooks == kLooks / 4 && better()) {
                return false;
            }
            cpu_relax();
        }
        return false;
    }

private:
    /// After looks that began at `now`, which becomes the time after the offer. False: the CPU was lost for long.
    bool offer_cpu(clock::time_point& now) noexcept {
        const auto before = clock::now();
        std::this_thread::yield();
        const auto since = std::exchange(now, clock::now());
        return offered(before - since, now - before);
    }

    static constexpr int kLooks = 32;       // Before an offer that somebody may want: a microsecond.
    static constexpr int kMostLooks = 128;  // Before one that nobody has wanted lately.

    static constexpr std::chrono::nanoseconds kLongOffer = std::chrono::microseconds(20);
    static constexpr std::chrono::nanoseconds kLongLook = std::chrono::nanoseconds(200);
    static constexpr unsigned kHeldBack = 4;  // Short sleeps, after the CPU was lost, that raise nothing.
    static constexpr unsigned kMostHeldBack = 4096;
    static constexpr unsigned kHitsThatPay = 1024;  // Between two losses.

    std::chrono::nanoseconds limit_;
    std::chrono::nanoseconds budget_;
    unsigned held_back_ = 0;
    unsigned held_for_ = kHeldBack / 2;  // The last time.
    unsigned hits_ = 0;                  // Since then.
    int looks_ = kLooks;
    bool woke_ = false;
    std::chrono::nanoseconds shortest_offer_ = kLongOffer;
};

}  // namespace spargio::detail
