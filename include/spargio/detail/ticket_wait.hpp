// SPDX-License-Identifier: MIT
// Waiting until the target of a message has seen it.
#pragma once

#include <chrono>
#include <cstdint>

#include "spargio/detail/atomic.hpp"
#include "spargio/detail/revocable_wait.hpp"
#include "spargio/detail/task_header.hpp"

namespace spargio::detail {

class Receipts;

/// What has become of a ticketed message, or of the wait for it.
enum class TicketState : std::uint8_t {
    Pending,
    Seen,
    Closed,    ///< the target ended before it looked
    Canceled,  ///< the wait was stopped
};

/// A task's wait for one position of a lane, in the list of the lane's Receipts; lives in the awaiter. Or, with a null
/// root, a thread's, on its stack.
struct TicketWait : RevocableWait {
    TicketWait(Receipts* of, std::uint64_t upto) noexcept;

    Receipts* receipts;
    std::uint64_t position;  // The message is the one before it.
    TaskHeader* root = nullptr;
    TicketWait* before = nullptr;  // The list's, under its lock.
    TicketWait* after = nullptr;
    TicketState state = TicketState::Pending;
    atomic<std::uint32_t> woken{0};  // A thread's futex.
};

/// Any thread. Without receipts there is nothing to wait for: Seen.
[[nodiscard]] TicketState ticket_state(const Receipts* receipts, std::uint64_t position) noexcept;

/// False: do not suspend; `state` is not Pending. After true nothing of the task may be touched.
[[nodiscard]] bool ticket_suspend(TicketWait& wait, TaskHeader* root) noexcept;

/// Blocks the calling thread; Pending if the limit came first.
[[nodiscard]] TicketState ticket_block(Receipts* receipts, std::uint64_t position,
                                       std::chrono::nanoseconds limit) noexcept;

}  // namespace spargio::detail
