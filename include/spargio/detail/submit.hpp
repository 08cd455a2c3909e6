// SPDX-License-Identifier: MIT
// The door between the spawn templates and the compiled scheduler.
#pragma once

#include "spargio/detail/core_ref.hpp"
#include "spargio/detail/task_header.hpp"
#include "spargio/join_handle.hpp"
#include "spargio/placement.hpp"
#include "spargio/spawnable.hpp"

namespace spargio::detail {

/// Queues a task that has not started. Any thread. A refusal ends the task at once (Outcome::Refused); false.
bool submit(RuntimeCore& core, TaskPlacement placement, TaskHeader* task) noexcept;
/// The same for the calling shard's own queue.
void submit_local(Shard& shard, TaskHeader* task) noexcept;
/// The same for the pool of blocking threads.
void submit_blocking(RuntimeCore& core, TaskHeader* task) noexcept;

/// The shard that the calling thread is, or nullptr. Out of line: see SPARGIO_NOINLINE.
[[nodiscard]] Shard* current_shard() noexcept;

template <Spawnable F>
[[nodiscard]] JoinHandle<SpawnValue<F>> spawn(RuntimeCore& core, TaskPlacement placement, F&& spawnable) {
    auto task = make_task(std::forward<F>(spawnable));
    TaskHeader* header = TaskAccess::release(task);
    const auto id = core_id(&core);
    submit(core, placement, header);
    return JoinHandle<SpawnValue<F>>(header, id);
}

}  // namespace spargio::detail
