// SPDX-License-Identifier: MIT
// The many-producer, one-consumer queue of a shard: spawns and wakes that other threads bring.
#pragma once

#include <cstdint>

#include "spargio/detail/atomic.hpp"
#include "spargio/detail/work_item.hpp"

namespace spargio::detail {

/// What a push did, and so who owes the shard a wake.
enum class [[nodiscard("whoever gets WasEmpty owes the shard a wake")]] Push : std::uint8_t{
    Refused,   ///< the inbox is closed; the item was not taken
    WasEmpty,  ///< this push made it non-empty: the caller must see that the shard wakes
    Queued,    ///< somebody before this push owes the wake already
};

/// Intrusive stack (Treiber, IBM RJ 5118, 1986) that the consumer takes whole and reverses, so no item is ever popped
/// by compare-and-swap and ABA cannot happen. FIFO per producer, and over all producers in the order of their pushes.
///
/// Invariant: a push that finds the stack empty owes the wake; every later push until the next take_all() relies on it.
/// All operations on `head_` are sequentially consistent (but for a hint, and failed exchanges, which are tried again):
/// it is one half of the sleep handshake (the other is ParkState).
class Inbox {
public:
    /// Takes the item unless the inbox was closed, and counts it. Any thread.
    Push try_push(WorkItem* item) noexcept {
        const Push pushed = insert(item, kClosed);
        if (pushed != Push::Refused) {
            accepted_.fetch_add(1, std::memory_order_relaxed);
        }
        return pushed;
    }

    /// The same for what is no task, and not counted. Any thread.
    Push push_unless_closed(WorkItem* item) noexcept { return insert(item, kClosed); }

    /// Takes the item even from a closed inbox: for wakes that a shutdown waits for. Any thread.
    Push push(WorkItem* item) noexcept { return insert(item, 0); }

    /// Refuses every later try_push(). Any thread; idempotent.
    void close() noexcept { head_.fetch_or(kClosed, std::memory_order_seq_cst); }

    /// Consumer's look before it sleeps; any thread may ask, the answer may be old by then.
    [[nodiscard]] bool empty() const noexcept { return (head_.load(std::memory_order_seq_cst) & ~kClosed) == 0; }

    /// What try_push() has taken so far. Any thread.
    [[nodiscard]] std::uint64_t accepted() const noexcept { return accepted_.load(std::memory_order_relaxed); }

    /// Appends everything to `out`, oldest first, and leaves the inbox empty. Consumer only. Returns how many.
    std::size_t take_all(WorkList& out) noexcept {
        // It comes while the line of the head does.
        prefetch(reinterpret_cast<const WorkItem*>(head_.load(std::memory_order_relaxed) & ~kClosed));
        auto* const newest =
            reinterpret_cast<WorkItem*>(head_.fetch_and(kClosed, std::memory_order_seq_cst) & ~kClosed);
        WorkItem* oldest_first = nullptr;
        std::size_t count = 0;
        for (WorkItem* item = newest; item != nullptr; ++count) {
            // Each item is in another CPU's cache, and names the next one only when it has arrived: waiting for one
            // after the other would cost more than all the rest. The hints let some of them travel at a time.
            prefetch(item->back.load(std::memory_order_relaxed));
            WorkItem* older = item->next;
            item->next = oldest_first;
            oldest_first = item;
            item = older;
        }
        if (count != 0) {
            out.append(oldest_first, newest, count);
        }
        return count;
    }

private:
    static constexpr std::uintptr_t kClosed = 1;

    Push insert(WorkItem* item, std::uintptr_t refuse_if) noexcept {
        // Guessed, not read: to read a line before one writes it costs two ways to the CPU that has it.
        std::uintptr_t head = 0;
        do {
            if ((head & refuse_if) != 0) {
                return Push::Refused;
            }
            item->next = reinterpret_cast<WorkItem*>(head & ~kClosed);
            // Publishes the item's contents to take_all(), and comes before the producer's look at the park state.
        } while (!head_.compare_exchange_weak(head, reinterpret_cast<std::uintptr_t>(item) | (head & kClosed),
                                              std::memory_order_seq_cst, std::memory_order_relaxed));
        return (head & ~kClosed) == 0 ? Push::WasEmpty : Push::Queued;
    }

    alignas(cache_line) atomic<std::uintptr_t> head_{0};  // Producers and consumer; bit 0 = closed.
    // Producers; orders nothing. The consumer, which may be taking the items just now, need not see it.
    alignas(cache_line) atomic<std::uint64_t> accepted_{0};
};

}  // namespace spargio::detail
