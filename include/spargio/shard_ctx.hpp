// SPDX-License-Identifier: MIT
// ShardCtx: what a task asks of the shard it is running on.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "spargio/detail/event_wait.hpp"
#include "spargio/detail/send.hpp"
#include "spargio/detail/submit.hpp"
#include "spargio/event.hpp"
#include "spargio/join_handle.hpp"
#include "spargio/message.hpp"
#include "spargio/runtime_handle.hpp"
#include "spargio/shard_id.hpp"

namespace spargio {

namespace detail {

class EventsAwaiter {
public:
    EventsAwaiter(Executor* shard, std::span<Event> into) noexcept : wait_(shard, into.data(), into.size()) {}
    EventsAwaiter(const EventsAwaiter&) = delete;
    EventsAwaiter& operator=(const EventsAwaiter&) = delete;

    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE bool await_suspend(std::coroutine_handle<P> frame) {
        return event_suspend(wait_, header_of(frame)->root());
    }
    std::size_t await_resume() {
        if (wait_.kept != 0) {
            event_take_kept(wait_);
        }
        if (wait_.error != std::errc{}) [[unlikely]] {
            throw_system_error(std::make_error_code(wait_.error));
        }
        return wait_.count;
    }

private:
    EventWait wait_;
};

class EventAwaiter {
public:
    explicit EventAwaiter(Executor* shard) noexcept : events_(shard, std::span<Event>(&event_, 1)) {}
    EventAwaiter(const EventAwaiter&) = delete;
    EventAwaiter& operator=(const EventAwaiter&) = delete;

    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE bool await_suspend(std::coroutine_handle<P> frame) {
        return events_.await_suspend(frame);
    }
    Event await_resume() {
        static_cast<void>(events_.await_resume());
        return event_;
    }

private:
    Event event_;
    EventsAwaiter events_;
};

}  // namespace detail

/// One per shard, and used on its thread only: every member throws std::logic_error on another one. A task that may
/// move asks current() again after each suspension.
class ShardCtx {
public:
    /// The calling thread's shard; nullptr on a thread that is none.
    [[nodiscard]] static ShardCtx* current() noexcept;

    ShardCtx(const ShardCtx&) = delete;
    ShardCtx& operator=(const ShardCtx&) = delete;

    ShardId shard_id() const;
    RuntimeHandle handle() const;
    std::optional<RemoteShard> remote(ShardId shard) const;

    /// Queues a task that stays on this shard. The cheapest spawn: no other thread is involved. RuntimeError::Closed
    /// once the runtime shuts down.
    template <Spawnable F>
    JoinHandle<SpawnValue<F>> spawn_local(F&& spawnable) {
        const auto id = runtime_id();
        auto task = detail::make_task(std::forward<F>(spawnable));
        detail::TaskHeader* header = detail::TaskAccess::release(task);
        detail::submit_local(*shard_, header);
        return JoinHandle<SpawnValue<F>>(header, id);
    }

    /// What RemoteShard does, with the target first: see there. An unknown target is SendError::Closed.
    [[nodiscard]] Result<SendTicket> send_raw(ShardId target, std::uint16_t tag, std::uint32_t val) const;
    template <RingMsg M>
    [[nodiscard]] Result<SendTicket> send(ShardId target, M message) const {
        const RawMsg raw = message.encode();
        return send_raw(target, raw.tag, raw.val);
    }
    [[nodiscard]] Result<void> send_raw_nowait(ShardId target, std::uint16_t tag, std::uint32_t val) const;
    template <RingMsg M>
    [[nodiscard]] Result<void> send_nowait(ShardId target, M message) const {
        const RawMsg raw = message.encode();
        return send_raw_nowait(target, raw.tag, raw.val);
    }
    [[nodiscard]] Result<std::size_t> send_many_raw_nowait(ShardId target, std::span<const RawMsg> messages) const;
    template <RingMsg M>
    [[nodiscard]] Result<std::size_t> send_many_nowait(ShardId target, std::span<const M> messages) const {
        return detail::accepted_count(detail::send_encoded(own_core(), target, messages.data(), messages.size()));
    }
    template <detail::RingMsgRange R>
    [[nodiscard]] Result<std::size_t> send_many_nowait(ShardId target, const R& messages) const {
        return send_many_nowait(target, std::span<const std::ranges::range_value_t<R>>(messages));
    }
    SendTicket flush() const;

    /// Awaitable -> Event: the next message to this shard. Several tasks may wait: each message goes to one of them, to
    /// the one that has waited longest. Messages of one sender come in the order in which they were sent, whichever
    /// pinned tasks take them; the senders take turns. The caller resumes on this shard if it is pinned. Does not
    /// suspend while there are messages, but for once in 256, so that others can run. A stop throws
    /// std::system_error(std::errc::operation_canceled), and takes no message with it, also if it comes when the task
    /// has been woken for one and has not gone on yet: that one is for the next task. (Not of a stealable task: once it
    /// is woken the message is its own, and it gets it.) Awaited on another shard: std::logic_error.
    [[nodiscard("co_await it")]] detail::EventAwaiter next_event() const;

    /// Awaitable -> std::size_t: the same, as many as there are, 1 to into.size(). Empty: std::invalid_argument. `into`
    /// has to stay until then.
    [[nodiscard("co_await it")]] detail::EventsAwaiter next_events(std::span<Event> into) const;

    /// The next message, if there is one and no task waits for it.
    [[nodiscard]] std::optional<Event> try_next_event() const;

private:
    friend class detail::Shard;

    explicit ShardCtx(detail::Shard* shard) noexcept : shard_(shard) {}
    [[nodiscard]] detail::RuntimeCore& own_core() const;
    [[nodiscard]] detail::Executor* shard_as_executor() const noexcept;
    /// Throws std::logic_error on any thread but the shard's.
    std::uint64_t runtime_id() const;

    detail::Shard* shard_;
};

}  // namespace spargio
