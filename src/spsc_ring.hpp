// SPDX-License-Identifier: MIT
// The bounded queue from one thread to one other.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

/// Lamport's ring ("Proving the correctness of multiprocess programs", 1977), with each side's copy of the other's
/// index, so that the common case reads no line that the other side writes (Giacomoni et al., "FastForward", 2008, say
/// why), and with a producer that stages items and publishes many by one store.
///
/// Positions count up for ever; a position's slot is its low bits. Invariants:
///
///     taken <= noticed <= published <= staged <= taken + capacity
///
/// Producer: room(), stage(), publish(). Consumer: notice(), take(). One thread each; which thread may change if the
/// change is ordered by something else.
template <class T>
class SpscRing {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    /// `capacity` at least 1. Throws std::bad_alloc. The slots' memory is not touched before it is used.
    explicit SpscRing(std::size_t capacity)
        : capacity_(capacity), mask_(std::bit_ceil(capacity) - 1), slots_(new T[mask_ + 1]) {}
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

    /// Producer; requires room. The consumer cannot see it yet.
    void stage(const T& item) noexcept { slots_[staged_++ & mask_] = item; }

    /// Producer: items put so far, this is the position after the newest.
    [[nodiscard]] std::uint64_t staged() const noexcept { return staged_; }
    [[nodiscard]] std::uint64_t unpublished() const noexcept {
        return staged_ - published_.load(std::memory_order_relaxed);
    }

    /// Producer: lets the consumer see all that is staged.
    void publish() noexcept {
        // Release: the slots' contents.
        published_.store(staged_, std::memory_order_release);
    }

    /// Consumer: looks how far the producer has published. Returns how many items are new.
    std::uint64_t notice() noexcept {
        const auto published = published_.load(std::memory_order_acquire);
        const auto fresh = published - noticed_;
        noticed_ = published;
        return fresh;
    }
    [[nodiscard]] std::uint64_t noticed() const noexcept { return noticed_; }
    [[nodiscard]] bool empty() const noexcept { return next_ == noticed_; }

    /// Consumer: takes the oldest of the items it has noticed, `most` at most. Returns how many.
    std::size_t take(T* out, std::size_t most) noexcept {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(noticed_ - next_, most));
        for (std::size_t i = 0; i < count; ++i) {
            out[i] = slots_[next_++ & mask_];
        }
        // Release: the slots have been read and may be written again.
        taken_.store(next_, std::memory_order_release);
        return count;
    }

    /// Consumer: asks for the lines that notice() and take() will want.
    void prefetch() const noexcept {
        __builtin_prefetch(&published_);
        __builtin_prefetch(&slots_[noticed_ & mask_]);
    }

private:
    const std::size_t capacity_;
    const std::size_t mask_;
    const std::unique_ptr<T[]> slots_;

    // The producer's line. `published_`: writer the producer, reader the consumer.
    alignas(cache_line) atomic<std::uint64_t> published_{0};
    std::uint64_t staged_ = 0;
    std::uint64_t taken_seen_ = 0;

    // The consumer's line. `taken_`: writer the consumer, reader the producer when the ring looks full.
    alignas(cache_line) atomic<std::uint64_t> taken_{0};
    std::uint64_t next_ = 0;
    std::uint64_t noticed_ = 0;
};

}  // namespace spargio::detail
