// SPDX-License-Identifier: MIT
// RemoteShard, SendTicket, and what ShardCtx says about messages: the compiled halves.
#include "spargio/message.hpp"

#include <stdexcept>
#include <utility>

#include "process_fork.hpp"
#include "runtime_core.hpp"
#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/fork.hpp"
#include "spargio/detail/join.hpp"
#include "spargio/shard_ctx.hpp"

namespace spargio {

namespace detail {

Result<void> ticket_result(TicketState state) {
    switch (state) {
    case TicketState::Seen:
        return {};
    case TicketState::Canceled:
        return std::make_error_code(std::errc::operation_canceled);
    default:
        return SendError::Closed;
    }
}

bool event_suspend(EventWait& wait, TaskHeader* root) {
    auto& here = static_cast<Shard&>(*root->owner.executor);
    if (wait.shard != &here) {
        throw std::logic_error("spargio: events of another shard were awaited; ask ShardCtx::current() again");
    }
    if (stop_has_come(root)) {
        wait.error = std::errc::operation_canceled;
        return false;
    }
    if (here.next_waiter() == nullptr && !here.mailbox.keeps_some() && here.events_in_step < Shard::events_per_step) {
        wait.count = here.mailbox.look_and_take(wait.into, wait.room);
        if (wait.count != 0) {
            here.events_in_step += wait.count;
            return false;
        }
    }
    wait.set_root(root);
    list_before_suspending(root);
    if (!root->stop.arm(&wait)) {
        wait.error = std::errc::operation_canceled;
        return false;
    }
    here.mailbox.add_waiter(wait);
    return true;
}

void event_take_kept(EventWait& wait) noexcept {
    Mailbox& mailbox = static_cast<Shard&>(*wait.shard).mailbox;
    const auto kept = std::exchange(wait.kept, 0);  // The awaiter may be awaited again.
    if (wait.root()->stop.stop_requested()) {
        mailbox.release(kept);
        wait.root()->stop.refuse();
        wait.error = std::errc::operation_canceled;
    } else {
        mailbox.take_kept(wait.into, kept);
        wait.count = kept;
    }
}

}  // namespace detail

Result<void> SendTicket::get() const {
    static_cast<void>(wait_at_most(std::chrono::nanoseconds::max()));
    return detail::ticket_result(detail::ticket_state(receipts_, position_));
}

bool SendTicket::wait_at_most(std::chrono::nanoseconds limit) const {
    detail::refuse_on_shard_of(core_->id);
    if (detail::ticket_state(receipts_, position_) == detail::TicketState::Pending) {
        detail::refuse_after_fork(core_->id);
    }
    return detail::ticket_block(receipts_, position_, limit) != detail::TicketState::Pending;
}

Result<SendTicket> SendTicket::of(const detail::CoreRef& core, const detail::SendOutcome& outcome) {
    if (outcome.error) {
        return outcome.error;
    }
    return SendTicket(core, outcome.receipts, outcome.position);
}

Result<SendTicket> RemoteShard::send_raw(std::uint16_t tag, std::uint32_t val) const {
    const RawMsg message{tag, val};
    return SendTicket::of(core_, detail::send_messages(*core_, id_, &message, 1));
}

Result<void> RemoteShard::send_raw_nowait(std::uint16_t tag, std::uint32_t val) const {
    const RawMsg message{tag, val};
    const auto outcome = detail::send_messages(*core_, id_, &message, 1);
    if (outcome.error) {
        return outcome.error;
    }
    return {};
}

Result<std::size_t> RemoteShard::send_many_raw_nowait(std::span<const RawMsg> messages) const {
    return detail::accepted_count(detail::send_messages(*core_, id_, messages.data(), messages.size()));
}

SendTicket RemoteShard::flush() const {
    detail::flush_messages(*core_);
    return SendTicket(core_, nullptr, 0);
}

Result<SendTicket> ShardCtx::send_raw(ShardId target, std::uint16_t tag, std::uint32_t val) const {
    const RawMsg message{tag, val};
    auto& core = own_core();
    return SendTicket::of(detail::CoreRef(&core), detail::send_messages(core, target, &message, 1));
}

Result<void> ShardCtx::send_raw_nowait(ShardId target, std::uint16_t tag, std::uint32_t val) const {
    const RawMsg message{tag, val};
    const auto outcome = detail::send_messages(own_core(), target, &message, 1);
    if (outcome.error) {
        return outcome.error;
    }
    return {};
}

Result<std::size_t> ShardCtx::send_many_raw_nowait(ShardId target, std::span<const RawMsg> messages) const {
    return detail::accepted_count(detail::send_messages(own_core(), target, messages.data(), messages.size()));
}

SendTicket ShardCtx::flush() const {
    auto& core = own_core();
    detail::flush_messages(core);
    return SendTicket(detail::CoreRef(&core), nullptr, 0);
}

detail::EventsAwaiter ShardCtx::next_events(std::span<Event> into) const {
    static_cast<void>(own_core());
    if (into.empty()) {
        throw std::invalid_argument("spargio: next_events() needs room for one event at least");
    }
    return detail::EventsAwaiter(shard_as_executor(), into);
}

detail::EventAwaiter ShardCtx::next_event() const {
    static_cast<void>(own_core());
    return detail::EventAwaiter(shard_as_executor());
}

std::optional<Event> ShardCtx::try_next_event() const {
    static_cast<void>(own_core());
    std::optional<Event> event;
    // Those that wait come first.
    if (shard_->next_waiter() == nullptr && shard_->mailbox.look_and_take(&event.emplace(), 1) == 0) {
        event.reset();
    }
    return event;
}

}  // namespace spargio
