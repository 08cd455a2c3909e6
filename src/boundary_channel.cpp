// SPDX-License-Identifier: MIT
// Channel: the queue, the receivers, the ends.
#include "boundary_channel.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "futex.hpp"
#include "spargio/detail/boundary_ends.hpp"
#include "spargio/error.hpp"

namespace spargio::detail {

namespace {

/// Whoever calls has taken the receiver out of the list: after this its frame, or its stack, may be gone.
void wake_receiver(ReceiveWait& wait) noexcept {
    if (wait.root != nullptr) {
        end_revocable(wait, wait.root);
        return;
    }
    wait.woken.store(1, std::memory_order_release);
    futex_wake(&wait.woken);
}

bool revoke_receiver(RevocableWait& base) noexcept {
    auto& wait = static_cast<ReceiveWait&>(base);
    return wait.channel->leave_receiver(wait);
}

}  // namespace

ReceiveWait::ReceiveWait(Channel* of) noexcept : RevocableWait(&revoke_receiver), channel(of) {}

void Channel::CallList::push_back(CallHeader& call) noexcept {
    call.before = last;
    call.after = nullptr;
    (last != nullptr ? last->after : first) = &call;
    last = &call;
}

/// The first one's `before` means nothing: to clear it, with the lock, would be to wait for a line of another CPU's.
void Channel::CallList::remove(CallHeader& call) noexcept {
    if (first == &call) {
        first = call.after;
        if (first == nullptr) {
            last = nullptr;
        }
        __builtin_prefetch(first, 1);  // For whoever takes it.
        return;
    }
    call.before->after = call.after;
    (call.after != nullptr ? call.after->before : last) = call.before;
}

void Channel::ReceiverList::push_back(ReceiveWait& wait) noexcept {
    wait.before = last;
    wait.after = nullptr;
    (last != nullptr ? last->after : first) = &wait;
    last = &wait;
}

void Channel::ReceiverList::remove(ReceiveWait& wait) noexcept {
    (wait.before != nullptr ? wait.before->after : first) = wait.after;
    (wait.after != nullptr ? wait.after->before : last) = wait.before;
}

/// Takes a call out of the queue, for good or for the server. False: its caller has left, and will come to look.
bool Channel::mark_taken(CallHeader& call) noexcept {
    queue_.remove(call);
    call.queued = false;
    --size_;
    // acq_rel: the receiver gets what the caller wrote; a caller that leaves later finds it taken.
    const auto before = CallHeader::state_of(call.word.fetch_or(CallHeader::taken, std::memory_order_acq_rel));
    if (before == CallHeader::left || before == CallHeader::late) {
        add_reference();
        return false;
    }
    return true;
}

/// The first call that somebody waits for. Those that have expired go to `expired`; those whose callers have left lose
/// their place, and their callers free them.
CallHeader* Channel::take_first(clock::time_point now, CallList& expired) noexcept {
    while (CallHeader* call = queue_.first) {
        if (!mark_taken(*call)) {
            continue;
        }
        if (!call->expired(now)) {
            max_wait_ = std::max<std::chrono::nanoseconds>(max_wait_, now - call->entered);
            add_reference();
            return call;
        }
        expired.push_back(*call);
    }
    return nullptr;
}

void Channel::end_all(CallList& calls, CallEnd end) noexcept {
    while (CallHeader* call = calls.first) {
        calls.remove(*call);
        call->drop_request(*call);
        static_cast<void>(finish_call(*call, end));
        release_call(*call);
    }
}

void Channel::end_receivers(ReceiverList& receivers) noexcept {
    while (ReceiveWait* wait = receivers.first) {
        receivers.remove(*wait);
        wake_receiver(*wait);
    }
}

std::error_code Channel::enter(CallHeader& call, bool may_wait_for_room) noexcept {
    call.entered = timer_now();
    ReceiveWait* receiver = nullptr;
    {
        const std::lock_guard lock(mutex_);
        ++calls_;
        if (server_gone_) {
            ++refused_;
            return BoundaryError::Closed;
        }
        if (call.expired(call.entered)) {
            count_end(CallEnd::TimedOut);
            return BoundaryError::Timeout;
        }
        receiver = receivers_.first;
        if (receiver == nullptr) {
            if (!may_wait_for_room && size_ >= capacity_) {
                ++overloaded_;
                return BoundaryError::Overloaded;
            }
            call.queued = true;
            queue_.push_back(call);
            ++size_;
            return {};
        }
        receivers_.remove(*receiver);
        // Nobody else knows the call yet: the receiver gets it by its wake.
        call.word.store(CallHeader::taken, std::memory_order_relaxed);
        add_reference();
        receiver->call = &call;
        receiver->state = Receive::Taken;
    }
    wake_receiver(*receiver);
    return {};
}

Receive Channel::try_receive(CallHeader*& call) noexcept {
    for (int kept = 0;;) {
        const auto now = timer_now();
        CallList expired;
        Receive found = Receive::Taken;
        {
            const std::lock_guard lock(mutex_);
            call = take_first(now, expired);
            if (call == nullptr) {
                found = clients_gone_ ? Receive::Closed : Receive::Nothing;
                if (expired.first != nullptr) {
                    // Their requests' destructors may drop both ends. (A call that is taken has a reference.)
                    add_reference();
                    ++kept;
                }
            }
        }
        // Whoever waits for the lock may wait past a deadline. (A receiver that has waited looks again, too.)
        const bool too_late = call != nullptr && call->expired();
        if (too_late) {
            expired.push_back(*call);
            ++kept;  // Its reference.
        }
        end_all(expired, CallEnd::TimedOut);
        if (too_late) {
            continue;
        }
        for (; kept != 0; --kept) {
            drop_reference();
        }
        return found;
    }
}

bool Channel::enter_receiver(ReceiveWait& wait) noexcept {
    const auto now = timer_now();
    CallList expired;
    bool waits = false;
    bool some_expired = false;
    {
        const std::lock_guard lock(mutex_);
        wait.call = take_first(now, expired);
        if (wait.call != nullptr) {
            wait.state = Receive::Taken;
        } else if (clients_gone_ || server_gone_) {
            wait.state = Receive::Closed;
        } else if (wait.root != nullptr && !arm_revocable(wait, wait.root)) {
            wait.state = Receive::Left;
        } else {
            receivers_.push_back(wait);
            waits = true;
        }
        some_expired = expired.first != nullptr;
        if (some_expired) {
            add_reference();  // A receiver that waits may go on, and end, as soon as the lock is free.
        }
    }
    if (some_expired) {
        end_all(expired, CallEnd::TimedOut);
        drop_reference();
    }
    return waits;
}

bool Channel::leave_receiver(ReceiveWait& wait) noexcept {
    const std::lock_guard lock(mutex_);
    if (wait.state != Receive::Waiting) {
        return false;
    }
    receivers_.remove(wait);
    wait.state = Receive::Left;
    return true;
}

void Channel::leave_queue(CallHeader& call, CallEnd end) noexcept {
    bool was_queued = false;
    {
        const std::lock_guard lock(mutex_);
        was_queued = call.queued;
        if (was_queued) {
            queue_.remove(call);
            call.queued = false;
            --size_;
            add_reference();  // The server may go as soon as the lock is free.
        }
        count_end(end);
    }
    // The queue's ownership is ours now, whoever took the call out.
    call.drop_request(call);
    release_call(call);
    drop_reference();
}

void Channel::drop_client() noexcept {
    if (clients_.fetch_sub(1, std::memory_order_acq_rel) != 1) {
        return;
    }
    ReceiverList receivers;
    {
        const std::lock_guard lock(mutex_);
        clients_gone_ = true;
        std::swap(receivers, receivers_);
        for (ReceiveWait* wait = receivers.first; wait != nullptr; wait = wait->after) {
            wait->state = Receive::Closed;
        }
    }
    end_receivers(receivers);
    drop_reference();
}

void Channel::drop_server() noexcept {
    CallList calls;
    ReceiverList receivers;
    {
        const std::lock_guard lock(mutex_);
        server_gone_ = true;
        while (CallHeader* call = queue_.first) {
            if (mark_taken(*call)) {
                calls.push_back(*call);
            }
        }
        std::swap(receivers, receivers_);
        for (ReceiveWait* wait = receivers.first; wait != nullptr; wait = wait->after) {
            wait->state = Receive::Closed;
        }
    }
    end_all(calls, CallEnd::Closed);
    end_receivers(receivers);
    drop_reference();
}

void Channel::drop_reference() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete this;
    }
}

boundary::Stats Channel::stats() noexcept {
    const auto ended = [this](CallEnd end) {
        return ends_[static_cast<std::size_t>(end)].load(std::memory_order_relaxed);
    };
    boundary::Stats stats;
    const std::lock_guard lock(mutex_);
    stats.calls = calls_;
    stats.answered = ended(CallEnd::Answered);
    stats.overloaded = overloaded_;
    stats.timed_out = ended(CallEnd::TimedOut);
    stats.canceled = ended(CallEnd::Canceled);
    stats.closed = refused_ + ended(CallEnd::Closed);
    stats.depth = size_;
    stats.max_wait = max_wait_;
    return stats;
}

Channel* make_channel(std::size_t capacity) {
    return new Channel(capacity);
}

void add_client(Channel& channel) noexcept {
    channel.add_client();
}

void drop_client(Channel* channel) noexcept {
    channel->drop_client();
}

void drop_server(Channel* channel) noexcept {
    channel->drop_server();
}

void add_reference(Channel& channel) noexcept {
    channel.add_reference();
}

void drop_reference(Channel* channel) noexcept {
    channel->drop_reference();
}

std::error_code enter_call(Channel& channel, CallHeader& call, bool may_wait_for_room) noexcept {
    return channel.enter(call, may_wait_for_room);
}

Receive try_receive(Channel& channel, CallHeader*& call) noexcept {
    return channel.try_receive(call);
}

boundary::Stats channel_stats(Channel& channel) noexcept {
    return channel.stats();
}

std::size_t channel_capacity(const Channel& channel) noexcept {
    return channel.capacity();
}

ClientEnd::~ClientEnd() {
    if (channel_ != nullptr) {
        channel_->drop_client();
    }
}

ServerEnd::~ServerEnd() {
    if (channel_ != nullptr) {
        channel_->drop_server();
    }
}

ChannelRef::~ChannelRef() {
    if (channel_ != nullptr) {
        channel_->drop_reference();
    }
}

}  // namespace spargio::detail
