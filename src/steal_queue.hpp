// SPDX-License-Identifier: MIT
// The bounded queue of stealable tasks of one shard, and the shared overflow queue.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "spargio/detail/atomic.hpp"
#include "spargio/detail/work_item.hpp"

namespace spargio::detail {

/// FIFO under a lock that is held for a few instructions; an empty or a full queue is seen without it. Any thread may
/// do anything. `size_` is one side of the sleep handshake: written before a waker looks at the park states, read by a
/// shard after it has said that it parks, both sequentially consistent.
class StealQueue {
public:
    enum class [[nodiscard]] Offer : std::uint8_t{Taken, Full, Closed};

    /// Takes the item if fewer than `bound` wait.
    Offer offer(WorkItem* item, std::size_t bound) noexcept {
        const std::lock_guard lock(mutex_);
        if (closed_) {
            return Offer::Closed;
        }
        if (items_.size() >= bound) {
            return Offer::Full;
        }
        insert(item);
        count(accepted_, 1);
        return Offer::Taken;
    }

    /// Takes the item, full and closed alike: for a task that was accepted long ago.
    void put(WorkItem* item) noexcept {
        const std::lock_guard lock(mutex_);
        insert(item);
    }

    /// The oldest, or nullptr.
    [[nodiscard]] WorkItem* pop() noexcept {
        if (size() == 0) {
            return nullptr;
        }
        const std::lock_guard lock(mutex_);
        WorkItem* item = items_.pop_front();
        size_.store(items_.size(), std::memory_order_seq_cst);
        count(taken_, item != nullptr ? 1 : 0);
        return item;
    }

    /// The oldest ones: half of them, rounded up, `most` at most. Returns how many went to `out`.
    std::size_t steal(WorkList& out, std::size_t most) noexcept {
        if (size() == 0) {
            return 0;
        }
        const std::lock_guard lock(mutex_);
        const auto half = (items_.size() + 1) / 2;
        const auto number = half < most ? half : most;
        for (std::size_t i = 0; i < number; ++i) {
            out.push_back(items_.pop_front());
        }
        size_.store(items_.size(), std::memory_order_seq_cst);
        count(taken_, number);
        return number;
    }

    void close() noexcept {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_.load(std::memory_order_seq_cst); }

    /// Items that came through offer(), and items that pop() and steal() gave, so far.
    [[nodiscard]] std::uint64_t accepted() const noexcept { return accepted_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t taken() const noexcept { return taken_.load(std::memory_order_relaxed); }

private:
    void insert(WorkItem* item) noexcept {
        items_.push_back(item);
        size_.store(items_.size(), std::memory_order_seq_cst);
    }

    static void count(atomic<std::uint64_t>& counter, std::size_t more) noexcept {
        counter.store(counter.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
    }

    alignas(cache_line) std::mutex mutex_;
    WorkList items_;
    bool closed_ = false;
    atomic<std::size_t> size_{0};        // Written under the lock, read without.
    atomic<std::uint64_t> accepted_{0};  // The same; orders nothing. Likewise the next.
    atomic<std::uint64_t> taken_{0};
};

}  // namespace spargio::detail
