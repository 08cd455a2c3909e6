// SPDX-License-Identifier: MIT
// Waiting for tickets: tasks and threads, their wakes, their stops.
#include "receipts.hpp"

#include "futex.hpp"
#include "scheduler.hpp"
#include "spargio/detail/seams.hpp"
#include "suspend_hook.hpp"

namespace spargio::detail {

namespace {

bool revoke_ticket(RevocableWait& base) noexcept {
    auto& wait = static_cast<TicketWait&>(base);
    return wait.receipts->leave(wait);
}

}  // namespace

TicketWait::TicketWait(Receipts* of, std::uint64_t upto) noexcept
    : RevocableWait(&revoke_ticket), receipts(of), position(upto) {}

TicketState Receipts::state(std::uint64_t position) const noexcept {
    if (seen_.load(std::memory_order_acquire) >= position) {
        return TicketState::Seen;
    }
    if (!closed_.load(std::memory_order_acquire)) {
        return TicketState::Pending;
    }
    return seen_.load(std::memory_order_relaxed) >= position ? TicketState::Seen : TicketState::Closed;
}

bool Receipts::enter(TicketWait& wait) noexcept {
    const std::lock_guard lock(mutex_);
    const auto others = waiting_.load(std::memory_order_relaxed);
    waiting_.store(others + 1, std::memory_order_seq_cst);
    if (seen_.load(std::memory_order_seq_cst) >= wait.position) {
        wait.state = TicketState::Seen;
    } else if (closed_.load(std::memory_order_relaxed)) {
        wait.state = TicketState::Closed;
    } else if (wait.root != nullptr && !arm_revocable(wait, wait.root)) {
        wait.state = TicketState::Canceled;
    } else {
        // Nearly always the last: messages are awaited in the order in which they are sent.
        TicketWait* earlier = last_;
        while (earlier != nullptr && earlier->position > wait.position) {
            earlier = earlier->before;
        }
        wait.before = earlier;
        wait.after = earlier != nullptr ? earlier->after : first_;
        (wait.before != nullptr ? wait.before->after : first_) = &wait;
        (wait.after != nullptr ? wait.after->before : last_) = &wait;
        return true;
    }
    waiting_.store(others, std::memory_order_relaxed);
    return false;
}

void Receipts::unlink(TicketWait& wait) noexcept {
    (wait.before != nullptr ? wait.before->after : first_) = wait.after;
    (wait.after != nullptr ? wait.after->before : last_) = wait.before;
    waiting_.store(waiting_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

bool Receipts::leave(TicketWait& wait) noexcept {
    const std::lock_guard lock(mutex_);
    if (wait.state != TicketState::Pending) {
        return false;
    }
    unlink(wait);
    wait.state = TicketState::Canceled;
    return true;
}

void Receipts::release(std::uint64_t upto, TicketState state) noexcept {
    TicketWait* tasks = nullptr;
    TicketWait** end = &tasks;
    {
        const std::lock_guard lock(mutex_);
        while (first_ != nullptr && first_->position <= upto) {
            TicketWait& wait = *first_;
            unlink(wait);
            wait.state = state;
            if (wait.root != nullptr) {
                wait.after = nullptr;
                *end = &wait;
                end = &wait.after;
            } else {
                // Under the lock, which the thread takes before it goes: until then its stack is there.
                wait.woken.store(1, std::memory_order_relaxed);
                futex_wake(&wait.woken);
            }
        }
    }
    while (tasks != nullptr) {
        TicketWait* wait = tasks;
        tasks = wait->after;
        end_revocable(*wait, wait->root);
    }
}

void Receipts::close() noexcept {
    {
        const std::lock_guard lock(mutex_);
        closed_.store(true, std::memory_order_release);
    }
    release(~std::uint64_t{0}, TicketState::Closed);
}

TicketState ticket_state(const Receipts* receipts, std::uint64_t position) noexcept {
    return receipts == nullptr ? TicketState::Seen : receipts->state(position);
}

bool ticket_suspend(TicketWait& wait, TaskHeader* root) noexcept {
    wait.state = ticket_state(wait.receipts, wait.position);
    if (wait.state != TicketState::Pending) {
        return false;
    }
    wait.root = root;
    list_before_suspending(root);  // Before the lock: it may run callbacks of stops, which are the user's.
    return wait.receipts->enter(wait) && suspended();
}

TicketState ticket_block(Receipts* receipts, std::uint64_t position, std::chrono::nanoseconds limit) noexcept {
    const auto state = ticket_state(receipts, position);
    if (state != TicketState::Pending) {
        return state;
    }
    const auto now = clock::now();
    const auto deadline = limit < clock::time_point::max() - now ? now + limit : clock::time_point::max();
    TicketWait wait(receipts, position);
    if (!receipts->enter(wait)) {
        return wait.state;
    }
    while (wait.woken.load(std::memory_order_relaxed) == 0 && clock::now() < deadline) {
        futex_wait(&wait.woken, 0, deadline);
    }
    return receipts->leave(wait) ? TicketState::Pending : wait.state;
}

}  // namespace spargio::detail
