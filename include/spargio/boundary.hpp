// SPDX-License-Identifier: MIT
// Boundary channels: bounded calls between tasks and the threads that a program already has.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include "spargio/boundary_stats.hpp"
#include "spargio/detail/boundary_ends.hpp"
#include "spargio/detail/boundary_operations.hpp"
#include "spargio/detail/clamp_duration.hpp"
#include "spargio/result.hpp"

namespace spargio::detail {

struct ClientAccess;

}  // namespace spargio::detail

namespace spargio::boundary {

template <class Req, class Rep>
class Server;

/// A call that was begun, and whose reply is still to come. Move-only; one thread or task at a time. Destroying it
/// cancels the call. It needs neither the client nor the runtime any more.
///
/// The reply is got once, by one of the three. Errors: BoundaryError::Closed, the server went away while the request
/// was queued; Canceled, the request was destroyed without an answer, or the awaiting task was stopped; Timeout, only
/// from wait_for().
template <class Rep>
class [[nodiscard("destroying the ticket cancels the call")]] Ticket {
public:
    Ticket(Ticket &&) noexcept = default;
    Ticket& operator=(Ticket&&) noexcept = default;

    /// Awaitable -> Result<Rep>. A stop of the awaiting task cancels the call, unless the reply was there before. The
    /// caller resumes where it may run: a pinned task on its shard.
    [[nodiscard]] detail::CallAwaiter<Rep> operator co_await() {
        return detail::CallAwaiter<Rep>(take());
    }

    /// Blocks the thread. Throws std::logic_error on a shard thread, of whichever runtime; the ticket is then as
    /// before.
    [[nodiscard]] Result<Rep> get() {
        return block_until(detail::CallHeader::no_deadline);
    }

    /// The same for at most `limit`; then the call is cancelled, and counts as such.
    template <class Rp, class Period>
    [[nodiscard]] Result<Rep> wait_for(std::chrono::duration<Rp, Period> limit) {
        return block_until(detail::deadline_in(detail::clamp_duration(limit)));
    }

private:
    template <class, class>
    friend class Client;

    explicit Ticket(detail::CallRef<Rep> call) noexcept : call_(std::move(call)) {}

    [[nodiscard]] detail::CallRef<Rep> take() noexcept {
        SPARGIO_CHECK(call_, "a boundary::Ticket was used after it was moved from, or its reply was got already");
        return std::move(call_);
    }
    [[nodiscard]] Result<Rep> block_until(detail::clock::time_point deadline) {
        detail::refuse_on_any_shard();
        const auto call = take();
        if (!detail::block_on_call(*call, deadline) && detail::leave_call(*call)) {
            return BoundaryError::Timeout;
        }
        return detail::reply_of(*call);
    }

    detail::CallRef<Rep> call_;
};

/// The calling end. Copyable, every member const, any thread and any task, of any runtime. When the last one is gone,
/// the server still gets what is queued. An operation that was not begun is one of them, a call under way is not.
///
/// Each call allocates one block; Req and Rep are move-constructible, and moved once into it and once out of it.
template <class Req, class Rep>
class Client {
public:
    /// Never waits. BoundaryError::Overloaded: as many requests are queued as the channel's capacity, or others wait
    /// for room; Closed: the server is gone. A refused request is destroyed. A queued request that has expired keeps
    /// its place until its caller, or a receiver, looks at the clock.
    [[nodiscard]] Result<Ticket<Rep>> try_call(Req request) const {
        auto call = detail::begin_call<Req, Rep>(*end_, std::move(request), detail::CallHeader::no_deadline, false);
        if (!call.has_value()) {
            return call.error();
        }
        return Result<Ticket<Rep>>(std::in_place, Ticket<Rep>(std::move(*call)));
    }

    /// Waits for room, which callers get in the order they came, and for the reply: `co_await client.call(x)` in a
    /// task, `client.call(x).get()` on a thread, which blocks (std::logic_error on a shard thread). It begins there,
    /// not before. Errors: BoundaryError::Closed, the server is gone; Canceled, the request was destroyed without an
    /// answer, or the awaiting task was stopped, which cancels the call.
    CallOperation<Req, Rep> call(Req request) const { return CallOperation<Req, Rep>(end_, std::move(request)); }

    /// The same for at most `limit`, clamped, for the room and the reply together; then BoundaryError::Timeout, and the
    /// server does not get the request any more. A reply that was accepted before wins. With zero or less it is Timeout
    /// at once, unless the server is gone. In a task it costs three more pooled allocations and a deadline of its
    /// shard, no kernel timer.
    template <class Rp, class Period>
    TimedCallOperation<Req, Rep> call_with_timeout(Req request, std::chrono::duration<Rp, Period> limit) const {
        return TimedCallOperation<Req, Rep>(end_, std::move(request), detail::clamp_duration(limit));
    }

    /// Of the channel. Takes its lock for some loads.
    [[nodiscard]] Stats stats() const noexcept { return detail::channel_stats(*end_); }
    [[nodiscard]] std::size_t capacity() const noexcept { return detail::channel_capacity(*end_); }

private:
    friend struct detail::ClientAccess;  // Of spargio/asio.hpp.
    template <class Q, class P>
    friend std::pair<Client<Q, P>, Server<Q, P>> channel(std::size_t capacity);

    explicit Client(detail::Channel* channel) noexcept : end_(channel) {}

    detail::ClientEnd end_;
};

/// A call on the server's side. Move-only, one thread or task at a time, but it may go to any other. It outlives its
/// server: what was taken can be answered. Destroying it without an answer gives the caller BoundaryError::Canceled.
template <class Req, class Rep>
class [[nodiscard("destroying the request cancels the call")]] Request {
public:
    /// The server's side of a call that was taken: for the library.
    explicit Request(detail::TakenCall<Req, Rep> && call) noexcept : call_(std::move(call)) {}

    [[nodiscard]] const Req& request() const {
        return value();
    }
    /// Moves it out; once.
    [[nodiscard]] Req take() {
        Req taken = std::move(value());
        call_->request.reset();
        return taken;
    }

    /// When the caller will have had enough; none for a call without a deadline.
    [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> deadline() const {
        const auto due = (*call_).deadline;
        return due == detail::CallHeader::no_deadline ? std::nullopt : std::optional(due);
    }
    /// Whether the caller has left: nobody wants an answer. For long work, to look at now and then; a load.
    [[nodiscard]] bool canceled() const {
        return (*call_).is_left();
    }

    /// Answers, and wakes the caller; never waits. BoundaryError::Timeout: the deadline has passed, and the caller gets
    /// Timeout too; Canceled: the caller had left before. A second answer is a checked failure.
    Result<void> respond(Rep reply) {
        auto& call = *call_;
        SPARGIO_CHECK(!call_.answered(), "a boundary::Request was answered twice");
        if (call.expired()) {
            return call_.finish(detail::CallEnd::TimedOut) == detail::CallHeader::left ? BoundaryError::Canceled
                                                                                       : BoundaryError::Timeout;
        }
        call.reply.emplace(std::move(reply));
        switch (call_.finish(detail::CallEnd::Answered)) {
        case detail::CallHeader::left:
            call.reply.reset();
            return BoundaryError::Canceled;
        case detail::CallHeader::late:
            call.reply.reset();
            return BoundaryError::Timeout;
        default:
            return {};
        }
    }

private:
    [[nodiscard]] Req& value() const {
        auto& call = *call_;
        SPARGIO_CHECK(call.request.has_value(), "a boundary::Request was asked for what was taken out of it");
        return *call.request;
    }

    detail::TakenCall<Req, Rep> call_;
};

/// The serving end. Move-only; any thread, and any number of threads and tasks of any runtime at a time: requests go to
/// them in the order in which they wait. When it is destroyed, all who are queued get BoundaryError::Closed, as does
/// whoever calls later and whoever waits in recv(); requests that were taken can still be answered.
template <class Req, class Rep>
class Server {
public:
    /// The oldest request; waits for one: `co_await server.recv()` in a task, `server.recv().get()` on a thread, which
    /// blocks (std::logic_error on a shard thread). Never one whose deadline has passed, or whose caller had left
    /// before it was handed over.
    /// BoundaryError::Closed: no client is left and nothing is queued; Canceled: the awaiting task was stopped. A task
    /// that finds a request each time lets others run after 256.
    ReceiveOperation<Req, Rep> recv() const noexcept {
        return ReceiveOperation<Req, Rep>(*end_, std::chrono::nanoseconds::max());
    }

    /// The same for at most `limit`, clamped; then BoundaryError::Timeout. A request that came before is given.
    template <class Rp, class Period>
    ReceiveOperation<Req, Rep> recv_timeout(std::chrono::duration<Rp, Period> limit) const noexcept {
        return ReceiveOperation<Req, Rep>(*end_, detail::clamp_duration(limit));
    }

    /// The same without waiting: std::errc::operation_would_block when nothing is queued.
    [[nodiscard]] Result<Request<Req, Rep>> try_recv() const {
        detail::CallHeader* call = nullptr;
        const auto state = detail::try_receive(*end_, call);
        if (state == detail::Receive::Taken) {
            return Result<Request<Req, Rep>>(std::in_place, detail::TakenCall<Req, Rep>(call));
        }
        if (state == detail::Receive::Nothing) {
            return std::make_error_code(std::errc::operation_would_block);
        }
        return detail::receive_error(state);
    }

    [[nodiscard]] Stats stats() const noexcept { return detail::channel_stats(*end_); }
    [[nodiscard]] std::size_t capacity() const noexcept { return detail::channel_capacity(*end_); }

private:
    template <class Q, class P>
    friend std::pair<Client<Q, P>, Server<Q, P>> channel(std::size_t capacity);

    explicit Server(detail::Channel* channel) noexcept : end_(channel) {}

    detail::ServerEnd end_;
};

/// A channel for calls that take a Req and give a Rep, between whatever threads and tasks have its ends:
///
///     auto [client, server] = spargio::boundary::channel<std::string, std::size_t>(64);
///     runtime.handle().spawn_stealable(serve(std::move(server))).detach();
///     // On any thread:
///     spargio::Result<std::size_t> bytes = client.call_with_timeout("README.md", 100ms).get();
///
/// `capacity` requests are queued at most, not counting those that the server has taken; 0 counts as 1. Who waits is
/// woken, never polls: a thread by a futex after a short spin, a task by its shard's doorbell.
template <class Req, class Rep>
[[nodiscard]] std::pair<Client<Req, Rep>, Server<Req, Rep>> channel(std::size_t capacity) {
    // Both may be incomplete here.
    static_assert(std::is_object_v<Req>, "a request is an object that can be moved");
    static_assert(std::is_object_v<Rep> && !detail::ErrorSource<Rep>,
                  "a reply is an object that can be moved, and no error code; for none: std::monostate");
    detail::Channel* made = detail::make_channel(capacity);
    return {Client<Req, Rep>(made), Server<Req, Rep>(made)};
}

}  // namespace spargio::boundary
