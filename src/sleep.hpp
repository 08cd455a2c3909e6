// SPDX-License-Identifier: MIT
// The shard's side of sleeps.
#pragma once

#include "spargio/detail/task_header.hpp"
#include "spargio/detail/timer_queue.hpp"
#include "spargio/detail/work_item.hpp"

namespace spargio::detail {

class Shard;

/// A deadline has come, or a shutdown takes the timer out: the sleeper is done waiting. True: the caller schedules its
/// root, which is returned; null: a stop has come in between, and its message, on the way to this shard, will do it.
[[nodiscard]] TaskHeader* end_sleep(TimerNode* timer) noexcept;

/// Whether an item of a run queue is such a message, and not a task.
[[nodiscard]] bool is_sleep_message(const WorkItem* item) noexcept;

}  // namespace spargio::detail
