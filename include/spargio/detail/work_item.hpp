// SPDX-License-Identifier: MIT
// The intrusive node that run queues carry, and the FIFO list of such nodes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

class Shard;

/// Something a shard can run: a task's next step, or a control message. It lives inside what it stands for (a task's
/// block, an awaiter), so queueing it allocates nothing. It is in one queue at a time, at most.
struct WorkItem {
    /// Runs the item on `shard`. A null shard asks a task to drop the result it holds instead: see TaskHeader.
    using RunFn = void (*)(WorkItem*, Shard*) noexcept;

    explicit constexpr WorkItem(RunFn fn) noexcept : run(fn) {}

    WorkItem* next = nullptr;
    RunFn run;
    // Before a root starts: an item that its pusher had queued a few pushes before. Only a hint of what to prefetch, it
    // may dangle. A root in a list of live tasks: its neighbour there, which may change while the root is in an
    // inbox: hence atomic, and as a hint as good as any. A ShardWait: its root. Orders nothing.
    atomic<WorkItem*> back{nullptr};
};

/// Asks for the item's first bytes to be brought to this CPU. Null and dangling addresses do no harm.
inline void prefetch(const WorkItem* item) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(item);
    __builtin_prefetch(reinterpret_cast<const void*>(address));
    __builtin_prefetch(reinterpret_cast<const void*>(address + cache_line));
}

/// Singly linked FIFO of work items. Not thread safe: one owner.
class WorkList {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    void push_back(WorkItem* item) noexcept {
        item->next = nullptr;
        if (tail_ != nullptr) {
            tail_->next = item;
        } else {
            head_ = item;
        }
        tail_ = item;
        ++size_;
    }

    /// Appends `count` items that are linked already, one at least. The last one's `next` is null.
    void append(WorkItem* first, WorkItem* last, std::size_t count) noexcept {
        (tail_ != nullptr ? tail_->next : head_) = first;
        tail_ = last;
        size_ += count;
    }

    /// The oldest item, or nullptr.
    WorkItem* pop_front() noexcept {
        WorkItem* item = head_;
        if (item != nullptr) {
            head_ = item->next;
            prefetch(head_);  // While this one runs, the next one comes from wherever it was written.
            if (head_ == nullptr) {
                tail_ = nullptr;
            }
            --size_;
        }
        return item;
    }

private:
    WorkItem* head_ = nullptr;
    WorkItem* tail_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace spargio::detail
