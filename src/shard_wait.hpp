// SPDX-License-Identifier: MIT
// The shard's side of waits in its own queues.
#pragma once

#include "spargio/detail/shard_wait.hpp"

namespace spargio::detail {

/// What was waited for has come, or a shutdown takes the wait out of its queue, which the caller has done. True: the
/// caller schedules its root, which is returned; null: a stop has come in between, and its message, on the way to this
/// shard, will do it.
[[nodiscard]] TaskHeader* end_wait(ShardWait* wait) noexcept;

/// Whether an item of a run queue is the message of a stop, and not a task.
[[nodiscard]] bool is_wait_message(const WorkItem* item) noexcept;

}  // namespace spargio::detail
