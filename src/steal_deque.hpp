// SPDX-License-Identifier: MIT
// The deque of one shard: its owner works at one end, thieves at the other.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "asymmetric_fence.hpp"
#include "spargio/detail/atomic.hpp"
#include "spargio/detail/work_item.hpp"

namespace spargio::detail {

/// Chase and Lev's deque ("Dynamic Circular Work-Stealing Deque", SPAA 2005), on a ring of fixed size, with the orders
/// of Lê, Pop, Cohen and Zappa Nardelli ("Correct and Efficient Work-Stealing for Weak Memory Models", PPoPP 2013),
/// whose fences are sequentially consistent operations here, since thread sanitizers do not see fences.
///
/// The owner pushes and pops the newest at `bottom_`, without a read-modify-write unless it is the last one; thieves
/// take the oldest at `top_`. An index is never used twice, so a compare-and-swap on `top_` cannot mistake one item for
/// another, and the ring is never replaced, so there is nothing to reclaim.
///
/// Why nothing is taken twice: let the owner pop index b without a compare-and-swap, so it stored bottom = b and then
/// read a top below b. A thief that takes b has read top = b, then a bottom above b, so before that store. In the
/// single order of all these operations the owner's look at top comes after the thief's, and cannot be below b. For the
/// last item both use a compare-and-swap from b to b + 1, and one of them fails. tests/model_checker runs it.
///
/// The owner's two stores are ordered against its looks at what others write by an AsymmetricFence: while nobody seeks
/// they are plain stores, and since no thief can be at work then, the owner takes the last item without a
/// compare-and-swap too. So it is for ever in a runtime of one shard.
///
/// `bottom_` is also one side of the sleep handshake: written before a waker looks at the park states, read by a shard
/// after it has said that it parks, both sequentially consistent.
class StealDeque {
public:
    /// Room for `least` items, rounded up to a power of two. Throws std::bad_alloc. Thieves seek, as `fence` has it,
    /// while they call steal(), but for the owner itself and for who calls when all have ended; and so does whoever
    /// relies on size(), which else may be old.
    StealDeque(std::size_t least, const AsymmetricFence& fence)
        : fence_(fence), mask_(std::bit_ceil(least) - 1), slots_(std::make_unique<atomic<WorkItem*>[]>(mask_ + 1)) {}

    // The owner.

    /// False: full.
    [[nodiscard]] bool push(WorkItem* item) noexcept {
        return push_many(1, [item](std::size_t) { return item; }) == 1;
    }

    /// Pushes `item(0)`, `item(1)`, ... as long as there is room, and shows them to the thieves all at once. Returns
    /// how many. None of them may be touched afterwards.
    template <class ItemAt>
    [[nodiscard]] std::size_t push_many(std::size_t count, ItemAt item) noexcept {
        const auto bottom = bottom_.load(std::memory_order_relaxed);
        if (room(bottom) < count) {
            // Acquire: a thief has read its slot before it moved top on, and may not see what is written there next.
            seen_top_ = top_.load(std::memory_order_acquire);
            const auto left = room(bottom);
            count = count < left ? count : left;
        }
        if (count == 0) {
            return 0;
        }
        atomic<WorkItem*>* const slots = slots_.get();
        const auto mask = mask_;
        for (std::size_t i = 0; i < count; ++i) {
            slots[(static_cast<std::size_t>(bottom) + i) & mask].store(item(i), std::memory_order_relaxed);
        }
        const auto end = bottom + static_cast<std::int64_t>(count);
        bottom_.store(end, std::memory_order_release);  // The slots and the items.
        if (const auto seen = fence_.look(); !seen.light()) {
            bottom_.store(end, std::memory_order_seq_cst);
            acknowledge(seen);
            ++fenced_pushes_;
        }
        return count;
    }

    /// The newest, or nullptr.
    [[nodiscard]] WorkItem* pop() noexcept {
        const auto newest = bottom_.load(std::memory_order_relaxed) - 1;
        if (top_.load(std::memory_order_relaxed) > newest) {
            return nullptr;  // Top only grows.
        }
        bottom_.store(newest, std::memory_order_release);  // Thieves take what is below by it.
        if (const auto seen = fence_.look(); !seen.light()) {
            return pop_beside_thieves(newest, seen);
        }
        // Acquire: else a thief could, on paper, have taken the item by the store below.
        if (top_.load(std::memory_order_acquire) > newest) {
            bottom_.store(newest + 1, std::memory_order_relaxed);
            return nullptr;  // The look before was of an old top.
        }
        return popped(newest);
    }

    /// For an owner that may not push or pop for long: acknowledges what a seeker may wait for.
    void answer_seekers() noexcept { acknowledge(fence_.look()); }

    /// Pushes so far that had to be ordered by a locked instruction. The owner.
    [[nodiscard]] std::uint64_t fenced_pushes() const noexcept { return fenced_pushes_; }

    // Any thread.

    /// The oldest, or nullptr. Lock-free: a try that fails means that somebody else has taken one.
    [[nodiscard]] WorkItem* steal() noexcept {
        for (;;) {
            auto top = top_.load(std::memory_order_seq_cst);
            // Acquires what push_many() released.
            if (top >= bottom_.load(std::memory_order_seq_cst)) {
                return nullptr;
            }
            WorkItem* item = slot(top).load(std::memory_order_relaxed);
            // Release: the slot has been read, see push_many(). Nothing of the item may be touched before it is ours.
            if (top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst, std::memory_order_relaxed)) {
                return item;
            }
        }
    }

    /// May be old by the time it returns.
    [[nodiscard]] std::size_t size() const noexcept {
        const auto top = top_.load(std::memory_order_seq_cst);
        const auto bottom = bottom_.load(std::memory_order_seq_cst);
        return bottom > top ? static_cast<std::size_t>(bottom - top) : 0;
    }

    /// Items that pop() and steal() gave so far.
    [[nodiscard]] std::uint64_t taken() const noexcept {
        return popped_.load(std::memory_order_relaxed) +
               static_cast<std::uint64_t>(top_.load(std::memory_order_relaxed));
    }

    [[nodiscard]] std::size_t capacity() const noexcept { return mask_ + 1; }

    /// The state of the fence that the owner has seen, and since when it fences. Any thread: see
    /// AsymmetricFence::pending().
    [[nodiscard]] std::uint64_t acknowledged() const noexcept { return acknowledged_.load(std::memory_order_acquire); }

private:
    [[nodiscard]] WorkItem* pop_beside_thieves(std::int64_t newest, AsymmetricFence::Seen seen) noexcept {
        bottom_.store(newest, std::memory_order_seq_cst);
        acknowledge(seen);
        auto top = top_.load(std::memory_order_seq_cst);
        if (top < newest) {
            return popped(newest);
        }
        WorkItem* item = nullptr;
        // Acquire where it fails: else the thief that took the item could, on paper, have done so by the store below.
        if (top == newest &&
            top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst, std::memory_order_acquire)) {
            item = slot(newest).load(std::memory_order_relaxed);
        }
        // Empty: bottom equals top again. Nobody reads an item by this store, so it releases nothing.
        bottom_.store(newest + 1, std::memory_order_relaxed);
        return item;
    }

    [[nodiscard]] WorkItem* popped(std::int64_t index) noexcept {
        popped_.store(popped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        return slot(index).load(std::memory_order_relaxed);
    }
    /// From here on it fences. Releases all that it has done without.
    void acknowledge(AsymmetricFence::Seen seen) noexcept {
        if (seen.changing()) [[unlikely]] {
            acknowledged_.store(seen.word(), std::memory_order_release);
        }
    }
    [[nodiscard]] atomic<WorkItem*>& slot(std::int64_t index) noexcept {
        return slots_[static_cast<std::size_t>(index) & mask_];
    }
    [[nodiscard]] std::size_t room(std::int64_t bottom) const noexcept {
        return capacity() - static_cast<std::size_t>(bottom - seen_top_);
    }

    const AsymmetricFence& fence_;
    const std::size_t mask_;
    const std::unique_ptr<atomic<WorkItem*>[]> slots_;  // Writer: the owner. Readers: the owner, thieves. Relaxed.

    alignas(cache_line) atomic<std::int64_t> bottom_{0};  // Writer: the owner. Readers: thieves, parking shards.
    std::int64_t seen_top_ = 0;                           // The owner's: top was at least that.
    std::uint64_t fenced_pushes_ = 0;                     // The owner's.
    atomic<std::uint64_t> popped_{0};                     // Writer: the owner; orders nothing.
    atomic<std::uint64_t> acknowledged_{0};               // Writer: the owner; released.

    alignas(cache_line) atomic<std::int64_t> top_{0};  // Writers: thieves; the owner for the last item.
};

}  // namespace spargio::detail
