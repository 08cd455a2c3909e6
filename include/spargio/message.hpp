// SPDX-License-Identifier: MIT
// RemoteShard: sending messages to a shard, from any thread; SendTicket: learning that it has seen them.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "spargio/detail/clamp_duration.hpp"
#include "spargio/detail/core_ref.hpp"
#include "spargio/detail/send.hpp"
#include "spargio/detail/ticket_wait.hpp"
#include "spargio/event.hpp"
#include "spargio/result.hpp"
#include "spargio/shard_id.hpp"
#include "spargio/task.hpp"

namespace spargio {

namespace detail {

[[nodiscard]] Result<void> ticket_result(TicketState state);

[[nodiscard]] inline Result<std::size_t> accepted_count(const SendOutcome& outcome) {
    if (outcome.error) {
        return outcome.error;
    }
    return outcome.count;
}

class TicketAwaiter {
public:
    TicketAwaiter(CoreRef core, Receipts* receipts, std::uint64_t position) noexcept
        : core_(std::move(core)), wait_(receipts, position) {}
    TicketAwaiter(const TicketAwaiter&) = delete;
    TicketAwaiter& operator=(const TicketAwaiter&) = delete;

    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE bool await_suspend(std::coroutine_handle<P> frame) noexcept {
        return ticket_suspend(wait_, header_of(frame)->root());
    }
    [[nodiscard]] Result<void> await_resume() const { return ticket_result(wait_.state); }

private:
    CoreRef core_;  // The receipts are in its memory.
    TicketWait wait_;
};

}  // namespace detail

/// Says when the target has seen a message: Ok when the target shard has looked at its queue since, whether or not a
/// task has taken the message; SendError::Closed when its runtime shut down before that. Copyable, may outlive the
/// runtime, any thread; it costs nothing to drop one.
class SendTicket {
public:
    /// Awaitable -> Result<void>. The caller resumes on its own shard, if it is pinned. Also
    /// std::errc::operation_canceled, if the awaiting task is stopped; the message is not taken back.
    [[nodiscard]] detail::TicketAwaiter operator co_await() const noexcept {
        static_cast<void>(*core_);  // Not moved from.
        return detail::TicketAwaiter(core_, receipts_, position_);
    }

    /// Blocks the calling thread until the ticket is decided. Throws std::logic_error on a shard of the target's
    /// runtime, decided or not: co_await it there.
    [[nodiscard]] Result<void> get() const;

    /// The same for at most `limit`; whether it is decided, so that get() returns at once: also true for Closed.
    template <class Rep, class Period>
    [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> limit) const {
        return wait_at_most(detail::clamp_duration(limit));
    }

private:
    friend class RemoteShard;
    friend class ShardCtx;

    SendTicket(detail::CoreRef core, detail::Receipts* receipts, std::uint64_t position) noexcept
        : core_(std::move(core)), receipts_(receipts), position_(position) {}

    [[nodiscard]] static Result<SendTicket> of(const detail::CoreRef& core, const detail::SendOutcome& outcome);
    [[nodiscard]] bool wait_at_most(std::chrono::nanoseconds limit) const;

    detail::CoreRef core_;
    detail::Receipts* receipts_;  // Null: nothing to wait for.
    std::uint64_t position_;
};

/// Names a shard of a runtime, and sends it messages. Copyable; every member const, from any thread.
///
/// There is one queue, first in first out, from each shard to each shard, whatever kind of send fills it; all threads
/// that are no shard of the runtime share one such queue per target, in which each of them has its messages in order.
/// Messages of different senders have no order, even if one was sent when the other was known to have been seen: the
/// target's tasks take from its queues by turns.
/// A queue holds RuntimeBuilder::msg_ring_queue_capacity() messages that no task of the target has taken yet; what does
/// not fit is refused at the call. What was accepted is delivered, unless the runtime shuts down first.
///
/// No send blocks or allocates (but for the queue itself at the first send: std::bad_alloc). A shard's messages become
/// visible to the target when the step of the sending task ends, at flush(), after 64 of them, or when a send finds the
/// queue full; a sleeping target is woken then, by one system call (MSG_RING from Linux 6.2 on, before that an eventfd;
/// a futex without io_uring). Other threads' messages are visible at once, but behind those whose sending another
/// thread has begun before. After Backpressure, yield, sleep or do something else before the next attempt: a good
/// ticket does not say that there is room, only that the target has seen what it still holds.
///
/// Errors: SendError::Backpressure, the queue is full; Closed, the runtime has shut down; InvalidTag, the tag is
/// 0xFFFF.
class RemoteShard {
public:
    [[nodiscard]] ShardId id() const noexcept { return id_; }

    [[nodiscard]] Result<SendTicket> send_raw(std::uint16_t tag, std::uint32_t val) const;
    template <RingMsg M>
    [[nodiscard]] Result<SendTicket> send(M message) const {
        const RawMsg raw = message.encode();
        return send_raw(raw.tag, raw.val);
    }

    /// Without a ticket: cheaper, and the message is as safe.
    [[nodiscard]] Result<void> send_raw_nowait(std::uint16_t tag, std::uint32_t val) const;
    template <RingMsg M>
    [[nodiscard]] Result<void> send_nowait(M message) const {
        const RawMsg raw = message.encode();
        return send_raw_nowait(raw.tag, raw.val);
    }

    /// As many as fit, from the front; how many. An error only if none fits. One reserved tag refuses them all.
    [[nodiscard]] Result<std::size_t> send_many_raw_nowait(std::span<const RawMsg> messages) const;
    template <RingMsg M>
    [[nodiscard]] Result<std::size_t> send_many_nowait(std::span<const M> messages) const {
        return detail::accepted_count(detail::send_encoded(*core_, id_, messages.data(), messages.size()));
    }
    template <detail::RingMsgRange R>
    [[nodiscard]] Result<std::size_t> send_many_nowait(const R& messages) const {
        return send_many_nowait(std::span<const std::ranges::range_value_t<R>>(messages));
    }

    /// Makes all that the calling shard has sent so far in this step visible, to every target, and rings the bells that
    /// it owes. The ticket is good already. From any other thread there is nothing to do.
    SendTicket flush() const;

private:
    friend class RuntimeHandle;

    RemoteShard(detail::CoreRef core, ShardId id) noexcept : core_(static_cast<detail::CoreRef&&>(core)), id_(id) {}

    detail::CoreRef core_;
    ShardId id_;
};

}  // namespace spargio
