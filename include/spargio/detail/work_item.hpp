// SPDX-License-Identifier: MIT
// The intrusive node that run queues carry, and the FIFO list of such nodes.
#pragma once

#include <cstddef>

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
};

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

    /// The oldest item, or nullptr.
    WorkItem* pop_front() noexcept {
        WorkItem* item = head_;
        if (item != nullptr) {
            head_ = item->next;
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
