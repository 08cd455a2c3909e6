// SPDX-License-Identifier: MIT
// A task's wait in a queue that one shard's thread owns: a sleep, a wait for an event.
#pragma once

#include "spargio/detail/stop_link.hpp"
#include "spargio/detail/task_header.hpp"
#include "spargio/detail/work_item.hpp"

namespace spargio::detail {

/// Lives in the awaiter. Only the shard touches its queue, so a stop from elsewhere is a message to that shard, and
/// this is also the message (hence a WorkItem): the shard takes the wait out of its queue, unless what was waited for
/// has come first. The shard is the one that the task was suspended on: its owner.executor.
struct ShardWait : Wait, WorkItem {
    /// `on_stop` is the message's arrival.
    explicit ShardWait(RunFn on_stop) noexcept;

    /// The waiting root is where the message's prefetch hint goes: it is touched right after the message, and a million
    /// sleepers have a million of these. The shard's thread.
    [[nodiscard]] TaskHeader* root() const noexcept {
        return static_cast<TaskHeader*>(back.load(std::memory_order_relaxed));
    }
    void set_root(TaskHeader* task) noexcept { back.store(task, std::memory_order_relaxed); }
};

}  // namespace spargio::detail
