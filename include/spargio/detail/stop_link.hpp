// SPDX-License-Identifier: MIT
// How a stop request from any thread meets a task that is suspended in a wait, without touching what is gone.
#pragma once

#include <cstdint>

#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

struct TaskHeader;

/// What a suspended task waits for, as a canceller sees it. It lives in the awaiter, so in the task's frame.
struct alignas(8) Wait {
    /// Runs on the canceller's thread, which holds the wait (Held below). It must see to it that, sooner or later, on
    /// some thread, finish_cancel() is called once, and that the task is scheduled if either it took the wait back from
    /// whoever would have completed it, or finish_cancel() returns true.
    using CancelFn = void (*)(Wait*, TaskHeader* root) noexcept;

    explicit constexpr Wait(CancelFn fn) noexcept : cancel(fn) {}

    CancelFn cancel;
};

/// One word per spawned task. Who schedules a task that a completer and a canceller reach for at the same time is
/// decided here; tests/models/join.pml is the model.
///
// clang-format off
///     Idle     --arm(w)-->            Armed(w)             the task, about to suspend
///     Armed(w) --disarm-->            Idle                 the completer: schedules the task
///     Idle     --request-->           Missed               nothing to cancel; the next arm() fails
///     Armed(w) --request-->           Held(w)              the canceller may use w until finish_cancel()
///     Held(w)  --disarm-->            Held(w)|HandedOver   the completer lets go: the canceller will schedule the task
///     Held(w)  --finish_cancel-->     Stopped              returns false
///     Held(w)|HandedOver --finish-->  Stopped              returns true: the caller schedules the task
///     Stopped  --disarm-->            Stopped              the canceller has finished: the completer schedules the task
///     Stopped  --note_value-->        Missed               what was awaited came all the same
///     Missed   --arm, refuse-->       Stopped              and now the task has seen the stop
// clang-format on
///
/// Missed is Stopped, and remembers that the stop has cancelled nothing, and that nothing was refused since.
///
/// Once a token was asked for, the word lives in a StopState beside its std::stop_source (`kShared`).
class StopLink {
public:
    StopLink() = default;
    StopLink(const StopLink&) = delete;
    StopLink& operator=(const StopLink&) = delete;
    ~StopLink() {
        if (is_shared()) [[unlikely]] {
            destroy_shared();
        }
    }

    /// A token was asked for, so there is something to destroy.
    [[nodiscard]] bool is_shared() const noexcept { return (word_.load(std::memory_order_acquire) & kShared) != 0; }

    /// Task, before it publishes `w` to a completer. False: a stop came first, do not wait.
    [[nodiscard]] bool arm(Wait* w) noexcept {
        std::uintptr_t idle = kIdle;
        // acq_rel: releases *w to a canceller; acquires what a canceller did before it stopped us.
        if (word().compare_exchange_strong(idle, reinterpret_cast<std::uintptr_t>(w), std::memory_order_acq_rel,
                                           std::memory_order_acquire)) {
            return true;
        }
        refuse();
        return false;
    }

    /// Task, which has been stopped: something is refused because of that. (Nobody else writes the word any more.)
    void refuse() noexcept { word().store(kStopped, std::memory_order_relaxed); }

    /// Who is about to schedule the task, whose wait has ended with what it was for: if a stop met that wait, it has
    /// changed nothing so far.
    void note_value() noexcept {
        if (stop_requested()) [[unlikely]] {
            word().store(kMissed, std::memory_order_relaxed);  // The task reads it after it was scheduled.
        }
    }

    /// Of a task that has ended: a stop has reached it, and has changed nothing that it waited for. False if it has
    /// asked for its token: then nobody knows.
    [[nodiscard]] bool missed() const noexcept { return word_.load(std::memory_order_acquire) == kMissed; }

    /// Completer, which owns the completion: true means that the caller schedules the task, false that a canceller
    /// will.
    [[nodiscard]] bool disarm(Wait* w) noexcept {
        auto& link = word();
        auto armed = reinterpret_cast<std::uintptr_t>(w);
        if (link.compare_exchange_strong(armed, kIdle, std::memory_order_acq_rel, std::memory_order_acquire)) {
            return true;
        }
        if ((link.fetch_or(kHandedOver, std::memory_order_acq_rel) & kPointer) != 0) {
            return false;
        }
        link.store(kStopped, std::memory_order_relaxed);  // Nobody else is left: the canceller has finished.
        return true;
    }

    /// Canceller, any thread. Marks the task stopped; a wait that comes back is held by the caller, whose duty it is to
    /// call its `cancel`. Null: nothing to cancel, or another canceller is at it.
    [[nodiscard]] Wait* request() noexcept;

    /// Ends the holding. True: the completer came meanwhile and left the scheduling to us.
    [[nodiscard]] bool finish_cancel() noexcept {
        return (word().exchange(kStopped, std::memory_order_acq_rel) & kHandedOver) != 0;
    }

    /// On the task's shard, while it does not run: the wait that is armed and that nobody has reached for; else null.
    [[nodiscard]] Wait* armed() noexcept {
        const auto seen = word().load(std::memory_order_acquire);
        return (seen & (kStopped | kHandedOver)) == 0 ? reinterpret_cast<Wait*>(seen & kPointer) : nullptr;
    }
    /// Shutdown: becomes the canceller of an armed wait. False: somebody was faster.
    [[nodiscard]] bool hold(Wait* w) noexcept {
        auto armed = reinterpret_cast<std::uintptr_t>(w);
        return word().compare_exchange_strong(armed, armed | kStopped, std::memory_order_acq_rel,
                                              std::memory_order_acquire);
    }

    [[nodiscard]] bool stop_requested() const noexcept {
        return (word().load(std::memory_order_acquire) & kStopped) != 0;
    }

    /// The shared state of std::stop_token, made at the first request for it: a stop may have come before. Task only,
    /// while it runs. Throws std::bad_alloc.
    struct StopState;
    [[nodiscard]] StopState* shared_state();

private:
    static constexpr std::uintptr_t kIdle = 0;
    static constexpr std::uintptr_t kStopped = 1;
    static constexpr std::uintptr_t kShared = 2;
    static constexpr std::uintptr_t kHandedOver = 4;
    static constexpr std::uintptr_t kMissed = kStopped | kHandedOver;  // Without a wait.
    static constexpr std::uintptr_t kPointer = ~std::uintptr_t{7};

    [[nodiscard]] atomic<std::uintptr_t>& word() noexcept {
        const auto own = word_.load(std::memory_order_acquire);
        return (own & kShared) == 0 ? word_ : shared_word(own);
    }
    [[nodiscard]] const atomic<std::uintptr_t>& word() const noexcept { return const_cast<StopLink*>(this)->word(); }
    void destroy_shared() noexcept;
    static atomic<std::uintptr_t>& shared_word(std::uintptr_t own) noexcept;

    // Writers: the task (arm, refuse, shared_state), its completer (disarm), cancellers, who schedules it (note_value).
    // Each hand-over of *w is a release by one side and an acquire by the other, see the members.
    atomic<std::uintptr_t> word_{kIdle};
};

}  // namespace spargio::detail
