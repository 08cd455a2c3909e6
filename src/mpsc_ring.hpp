// SPDX-License-Identifier: MIT
// The bounded queue from any number of threads to one.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>

#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

/// A producer reserves positions with one compare-and-swap, writes their slots, and marks each as filled; the consumer
/// goes as far as slots are filled (Vyukov's bounded queue, 2010, but reserving many at a time, with an exact bound and
/// one consumer). No lock: a producer that loses its CPU between the two holds up what others put behind it, but not
/// those others. FIFO in the order of the reservations, so per producer.
///
///     taken <= noticed <= filled without a gap <= reserved <= taken + capacity
template <class T>
class MpscRing {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    /// `capacity` from 1 to 2^31. Throws std::bad_alloc. The slots' memory is not touched before it is used.
    explicit MpscRing(std::size_t capacity)
        : capacity_(capacity),
          mask_(std::bit_ceil(capacity) - 1),
          slots_(static_cast<Slot*>(std::calloc(mask_ + 1, sizeof(Slot)))) {
        if (slots_ == nullptr) {
            throw std::bad_alloc();
        }
    }
    MpscRing(const MpscRing&) = delete;
    MpscRing& operator=(const MpscRing&) = delete;

    struct Reservation {
        std::uint64_t first;
        std::size_t count;  // 0: the ring is full.
    };

    /// Any thread: as many of `wanted` positions as are free, which the caller fill()s at once. Nothing: closed.
    [[nodiscard]] std::optional<Reservation> reserve(std::size_t wanted) noexcept {
        auto reserved = reserved_.load(std::memory_order_relaxed);
        for (;;) {
            if ((reserved & kClosed) != 0) {
                return std::nullopt;
            }
            // Acquire: the consumer has read the slots that it gives back. It may be ahead of what we believe reserved:
            // then the exchange fails.
            const auto used = reserved - taken_.load(std::memory_order_acquire);
            const auto free = capacity_ - std::min<std::uint64_t>(used, capacity_);
            const auto count = std::min<std::uint64_t>(free, wanted);
            if (count == 0 && reserved_.load(std::memory_order_relaxed) == reserved) {
                return Reservation{reserved, 0};
            }
            if (count == 0) {
                reserved = reserved_.load(std::memory_order_relaxed);
            } else if (reserved_.compare_exchange_weak(reserved, reserved + count, std::memory_order_relaxed)) {
                return Reservation{reserved, static_cast<std::size_t>(count)};
            }
        }
    }

    /// The producer that has reserved `position`, once.
    void fill(std::uint64_t position, const T& item) noexcept {
        Slot& slot = slots_[position & mask_];
        slot.item = item;
        // Release: the item.
        slot.filled.store(position + 1, std::memory_order_release);
    }

    /// Refuses every later reserve(). Any thread. Returns how many positions were ever reserved.
    std::uint64_t close() noexcept { return reserved_.fetch_or(kClosed, std::memory_order_relaxed) & ~kClosed; }

    [[nodiscard]] std::uint64_t reserved() const noexcept {
        return reserved_.load(std::memory_order_relaxed) & ~kClosed;
    }

    /// Consumer: looks how far the slots are filled. Returns how many items are new.
    std::uint64_t notice() noexcept {
        const auto before = noticed_;
        while (slots_[noticed_ & mask_].filled.load(std::memory_order_acquire) == noticed_ + 1) {
            ++noticed_;
        }
        return noticed_ - before;
    }
    [[nodiscard]] std::uint64_t noticed() const noexcept { return noticed_; }
    [[nodiscard]] bool empty() const noexcept { return next_ == noticed_; }

    /// Consumer: takes the oldest of the items it has noticed, `most` at most. Returns how many.
    std::size_t take(T* out, std::size_t most) noexcept {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(noticed_ - next_, most));
        for (std::size_t i = 0; i < count; ++i) {
            out[i] = slots_[next_++ & mask_].item;
        }
        // Release: the slots have been read and may be written again.
        taken_.store(next_, std::memory_order_release);
        return count;
    }

    void prefetch() const noexcept { __builtin_prefetch(&slots_[noticed_ & mask_]); }

private:
    static constexpr std::uint64_t kClosed = std::uint64_t{1} << 63U;

    // All zero bits is an empty slot. `filled`: writer the producer that reserved it, reader the consumer.
    struct Slot {
        atomic<std::uint64_t> filled;  // The position it holds, plus one.
        T item;
    };
    struct Free {
        void operator()(Slot* slots) const noexcept { std::free(slots); }
    };

    const std::size_t capacity_;
    const std::size_t mask_;
    const std::unique_ptr<Slot[], Free> slots_;

    // Writers: producers, close(). Relaxed: the slots publish themselves.
    alignas(cache_line) atomic<std::uint64_t> reserved_{0};

    // The consumer's line. `taken_`: writer the consumer, readers the producers.
    alignas(cache_line) atomic<std::uint64_t> taken_{0};
    std::uint64_t next_ = 0;
    std::uint64_t noticed_ = 0;
};

}  // namespace spargio::detail
