// SPDX-License-Identifier: MIT
// How far the target of a lane has seen its messages, and who waits for that.
#pragma once

#include <cstdint>
#include <mutex>

#include "spargio/detail/atomic.hpp"
#include "spargio/detail/ticket_wait.hpp"

namespace spargio::detail {

/// The target says seen(); a ticket is a position of the lane, so it costs nothing until somebody waits for it. Waits
/// are in the order of their positions, under a lock, which the target takes only when there are any.
///
/// No wait is forgotten: a waiter announces itself (`waiting_`) and then looks at `seen_`; the target stores `seen_`
/// and then looks at `waiting_`; all sequentially consistent, so one of them sees the other (tests/models/lane.pml). A
/// wait that has left the list belongs to whoever took it out.
class Receipts {
public:
    Receipts() = default;
    Receipts(const Receipts&) = delete;
    Receipts& operator=(const Receipts&) = delete;

    /// Target: it has seen what lies before `position`. Wakes those who wait for that.
    void seen(std::uint64_t position) noexcept {
        seen_.store(position, std::memory_order_seq_cst);
        if (waiting_.load(std::memory_order_seq_cst) != 0) {
            release(position, TicketState::Seen);
        }
    }

    /// Target, at its end: it will see no more.
    void close() noexcept;

    /// Any thread.
    [[nodiscard]] TicketState state(std::uint64_t position) const noexcept;

    /// Enters the wait, and arms its task's stop word. False: there is nothing to wait for; the wait's state says why.
    [[nodiscard]] bool enter(TicketWait& wait) noexcept;

    /// Takes a wait back from the target. False: the target has taken it out already.
    [[nodiscard]] bool leave(TicketWait& wait) noexcept;

private:
    void release(std::uint64_t upto, TicketState state) noexcept;
    void unlink(TicketWait& wait) noexcept;

    // Writer: the target. Readers: whoever has a ticket. Publishes nothing else.
    atomic<std::uint64_t> seen_{0};
    // Writers: under the lock. Reader: the target, without it.
    atomic<std::uint32_t> waiting_{0};
    // Writer: the target, once, after its last seen(). Readers: whoever has a ticket.
    atomic<bool> closed_{false};
    std::mutex mutex_;
    TicketWait* first_ = nullptr;
    TicketWait* last_ = nullptr;
};

}  // namespace spargio::detail
