// SPDX-License-Identifier: MIT
// The bounded queue from one thread to one other.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

/// A ring of words that say themselves whether they are there, as in Giacomoni et al., "FastForward" (2008): an item of
/// 48 bits, and the lap in which it was put. So an item and the news of it come with one cache line, where an index
/// beside the slots is a second one. The producer stages items and publishes many by one store: it holds back the first
/// of them. How many they are is in an index all the same (Lamport's ring, "Proving the correctness of multiprocess
/// programs", 1977), which the consumer reads when there is more than one.
///
/// Positions count up for ever; a position's slot is its low bits, its lap the rest. Invariants:
///
///     taken <= noticed <= published <= staged <= taken + capacity
///
/// Producer: room(), stage(), publish(). Consumer: arrived(), notice(), take(). One thread each; which thread may
/// change if the change is ordered by something else.
class SpscRing {
public:
    static constexpr unsigned item_bits = 48;

    /// `capacity` at least 1. Throws std::bad_alloc. The slots' memory is not touched before it is used.
    explicit SpscRing(std::size_t capacity)
        : capacity_(capacity),
          mask_(std::bit_ceil(capacity) - 1),
          lap_shift_(static_cast<unsigned>(std::countr_zero(mask_ + 1))),
          slots_(static_cast<Slot*>(std::calloc(mask_ + 1, sizeof(Slot)))) {
        if (slots_ == nullptr) {
            throw std::bad_alloc();
        }
    }
    SpscRing(const SpscRing&) = delete;
    SpscRing& operator=(const SpscRing&) = delete;

    /// Producer: how many more items fit, `wanted` at most.
    [[nodiscard]] std::size_t room(std::size_t wanted) noexcept {
        auto free = capacity_ - static_cast<std::size_t>(staged_ - taken_seen_);
        if (free < wanted) {
            // Acquire: the consumer has read the slots that it gives back.
            taken_seen_ = taken_.load(std::memory_order_acquire);
            free = capacity_ - static_cast<std::size_t>(staged_ - taken_seen_);
        }
        return std::min(free, wanted);
    }

    /// Producer; requires room for all. Stages `items(0)` to `items(count - 1)`; the consumer cannot see them yet.
    template <class F>
    void stage(std::size_t count, F&& items) noexcept {
        std::size_t i = 0;
        if (count != 0 && unpublished() == 0) {
            held_back_ = items(i++) << kLapBits | lap_of(staged_++);
        }
        while (i < count) {
            const auto lap = lap_of(staged_);
            Slot* const to = &slot(staged_);
            const auto run = std::min<std::size_t>(count - i, mask_ + 1 - (staged_ & mask_));
            for (std::size_t k = 0; k < run; ++k) {
                to[k].store(items(i + k) << kLapBits | lap, std::memory_order_relaxed);
            }
            staged_ += run;
            i += run;
        }
    }

    /// Producer: items put so far, this is the position after the newest.
    [[nodiscard]] std::uint64_t staged() const noexcept { return staged_; }
    [[nodiscard]] std::uint64_t unpublished() const noexcept {
        return staged_ - published_.load(std::memory_order_relaxed);
    }

    /// Producer: lets the consumer see all that is staged.
    void publish() noexcept {
        const auto first = published_.load(std::memory_order_relaxed);
        if (staged_ != first) {
            // Release: the words behind it, and what the sender did before.
            slot(first).store(held_back_, std::memory_order_release);
            // Release: the first one, too, which an index that came before it would lead past. Whoever sees the word,
            // but not yet the index, sees the rest when it looks again.
            published_.store(staged_, std::memory_order_release);
        }
    }

    /// Consumer: whether notice() would find something.
    [[nodiscard]] bool arrived() const noexcept {
        return (slot(noticed_).load(std::memory_order_acquire) & kLapMask) == lap_of(noticed_);
    }

    /// Consumer: looks how far the producer has published. Returns how many items are new.
    std::uint64_t notice() noexcept {
        if (!arrived()) {
            return 0;
        }
        const auto before = noticed_++;
        if (arrived()) {
            noticed_ = std::max(noticed_, published_.load(std::memory_order_acquire));
        }
        return noticed_ - before;
    }
    [[nodiscard]] std::uint64_t noticed() const noexcept { return noticed_; }
    [[nodiscard]] bool empty() const noexcept { return next_ == noticed_; }

    /// Consumer: takes the oldest of the items it has noticed, `most` at most: calls `f(i, item)` for each, `i` from 0.
    /// Returns how many.
    template <class F>
    std::size_t take(std::size_t most, F&& f) noexcept {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(noticed_ - next_, most));
        for (std::size_t i = 0; i < count;) {
            const Slot* const from = &slot(next_);
            const auto run = std::min<std::size_t>(count - i, mask_ + 1 - (next_ & mask_));
            for (std::size_t k = 0; k < run; ++k) {
                f(i + k, from[k].load(std::memory_order_relaxed) >> kLapBits);
            }
            next_ += run;
            i += run;
        }
        // Release: the slots have been read and may be written again.
        taken_.store(next_, std::memory_order_release);
        return count;
    }

    /// Consumer: asks for the line that notice() and take() will want.
    void prefetch() const noexcept { __builtin_prefetch(&slot(noticed_)); }

private:
    // Writer the producer, reader the consumer. All zero bits: a lap before the first.
    using Slot = atomic<std::uint64_t>;
    struct Free {
        void operator()(Slot* slots) const noexcept { std::free(slots); }
    };

    static constexpr unsigned kLapBits = 64 - item_bits;
    static constexpr std::uint64_t kLapMask = (std::uint64_t{1} << kLapBits) - 1;

    [[nodiscard]] Slot& slot(std::uint64_t position) const noexcept { return slots_[position & mask_]; }
    /// A slot holds a word of this lap or of the one before, so a few bits of it do.
    [[nodiscard]] std::uint64_t lap_of(std::uint64_t position) const noexcept {
        return ((position >> lap_shift_) + 1) & kLapMask;
    }

    const std::size_t capacity_;
    const std::size_t mask_;
    const unsigned lap_shift_;
    const std::unique_ptr<Slot[], Free> slots_;

    // Writer the producer, reader the consumer when several have come.
    alignas(cache_line) atomic<std::uint64_t> published_{0};

    // The producer's line.
    alignas(cache_line) std::uint64_t staged_ = 0;
    std::uint64_t taken_seen_ = 0;
    std::uint64_t held_back_ = 0;  // The word at `published_`, if anything is staged.

    // The consumer's line. `taken_`: writer the consumer, reader the producer when the ring looks full.
    alignas(cache_line) atomic<std::uint64_t> taken_{0};
    std::uint64_t next_ = 0;
    std::uint64_t noticed_ = 0;
};

}  // namespace spargio::detail
