// SPDX-License-Identifier: MIT
// The deque of one shard: its owner works at one end, thieves at the other.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

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
/// In a runtime of one shard nobody steals, and no other shard sleeps. There the owner's stores need no order against
/// its looks at what others write, and each locked instruction that they are compiled to is a tenth of a small task.
///
/// `bottom_` is also one side of the sleep handshake: written before a waker looks at the park states, read by a shard
/// after it has said that it parks, both sequentially consistent.
class StealDeque {
public:
    enum class Thieves : bool { None, Come };

    /// Room for `least` items, rounded up to a power of two. Throws std::bad_alloc. Without thieves only the owner
    /// calls steal(), or who is ordered after it by other means; what others see by size() and taken() may be old.
    explicit StealDeque(std::size_t least, Thieves thieves = Thieves::Come)
        : mask_(std::bit_ceil(least) - 1),
          slots_(std::make_unique<atomic<WorkItem*>[]>(mask_ + 1)),
          alone_(thieves == Thieves::None) {}

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
        atomic<WorkItem*>* const slots = slots_.get();
        const auto mask = mask_;
        for (std::size_t i = 0; i < count; ++i) {
            slots[(static_cast<std::size_t>(bottom) + i) & mask].store(item(i), std::memory_order_relaxed);
        }
        if (alone_) {
            bottom_.store(bottom + static_cast<std::int64_t>(count), std::memory_order_relaxed);
        } else if (count != 0) {
            // Releases the slots and the items.
            bottom_.store(bottom + static_cast<std::int64_t>(count), std::memory_order_seq_cst);
        }
        return count;
    }

    /// The newest, or nullptr.
    [[nodiscard]] WorkItem* pop() noexcept {
        const auto newest = bottom_.load(std::memory_order_relaxed) - 1;
        if (top_.load(std::memory_order_relaxed) > newest) {
            return nullptr;  // Top only grows.
        }
        if (alone_) {
            bottom_.store(newest, std::memory_order_relaxed);
            popped_.store(popped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
            return slot(newest).load(std::memory_order_relaxed);
        }
        bottom_.store(newest, std::memory_order_seq_cst);
        auto top = top_.load(std::memory_order_seq_cst);
        if (top < newest) {
            popped_.store(popped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
            return slot(newest).load(std::memory_order_relaxed);
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

private:
    [[nodiscard]] atomic<WorkItem*>& slot(std::int64_t index) noexcept {
        return slots_[static_cast<std::size_t>(index) & mask_];
    }
    [[nodiscard]] std::size_t room(std::int64_t bottom) const noexcept {
        return capacity() - static_cast<std::size_t>(bottom - seen_top_);
    }

    const std::size_t mask_;
    const std::unique_ptr<atomic<WorkItem*>[]> slots_;  // Writer: the owner. Readers: the owner, thieves. Relaxed.
    const bool alone_;

    alignas(cache_line) atomic<std::int64_t> bottom_{0};  // Writer: the owner. Readers: thieves, parking shards.
    std::int64_t seen_top_ = 0;                           // The owner's: top was at least that.
    atomic<std::uint64_t> popped_{0};                     // Writer: the owner; orders nothing.

    alignas(cache_line) atomic<std::int64_t> top_{0};  // Writers: thieves; the owner for the last item.
};

}  // namespace spargio::detail
