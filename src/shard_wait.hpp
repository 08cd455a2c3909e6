// SPDX-License-Identifier: MIT
// The shard's side of waits in its own queues.
#pragma once

#include "spargio/detail/shard_wait.hpp"

namespace spargio::detail {

/// What was waited for has come, or a shutdown takes the wait out of its queue, which the caller has done. True: the
/// caller schedules its root, which is returned; null: a stop has come in between, and its message, on the way to this
/// shard, will do it.
[[nodiscard]] TaskHeader* end_wait(ShardWait* wait) noexcept;

/// A stop's message has arrived. True: it takes the wait out of its queue, and says so in the wait; false: what was
/// waited for has come first. Either way the caller schedules the root, here.
[[nodiscard]] bool stop_came_first(ShardWait& wait, Shard& here) noexcept;

// The arrivals of stops: RunFn of SleepWait and EventWait.
void run_sleep_stop(WorkItem* item, Shard* here) noexcept;
void run_event_stop(WorkItem* item, Shard* here) noexcept;

/// Whether an item of a run queue is the message of a stop, and not a task.
[[nodiscard]] bool is_wait_message(const WorkItem* item) noexcept;

}  // namespace spargio::detail
