// SPDX-License-Identifier: MIT
// What a join does that does not depend on the task's type: waiting, stopping, letting go.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <system_error>

#include "spargio/detail/task_header.hpp"

namespace spargio::detail {

/// Wait::CancelFn of a join.
void cancel_join(Wait* base, TaskHeader* root) noexcept;

/// A task's wait for another one; lives in the awaiter.
struct JoinWait : Wait {
    JoinWait(TaskHeader* awaited, std::uint64_t runtime_of_child) noexcept
        : Wait(&cancel_join), child(awaited), runtime(runtime_of_child) {}

    TaskHeader* root = nullptr;  // The joiner. Set before the wait is armed.
    TaskHeader* child;
    std::uint64_t runtime;  // The child's. If it is the joiner's too, its shutdown will end the child.
    bool canceled = false;  // Set by the canceller that took the wait back, before it schedules the joiner.
};

/// Suspends `joiner` until the child has ended or the joiner is stopped. False: do not suspend, it has ended, or
/// `canceled` is set. After true nothing of the joiner may be touched: it may be running already.
[[nodiscard]] bool join_suspend(JoinWait& wait, TaskHeader* joiner) noexcept;

/// Throws std::logic_error on a shard thread of that runtime: blocking there would stop the shard.
void refuse_on_shard_of(std::uint64_t runtime);
/// Blocks the calling thread until the task has ended. Throws std::logic_error on a shard of that runtime.
void join_block(TaskHeader* task, std::uint64_t runtime);
/// The same with a limit; false when the task has not ended by then.
[[nodiscard]] bool join_block_for(TaskHeader* task, std::uint64_t runtime, std::chrono::nanoseconds limit);

/// Why there is no value: JoinError::Canceled, or the reason the spawn was refused.
[[nodiscard]] std::error_code join_error(const TaskHeader* task) noexcept;
/// The reason of a refusal; empty for every other task.
[[nodiscard]] std::error_code refusal_of(const TaskHeader* task) noexcept;

void request_task_stop(TaskHeader* task) noexcept;
/// Gives up the handle's side of the block.
void detach_task(TaskHeader* task) noexcept;

/// The completer's side: wakes the thread in join_block(). The block may be gone.
void wake_joining_thread(const TaskHeader* task) noexcept;
/// The end of a task, or of the handle to an ended one, that nobody joined: reports its exception, frees the block.
void end_unjoined(TaskHeader* task) noexcept;
/// Reports an exception that was kept outside of its task's block, for somebody who is gone.
void report_untaken(RuntimeCore& core, std::exception_ptr error) noexcept;

/// Throws std::system_error; out of line to keep the callers small.
[[noreturn]] void throw_join_error(const TaskHeader* task);
[[noreturn]] void throw_canceled();
[[noreturn]] void throw_empty_handle();

}  // namespace spargio::detail
