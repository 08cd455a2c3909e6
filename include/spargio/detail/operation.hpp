// SPDX-License-Identifier: MIT
// Operation: one request to the kernel on the ring of one shard, and the task that waits for it.
#pragma once

#include <cstdint>
#include <system_error>

#include "spargio/detail/seams.hpp"
#include "spargio/detail/stop_link.hpp"
#include "spargio/detail/task_header.hpp"
#include "spargio/detail/work_item.hpp"

struct io_uring_sqe;

namespace spargio::detail {

void run_operation_start(WorkItem* item, Shard* here) noexcept;
void run_operation_stop(WorkItem* item, Shard* here) noexcept;

/// The message that brings an operation to its shard, when another one begins it.
struct OperationStart : WorkItem {
    constexpr OperationStart() noexcept : WorkItem(&run_operation_start) {}
};

/// The message that brings a stop to it.
struct OperationStop : WorkItem {
    constexpr OperationStop() noexcept : WorkItem(&run_operation_stop) {}
};

/// Wait::CancelFn of operations.
void cancel_operation(Wait* base, TaskHeader* root) noexcept;

/// Lives in the awaiter, so in the frame of the task that waits, and with it all that the kernel reads and writes. It
/// ends once: the task goes on after the last completion, and nothing destroys it before, a shutdown neither.
///
/// But for its start and its stop, which other threads may ask for by a message each, it belongs to the thread of its
/// shard. Who schedules the task, if the end and a stop come at a time, decides StopLink. States:
///
// clang-format off
///     New      the start is under way to the shard. A stop leaves a mark; the start then ends it
///     Waiting  for room in the submission queue. A stop ends it
///     InRing   the kernel has it, or will with the next submit. A stop sends ASYNC_CANCEL, and its completion ends it
///     Ended    the task has been, or is by the stop that holds it, scheduled
// clang-format on
///
/// ASYNC_CANCEL names the operation by its address. It stands in the submission queue in front of whatever may have the
/// same address later, so it cannot hit another one; until it stands there the stop holds the operation.
struct Operation : Wait, OperationStart, OperationStop {
    enum class State : std::uint8_t { New, Waiting, InRing, Ended };

    static constexpr int refused = -(1 << 30);  // A result: the shard's runtime was shut down before it began.

    /// Fills in a zeroed entry, but for user_data. The shard's thread; again for each attempt.
    using PrepareFn = void (*)(Operation&, io_uring_sqe*) noexcept;
    /// What a completion means: true asks for another attempt. Null: it is the end. The shard's thread.
    using AgainFn = bool (*)(Operation&, int result) noexcept;

    Operation(Executor* of, PrepareFn prepare_entry, AgainFn again_after) noexcept
        : Wait(&cancel_operation), prepare(prepare_entry), again(again_after), shard(of) {}
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;

    PrepareFn prepare;
    AgainFn again;
    Executor* shard;  // Whose ring.
    TaskHeader* root = nullptr;
    // The shard's list of its state.
    Operation* before = nullptr;
    Operation* after = nullptr;
    int result = 0;  // Of the last attempt: as in io_uring_cqe::res, -errno for a failure.
    State state = State::New;
    bool stopped = false;  // No further attempt.
    bool cancel_sent = false;
    std::uint8_t cancels_missed = 0;
    std::uint8_t opcode = 0;  // Of the last attempt; the descriptor too.
    int last_fd = -1;
    bool named = false;  // As one that a shutdown waits for.
    clock::time_point cancelled_at{};
};

/// False: do not suspend, `result` tells why. Else the operation runs, and nothing of it may be touched until the task
/// goes on.
[[nodiscard]] bool operation_suspend(Operation& operation, TaskHeader* root) noexcept;

/// -errno as an error code, of the system category.
[[nodiscard]] inline std::error_code operation_error(int result) noexcept {
    return {-result, std::system_category()};
}

}  // namespace spargio::detail
