// SPDX-License-Identifier: MIT
// The started, unfinished tasks of a shard: what a shutdown has to destroy.
#pragma once

#include "spargio/detail/task_header.hpp"

namespace spargio::detail {

/// Doubly linked through the headers. Not thread safe.
class LiveList {
public:
    void insert(TaskHeader* task) noexcept {
        task->back = nullptr;
        task->live.next = head_;
        if (head_ != nullptr) {
            head_->back = task;
        }
        head_ = task;
    }

    void remove(TaskHeader* task) noexcept {
        if (task->back != nullptr) {
            static_cast<TaskHeader*>(task->back)->live.next = task->live.next;
        } else {
            head_ = task->live.next;
        }
        if (task->live.next != nullptr) {
            task->live.next->back = task->back;
        }
        task->live.next = nullptr;
        task->back = nullptr;
    }

    [[nodiscard]] TaskHeader* front() const noexcept { return head_; }

private:
    TaskHeader* head_ = nullptr;
};

}  // namespace spargio::detail
