// SPDX-License-Identifier: MIT
// A call across the boundary: the one block that caller and server share, and who decides how it ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <utility>

#include "spargio/detail/atomic.hpp"
#include "spargio/detail/frame_pool.hpp"
#include "spargio/detail/revocable_wait.hpp"
#include "spargio/detail/seams.hpp"

namespace spargio::detail {

class Channel;
struct CallHeader;

/// How a call ended, for its caller.
enum class CallEnd : std::uint8_t { Answered, TimedOut, Canceled, Closed };

/// Whom the end of a call wakes. Not a plain thread: that waits on the call's word.
struct alignas(8) CallWaiter {
    /// Runs once, on the thread that ends the call; the call is over, the waiter is out of it.
    using NotifyFn = void (*)(CallWaiter&) noexcept;

    explicit constexpr CallWaiter(NotifyFn fn) noexcept : notify(fn) {}

    NotifyFn notify;
};

/// The part of a call that does not depend on its types.
///
/// Two owners, the caller and the server's side; the last one frees it. The server's side is the channel's queue until
/// the request is taken, then the Request. Its caller and the server's side meet in `word`; tests/models/boundary.pml
/// is the model:
///
// clang-format off
///     Idle          the caller, to wait -> waiter or ThreadWaits
///     waiter        the server's side -> Done, and notifies it; the caller, to leave -> Left or Late
///     ThreadWaits   the server's side -> Done, and wakes the futex; the caller, to leave -> Left or Late
///     Done          final: `end`, and the reply, are the caller's
///     Left, Late    final: nobody wants a reply; Late: because its deadline has passed
// clang-format on
///
/// `taken` is a bit beside all of them: the call is not in the queue any more. A caller that leaves and does not find
/// it set must take the call out of the queue; whoever takes the call out first and finds that the caller has left,
/// keeps a reference to the channel for that caller, which will come to look. So a caller needs no reference while it
/// waits.
struct CallHeader {
    static constexpr std::uintptr_t taken = 1;
    static constexpr std::uintptr_t idle = 0;
    static constexpr std::uintptr_t thread_waits = 8;
    static constexpr std::uintptr_t left = 16;
    static constexpr std::uintptr_t late = 24;
    static constexpr std::uintptr_t done = 32;
    static constexpr std::uintptr_t state_bits = ~std::uintptr_t{7};  // A state, or a waiter's address.

    static constexpr auto no_deadline = clock::time_point::max();

    /// What must be known of the types: destroys the request, if it is there; destroys and frees all.
    using DropFn = void (*)(CallHeader&) noexcept;

    CallHeader(Channel* of, clock::time_point limit, DropFn drop_request_fn, DropFn destroy_fn) noexcept
        : channel(of), deadline(limit), drop_request(drop_request_fn), destroy(destroy_fn) {}
    CallHeader(const CallHeader&) = delete;
    CallHeader& operator=(const CallHeader&) = delete;

    // Writers: the caller and the server's side, by read-modify-writes that release what each did before and acquire
    // what the other did: `end` and the reply with Done, the waiter's fields with its address.
    atomic<std::uintptr_t> word{idle};
    // Writers: both owners, once each. The last one acquires what the other did.
    atomic<std::uint32_t> owners{2};
    CallEnd end = CallEnd::Closed;  // The server's side, before Done.
    bool queued = false;            // This and the links: the channel's, under its lock.
    CallHeader* before = nullptr;   // Stale in the first one of a list.
    CallHeader* after = nullptr;
    Channel* const channel;  // Valid while the call is queued, and as long as its Request lives.
    const clock::time_point deadline;
    clock::time_point entered{};
    const DropFn drop_request;
    const DropFn destroy;

    [[nodiscard]] static std::uintptr_t state_of(std::uintptr_t seen) noexcept { return seen & state_bits; }
    [[nodiscard]] bool is_done() const noexcept { return state_of(word.load(std::memory_order_acquire)) == done; }
    /// Whether the caller has gone away.
    [[nodiscard]] bool is_left() const noexcept {
        const auto state = state_of(word.load(std::memory_order_acquire));
        return state == left || state == late;
    }
    [[nodiscard]] bool expired(clock::time_point now) const noexcept { return deadline <= now; }
    /// Whether it has expired by now; without a deadline, the clock is not read.
    [[nodiscard]] bool expired() const noexcept { return deadline != no_deadline && expired(timer_now()); }
};

/// The caller's part of it: a ticket needs to know the reply's type, not the request's.
template <class Rep>
struct CallWithReply : CallHeader {
    using CallHeader::CallHeader;

    std::optional<Rep> reply;  // The server's side until Done, the caller's after.
};

template <class Req, class Rep>
struct Call final : CallWithReply<Rep> {
    Call(Channel* of, clock::time_point limit, Req&& value)
        : CallWithReply<Rep>(of, limit, &drop, &free), request(std::in_place, std::move(value)) {}

    static void* operator new(std::size_t bytes) { return pool_allocate(bytes); }
    static void operator delete(void* block, std::size_t bytes) noexcept { pool_free(block, bytes); }
    static void* operator new(std::size_t bytes, std::align_val_t align) { return ::operator new(bytes, align); }
    static void operator delete(void* block, std::size_t, std::align_val_t align) noexcept {
        ::operator delete(block, align);
    }

    std::optional<Req> request;  // The server's side.

private:
    static void drop(CallHeader& call) noexcept { static_cast<Call&>(call).request.reset(); }
    static void free(CallHeader& call) noexcept { delete &static_cast<Call&>(call); }
};

/// One owner is through with the call.
void release_call(CallHeader& call) noexcept;

// The server's side.

/// Ends the call and wakes its caller; or, if that has gone, changes nothing. The state before: left or late, nobody
/// wants the reply. Ownership stays as it is. Needs the channel, which counts the end.
std::uintptr_t finish_call(CallHeader& call, CallEnd end) noexcept;

// The caller's side.

/// Gives the call up, also when its own deadline has passed; one that is queued leaves its place. False: it has ended,
/// and `end` says how. Whoever stands in the word is out of it and not notified. Any thread; once.
bool leave_call(CallHeader& call) noexcept;
/// The same for a thread that has waited until the call's deadline, on the real clock.
bool leave_call_late(CallHeader& call) noexcept;

/// Enters `waiter`. False: the call has ended, or was left. Once it is entered, it may be notified at any moment.
[[nodiscard]] bool enter_waiter(CallHeader& call, CallWaiter& waiter) noexcept;

/// Blocks the thread until the call ends. False: the deadline came first.
[[nodiscard]] bool block_on_call(CallHeader& call, clock::time_point deadline) noexcept;

/// How it ended for a caller that does not wait any more.
[[nodiscard]] CallEnd call_end(const CallHeader& call) noexcept;

/// A task that waits for the end of a call. Lives in the awaiter. A stop leaves the call.
struct CallWait : RevocableWait, CallWaiter {
    explicit CallWait(CallHeader* of) noexcept;

    CallHeader* call;
    TaskHeader* root = nullptr;
};

/// False: do not suspend: the call has ended, or was left because the task is stopped.
[[nodiscard]] bool call_suspend(CallWait& wait, TaskHeader* root) noexcept;

/// The caller's reference to a call: leaves it, unless it has ended, and lets go.
template <class Rep>
class CallRef {
public:
    CallRef() noexcept = default;
    explicit CallRef(CallWithReply<Rep>* call) noexcept : call_(call) {}
    CallRef(CallRef&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
    CallRef& operator=(CallRef other) noexcept {
        std::swap(call_, other.call_);
        return *this;
    }
    ~CallRef() {
        if (call_ != nullptr) {
            if (!call_->is_done() && !call_->is_left()) {
                static_cast<void>(leave_call(*call_));
            }
            release_call(*call_);
        }
    }

    [[nodiscard]] CallWithReply<Rep>* get() const noexcept { return call_; }
    CallWithReply<Rep>& operator*() const noexcept { return *call_; }
    CallWithReply<Rep>* operator->() const noexcept { return call_; }
    explicit operator bool() const noexcept { return call_ != nullptr; }

private:
    CallWithReply<Rep>* call_ = nullptr;
};

}  // namespace spargio::detail
