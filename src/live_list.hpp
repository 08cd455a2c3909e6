// SPDX-License-Identifier: MIT
// The started, unfinished tasks of a shard: what a shutdown has to destroy.
#pragma once

#include "spargio/detail/task_header.hpp"

namespace spargio::detail {

/// Doubly linked through the headers. Not thread safe.
class LiveList {
public:
    void insert(TaskHeader* task) noexcept {
        task->live_prev = nullptr;
        task->live.next = head_;
        if (head_ != nullptr) {
            head_->live_prev = task;
        }
        head_ = task;
    }

    void remove(TaskHeader* task) noexcept {
        if (task->live_prev != nullptr) {
            task->live_prev->live.next = task->live.next;
        } else {
            head_ = task->live.next;
        }
        if (task->live.next != nullptr) {
            task->live.next->live_prev = task->live_prev;
        }
        task->live.next = nullptr;
        task->live_prev = nullptr;
    }

    [[nodiscard]] TaskHeader* front() const noexcept { return head_; }

private:
    TaskHeader* head_ = nullptr;
};

}  // namespace spargio::detail
