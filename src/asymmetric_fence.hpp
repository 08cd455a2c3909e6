// SPDX-License-Identifier: MIT
// The fence between a store of one side and its look at the other's, where one side does this far more often.
#pragma once

#include <atomic>
#include <cstdint>

#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

/// Dekker's argument needs a full fence on both sides: the owner of a deque stores its end and then looks at the
/// thieves' (or at who sleeps), and these store and then look at the owner's. A fork costs its owner two such fences,
/// and each is a locked instruction. While nobody seeks work they order it against nobody. So they are left out then:
/// who begins to seek makes the owners pass a barrier instead (membarrier(2); "asymmetric fences", P1202, Goldblatt).
///
/// Owner: store; look(); if that is not light(), a sequentially consistent store of the same value; look at the others.
/// Seeker: say that it seeks, sequentially consistent; begin(); look at the owners; seek no longer, released.
///
/// Why nothing is lost: the seeker's barrier falls between two operations of the owner. If that is before its look(),
/// the owner sees that it must fence. If it is after it, then also after the store, which the seeker has seen before it
/// looks. Once begin() has returned, and as long as a seeker says so, every owner fences.
///
///     Symmetric --offer()--> Offered --nobody seeks--> Light --begin()--> Changing --barrier passed--> Symmetric ...
///                            Offered --somebody seeks--> Symmetric        Offered --begin()--> Changing
///
/// Each step is a compare-and-swap that counts up, the state is what it is modulo four, and so no old step takes place
/// in a new round. Who offers has said that it does before it looks who seeks, and who seeks says so before it looks
/// here: one of the two sees the other. tests/model_checker runs it.
class AsymmetricFence {
public:
    enum class Policy : std::uint8_t {
        Symmetric,  // Owners always fence: the barrier cannot be had.
        Adaptive,
        Light,  // Owners never do: there is nobody else.
    };

    explicit AsymmetricFence(Policy policy) noexcept
        : policy_(policy), word_(policy == Policy::Light ? kLight : kSymmetric) {}

    [[nodiscard]] Policy policy() const noexcept { return policy_; }

    /// What an owner has seen.
    class Seen {
    public:
        explicit Seen(std::uint64_t word) noexcept : word_(word) {}

        /// Nobody seeks, and who begins to will see what was stored before.
        [[nodiscard]] bool light() const noexcept { return word_ % 4 == kLight; }
        /// A seeker has not passed its barrier yet. If it cannot, it waits until each owner has acknowledged this word.
        [[nodiscard]] bool changing() const noexcept { return word_ % 4 == kChanging; }
        [[nodiscard]] std::uint64_t word() const noexcept { return word_; }

    private:
        std::uint64_t word_;
    };

    /// An owner, after its store: acquires what seekers have done before, if it is light().
    [[nodiscard]] Seen look() const noexcept {
        std::atomic_signal_fence(std::memory_order_seq_cst);  // The store is in front of this, for the compiler.
        return Seen(word_.load(std::memory_order_acquire));
    }

    /// A seeker, after it has said that it seeks. False: `barrier` was refused, and what has to be seen first of those
    /// owners that have not acknowledged pending() may be unseen.
    template <class Barrier>
    [[nodiscard]] bool begin(Barrier barrier) noexcept {
        if (policy_ == Policy::Light) {
            return true;
        }
        auto word = word_.load(std::memory_order_seq_cst);
        while (word % 4 == kOffered || word % 4 == kLight) {
            const auto changing = word | kChanging;
            if (word_.compare_exchange_strong(word, changing, std::memory_order_acq_rel, std::memory_order_acquire)) {
                word = changing;
            }
        }
        if (word % 4 == kSymmetric) {
            return true;  // Also when another seeker has just passed its barrier: it was after our word.
        }
        if (!barrier()) {
            return false;
        }
        // Or another one has done so.
        word_.compare_exchange_strong(word, word + 1, std::memory_order_acq_rel, std::memory_order_acquire);
        return true;
    }

    /// What owners have to acknowledge while begin() is refused.
    [[nodiscard]] std::uint64_t pending() const noexcept { return word_.load(std::memory_order_acquire); }

    /// An owner that has fenced often, while nobody seems to seek: `nobody_seeks` looks at what they say, sequentially
    /// consistent.
    template <class NobodySeeks>
    void offer(NobodySeeks nobody_seeks) noexcept {
        auto word = word_.load(std::memory_order_relaxed);
        if (policy_ != Policy::Adaptive || word % 4 != kSymmetric ||
            !word_.compare_exchange_strong(word, word + kOffered, std::memory_order_seq_cst,
                                           std::memory_order_relaxed)) {
            return;
        }
        word += kOffered;
        // Releases what seekers have done to whoever finds it light.
        const auto next = nobody_seeks() ? word + 1 : word + 3;
        word_.compare_exchange_strong(word, next, std::memory_order_acq_rel, std::memory_order_relaxed);
    }

private:
    static constexpr std::uint64_t kSymmetric = 0;
    static constexpr std::uint64_t kOffered = 1;
    static constexpr std::uint64_t kLight = 2;
    static constexpr std::uint64_t kChanging = 3;

    const Policy policy_;
    // Writers: an owner that offers, seekers. Readers: owners at each push and pop, seekers.
    alignas(cache_line) atomic<std::uint64_t> word_;
};

}  // namespace spargio::detail
