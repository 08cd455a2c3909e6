// SPDX-License-Identifier: MIT
// Moving tasks to where they run next: ends, wakes, the choice of a shard.
#pragma once

#include "spargio/detail/task_header.hpp"
#include "spargio/error.hpp"

namespace spargio::detail {

class RuntimeCore;
class Shard;

/// Ends a task that was not accepted: its frame is destroyed here and now. False.
bool refuse_task(TaskHeader* task, RuntimeError reason) noexcept;

/// Publishes the end of a root whose frame is gone; afterwards the block belongs to its handle or is freed. Wakes who
/// joins. `here` is the calling shard, or null on any other thread (and in a shutdown): with a shard, a joiner that may
/// run on it at once is returned instead of queued.
[[nodiscard]] TaskHeader* complete_task_for(TaskHeader* task, RuntimeCore& core, Shard* here) noexcept;

/// The same without a shard.
void complete_task(TaskHeader* task, RuntimeCore& core) noexcept;

/// Queues a suspended root where it may run next, and wakes that shard. Any thread. The caller owns the wake: nobody
/// else will schedule this suspension.
void schedule(TaskHeader* root) noexcept;

/// The same for the thread of the shard that has the root, out of its loop: nobody is woken unless this shard has more
/// to do than the root.
void schedule_here(TaskHeader* root, Shard& here) noexcept;

/// Before a root suspends for whoever may resume it: takes it into its shard's list of live tasks, if it is in none.
/// The root's step, before it is queued or its wait is armed.
void list_before_suspending(TaskHeader* root) noexcept;

/// The same before a root suspends for children that it has forked: a stealable one is listed later, when its wait is
/// armed (arm_forks_above()). A pinned one now, since only this shard may touch the list of its pinned tasks.
void suspend_for_children(TaskHeader* root) noexcept;

/// Brings a message to a shard, and wakes it. Taken even while the runtime closes: the caller sees to it that a
/// shutdown waits for it. Any thread; once it is there, the message, and the runtime, may be gone.
void bring_message(Shard& target, WorkItem* message) noexcept;

/// Wakes a shard if it sleeps; whether it did. `here` is the calling shard of the same runtime, or null.
bool wake_shard(Shard& target, Shard* here) noexcept;

/// After stealable work was queued at a shard that may be busy: wakes one sleeping shard, unless one is searching.
void wake_one_for_stealing(RuntimeCore& core, Shard* here) noexcept;

/// The caller's shard if it is one of this runtime, else null: shards of other runtimes are foreign threads.
[[nodiscard]] Shard* shard_in(const RuntimeCore& core) noexcept;

}  // namespace spargio::detail
