// SPDX-License-Identifier: MIT
// Which queues of a shard have something new: a bit each, so that it need not look at all of them.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

/// Producers publish into a queue and then mark() its bit; the shard clear()s the bits it finds, and then looks at
/// those queues. In this order nothing is missed: what was published before the look is seen by it, and what comes
/// later sets the bit again.
///
/// One half of the sleep handshake (the other is ParkState): all operations on the words are sequentially consistent,
/// but for failed exchanges, which are tried again, and a first look that misses nothing since the next turn, or the
/// look before the sleep, comes after it. Invariant: whoever finds a word empty owes the wake; every later mark in that
/// word relies on it until the next clear(). (tests/models/lane.pml)
class DirtySet {
public:
    /// Bits 0 to `size` - 1. Throws std::bad_alloc.
    explicit DirtySet(std::size_t size) : count_((size + 63) / 64), lines_(new Line[(count_ + 7) / 8]) {}

    /// Any thread, after its item is published. True: this mark made the word non-empty, and the caller must see that
    /// the shard wakes.
    [[nodiscard("whoever gets true owes the shard a wake")]] bool mark(std::size_t bit) noexcept {
        auto& marks = word(bit / 64);
        const auto mine = std::uint64_t{1} << (bit % 64);
        // Guessed, not read: to read a line before one writes it costs two ways to the CPU that has it.
        std::uint64_t others = 0;
        while (!marks.compare_exchange_weak(others, others | mine, std::memory_order_seq_cst,
                                            std::memory_order_relaxed)) {}
        return others == 0;
    }

    /// The shard's look, above all before it sleeps.
    [[nodiscard]] bool any() const noexcept {
        for (std::size_t i = 0; i < count_; ++i) {
            if (lines_[i / 8].words[i % 8].load(std::memory_order_seq_cst) != 0) {
                return true;
            }
        }
        return false;
    }

    /// The shard: clears what is set and calls `look(bit)` for each bit that was, after `announce(bit)` for all of
    /// them: a chance to prefetch while the clearing takes its time.
    template <class Announce, class Look>
    void clear(Announce&& announce, Look&& look) noexcept {
        for (std::size_t i = 0; i < count_; ++i) {
            auto& marks = word(i);
            // Acquire: `announce` may touch what was made before the first mark.
            const auto seen = marks.load(std::memory_order_acquire);
            if (seen == 0) {
                continue;
            }
            for_each(i, seen, announce);
            for_each(i, marks.exchange(0, std::memory_order_seq_cst), look);
        }
    }

private:
    // Writers: producers (mark), the shard (clear). On lines of their own: the shard spins on them.
    struct alignas(cache_line) Line {
        atomic<std::uint64_t> words[8] = {};
    };

    [[nodiscard]] atomic<std::uint64_t>& word(std::size_t i) noexcept { return lines_[i / 8].words[i % 8]; }

    template <class F>
    static void for_each(std::size_t word, std::uint64_t bits, F& f) noexcept {
        for (; bits != 0; bits &= bits - 1) {
            f(word * 64 + static_cast<std::size_t>(std::countr_zero(bits)));
        }
    }

    const std::size_t count_;
    const std::unique_ptr<Line[]> lines_;
};

}  // namespace spargio::detail
