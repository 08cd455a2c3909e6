// SPDX-License-Identifier: MIT
// Calls: how they end, how they are left, who waits for that.
#include "spargio/detail/boundary_call.hpp"

#include "boundary_channel.hpp"
#include "futex.hpp"
#include "spargio/error.hpp"
#include "suspend_hook.hpp"
#include "thread_spin.hpp"

namespace spargio::detail {

namespace {

/// The caller goes. The state that it has left, or `done`.
std::uintptr_t leave(CallHeader& call, bool is_late) noexcept {
    const auto gone = is_late ? CallHeader::late : CallHeader::left;
    auto seen = call.word.load(std::memory_order_acquire);
    do {
        if (CallHeader::state_of(seen) == CallHeader::done) {
            return CallHeader::done;
        }
    } while (!call.word.compare_exchange_weak(seen, gone | (seen & CallHeader::taken), std::memory_order_acq_rel,
                                              std::memory_order_acquire));
    if ((seen & CallHeader::taken) == 0) {
        call.channel->leave_queue(call, is_late ? CallEnd::TimedOut : CallEnd::Canceled);
    }
    return CallHeader::state_of(seen);
}

[[nodiscard]] bool is_late(const CallHeader& call) noexcept {
    return call.deadline != CallHeader::no_deadline && call.expired(timer_now());
}

/// Not there yet: armed, but on its way to the word. Its arrival then fails.
bool revoke_call(RevocableWait& base) noexcept {
    auto& wait = static_cast<CallWait&>(base);
    return leave(*wait.call, is_late(*wait.call)) == reinterpret_cast<std::uintptr_t>(static_cast<CallWaiter*>(&wait));
}

void notify_task(CallWaiter& waiter) noexcept {
    auto& wait = static_cast<CallWait&>(waiter);
    end_revocable(wait, wait.root);
}

}  // namespace

CallWait::CallWait(CallHeader* of) noexcept : RevocableWait(&revoke_call), CallWaiter(&notify_task), call(of) {}

void release_call(CallHeader& call) noexcept {
    // Alone, so nobody else can change it any more: no read-modify-write.
    if (call.owners.load(std::memory_order_acquire) == 1 || call.owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        call.destroy(call);
    }
}

std::uintptr_t finish_call(CallHeader& call, CallEnd end) noexcept {
    call.end = end;
    Channel& channel = *call.channel;
    channel.count_end(end);  // Before the caller can know.
    auto seen = call.word.load(std::memory_order_acquire);
    std::uintptr_t state = 0;
    do {
        state = CallHeader::state_of(seen);
        if (state == CallHeader::left || state == CallHeader::late) {
            channel.recount_end(end, state == CallHeader::late ? CallEnd::TimedOut : CallEnd::Canceled);
            return state;
        }
    } while (!call.word.compare_exchange_weak(seen, CallHeader::done | CallHeader::taken, std::memory_order_acq_rel,
                                              std::memory_order_acquire));
    if (state == CallHeader::thread_waits) {
        futex_wake(low_half(call.word));
    } else if (state != CallHeader::idle) {
        auto& waiter = *reinterpret_cast<CallWaiter*>(state);
        waiter.notify(waiter);
    }
    return state;
}

bool leave_call(CallHeader& call) noexcept {
    return leave(call, is_late(call)) != CallHeader::done;
}

bool leave_call_late(CallHeader& call) noexcept {
    return leave(call, true) != CallHeader::done;
}

bool enter_waiter(CallHeader& call, CallWaiter& waiter) noexcept {
    auto seen = call.word.load(std::memory_order_acquire);
    do {
        if (CallHeader::state_of(seen) != CallHeader::idle) {
            return false;
        }
    } while (!call.word.compare_exchange_weak(seen,
                                              reinterpret_cast<std::uintptr_t>(&waiter) | (seen & CallHeader::taken),
                                              std::memory_order_acq_rel, std::memory_order_acquire));
    return true;
}

bool block_on_call(CallHeader& call, clock::time_point deadline) noexcept {
    AdaptiveSpin& spin = thread_spin();
    const auto due = real_deadline(deadline);
    // Spinning, the thread leaves the word alone: whoever ends the call then has nobody to wake.
    if (call.is_done() || spin.spin([&call] { return call.is_done(); })) {
        return true;
    }
    clock::time_point asleep{};
    for (;;) {
        auto seen = call.word.load(std::memory_order_acquire);
        if (CallHeader::state_of(seen) == CallHeader::done) {
            if (asleep !=
                clock::time_point()) {  // Else it came while the CPU was offered to others: no reason to spin.
                spin.slept(clock::now() - asleep);
            }
            return true;
        }
        if (CallHeader::state_of(seen) == CallHeader::idle) {
            const auto waits = CallHeader::thread_waits | (seen & CallHeader::taken);
            if (!call.word.compare_exchange_strong(seen, waits, std::memory_order_acq_rel, std::memory_order_acquire)) {
                continue;
            }
            seen = waits;
        }
        if (clock::now() >= due) {
            return false;
        }
        if (asleep == clock::time_point()) {
            asleep = clock::now();
        }
        futex_wait(low_half(call.word), static_cast<std::uint32_t>(seen), due);
    }
}

CallEnd call_end(const CallHeader& call) noexcept {
    switch (CallHeader::state_of(call.word.load(std::memory_order_acquire))) {
    case CallHeader::done:
        return call.end;
    case CallHeader::late:
        return CallEnd::TimedOut;
    default:
        return CallEnd::Canceled;
    }
}

bool call_suspend(CallWait& wait, TaskHeader* root) noexcept {
    CallHeader& call = *wait.call;
    if (call.is_done()) {
        return false;
    }
    wait.root = root;
    if (!arm_revocable(wait, root)) {
        static_cast<void>(leave_call(call));
        return false;
    }
    const bool suspends = enter_waiter(call, wait) || !disarm_revocable(wait, root);
    return suspends && suspended();
}

std::error_code call_error(CallEnd end) noexcept {
    switch (end) {
    case CallEnd::Answered:
        return {};
    case CallEnd::TimedOut:
        return BoundaryError::Timeout;
    case CallEnd::Canceled:
        return BoundaryError::Canceled;
    case CallEnd::Closed:
        return BoundaryError::Closed;
    }
    return {};
}

clock::time_point deadline_in(std::chrono::nanoseconds limit) noexcept {
    const auto now = timer_now();
    return limit < clock::time_point::max() - now ? now + limit : CallHeader::no_deadline;
}

}  // namespace spargio::detail
