// SPDX-License-Identifier: MIT
// What a shard and its driver do with operations.
#pragma once

#include "spargio/detail/operation.hpp"

namespace spargio::detail {

class Shard;

/// The last completion is there, `result` is set: the task goes on, or will when the stop that holds it has come. The
/// thread of the operation's shard; afterwards nothing of it may be touched.
void end_operation(Operation& operation, Shard& here) noexcept;

/// A stop lets go of an operation that has not ended: the kernel has, or will have in its order, the cancellation. The
/// thread of its shard; afterwards nothing of it may be touched.
void finish_stop(Operation& operation, Shard& here) noexcept;

/// The same of one that ended while the stop held it: the task goes on.
void stop_after_end(Operation& operation, Shard& here) noexcept;

/// A start or a stop, not a task.
[[nodiscard]] bool is_operation_message(const WorkItem* item) noexcept;

}  // namespace spargio::detail
