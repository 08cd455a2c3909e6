// SPDX-License-Identifier: MIT
// The started, unfinished tasks of a shard: what a shutdown has to destroy.
#pragma once

#include "spargio/detail/task_header.hpp"

namespace spargio::detail {

/// Doubly linked through the headers. Not thread safe.
class LiveList {
public:
    void insert(TaskHeader* task) noexcept {
        task->back.store(nullptr, std::memory_order_relaxed);
        task->live.next = head_;
        if (head_ != nullptr) {
            head_->back.store(task, std::memory_order_relaxed);
        }
        head_ = task;
    }

    void remove(TaskHeader* task) noexcept {
        WorkItem* before = task->back.load(std::memory_order_relaxed);
        if (before != nullptr) {
            static_cast<TaskHeader*>(before)->live.next = task->live.next;
        } else {
            head_ = task->live.next;
        }
        if (task->live.next != nullptr) {
            task->live.next->back.store(before, std::memory_order_relaxed);
        }
        task->live.next = nullptr;
        task->back.store(nullptr, std::memory_order_relaxed);
    }

    /// Neither reads nor writes a link back; from the first call on nothing else but front() may be called.
    [[nodiscard]] TaskHeader* pop_front() noexcept {
        TaskHeader* task = head_;
        if (task != nullptr) {
            head_ = task->live.next;
            task->live.next = nullptr;
        }
        return task;
    }

    [[nodiscard]] TaskHeader* front() const noexcept { return head_; }

private:
    TaskHeader* head_ = nullptr;
};

}  // namespace spargio::detail
