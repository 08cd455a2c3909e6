// SPDX-License-Identifier: MIT
// What call(), call_with_timeout(), recv() and recv_timeout() return: to be awaited in a task, or got on a thread.
#pragma once

#include <chrono>
#include <coroutine>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "spargio/config.hpp"
#include "spargio/detail/boundary_ends.hpp"
#include "spargio/detail/fork.hpp"
#include "spargio/error.hpp"
#include "spargio/result.hpp"
#include "spargio/task.hpp"
#include "spargio/this_task.hpp"
#include "spargio/timeout.hpp"

namespace spargio::boundary {

template <class Req, class Rep>
class Request;

}  // namespace spargio::boundary

namespace spargio::detail {

/// The reply of a call that has ended or was left.
template <class Rep>
[[nodiscard]] Result<Rep> reply_of(CallWithReply<Rep>& call) {
    const CallEnd end = call_end(call);
    if (end == CallEnd::Answered) [[likely]] {
        return Result<Rep>(std::in_place, std::move(*call.reply));
    }
    return call_error(end);
}

/// Makes a call and puts it into the channel.
template <class Req, class Rep>
[[nodiscard]] Result<CallRef<Rep>> begin_call(Channel& channel, Req&& request, clock::time_point deadline,
                                              bool may_wait_for_room) {
    auto call = std::make_unique<Call<Req, Rep>>(&channel, deadline, std::move(request));
    if (const auto error = enter_call(channel, *call, may_wait_for_room)) {
        return error;
    }
    return CallRef<Rep>(call.release());
}

/// Waits for the end of a call that was begun.
template <class Rep>
class CallAwaiter {
public:
    explicit CallAwaiter(CallRef<Rep> call) noexcept : call_(std::move(call)), wait_(call_.get()) {}
    CallAwaiter(const CallAwaiter&) = delete;
    CallAwaiter& operator=(const CallAwaiter&) = delete;

    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE bool await_suspend(std::coroutine_handle<P> frame) noexcept {
        return call_suspend(wait_, header_of(frame)->root());
    }
    [[nodiscard]] Result<Rep> await_resume() { return reply_of(*call_); }

private:
    CallRef<Rep> call_;
    CallWait wait_;
};

/// Begins a call in the awaiting task, and waits for its end.
template <class Req, class Rep>
class NewCallAwaiter {
public:
    NewCallAwaiter(ClientEnd client, Req&& request, clock::time_point deadline)
        : client_(std::move(client)), request_(std::move(request)), deadline_(deadline), wait_(nullptr) {}
    NewCallAwaiter(const NewCallAwaiter&) = delete;
    NewCallAwaiter& operator=(const NewCallAwaiter&) = delete;

    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE bool await_suspend(std::coroutine_handle<P> frame) {
        TaskHeader* root = header_of(frame)->root();
        if (stop_has_come(root)) {
            error_ = BoundaryError::Canceled;
            return false;
        }
        auto begun = begin_call<Req, Rep>(*client_, std::move(request_), deadline_, true);
        if (!begun.has_value()) {
            error_ = begun.error();
            return false;
        }
        call_ = std::move(*begun);
        client_.drop();
        wait_.call = call_.get();
        return call_suspend(wait_, root);
    }
    [[nodiscard]] Result<Rep> await_resume() {
        if (error_) {
            return error_;
        }
        return reply_of(*call_);
    }

private:
    ClientEnd client_;
    Req request_;
    clock::time_point deadline_;
    std::error_code error_;
    CallRef<Rep> call_;
    CallWait wait_;
};

/// What a timeout() made of a boundary operation.
template <class T>
[[nodiscard]] Result<T> boundary_result(Result<Result<T>> limited) {
    if (limited.has_value()) [[likely]] {
        return std::move(*limited);
    }
    if (limited.error() == std::errc::timed_out) {
        return BoundaryError::Timeout;
    }
    return limited.error();
}

/// Whether the awaiting task was asked to stop.
class StopAsked {
public:
    StopAsked() noexcept = default;

    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE bool await_suspend(std::coroutine_handle<P> frame) noexcept {
        asked_ = stop_has_come(header_of(frame)->root());
        return false;
    }
    [[nodiscard]] bool await_resume() const noexcept { return asked_; }

private:
    bool asked_ = false;
};

/// The caller's side of a call with a deadline in a task: the shard's timer stops the wait, and so the call. Always a
/// value for timeout(), which would call any error after its stop a time-out: the call may have ended before that, and
/// counts as that.
template <class Req, class Rep>
Task<Result<Result<Rep>>> await_call(ClientEnd client, Req request, clock::time_point deadline) {
    NewCallAwaiter<Req, Rep> call(std::move(client), std::move(request), deadline);
    auto reply = co_await call;
    co_return Result<Result<Rep>>(std::in_place, std::move(reply));
}
template <class Req, class Rep>
Task<Result<Rep>> await_call_within(ClientEnd client, Req request, std::chrono::nanoseconds limit) {
    // The stop would reach the task below only when that has begun the call.
    StopAsked stop;
    const bool stopped = co_await stop;
    if (stopped) {
        co_return BoundaryError::Canceled;
    }
    auto limited =
        co_await timeout(limit, await_call<Req, Rep>(std::move(client), std::move(request), deadline_in(limit)));
    auto reply = boundary_result(std::move(limited));
    if (!reply.has_value()) {
        co_return reply.error();
    }
    co_return std::move(*reply);
}

/// On a thread.
template <class Req, class Rep>
[[nodiscard]] Result<Rep> block_on_new_call(ClientEnd& client, Req&& request, clock::time_point deadline) {
    refuse_on_any_shard();
    auto begun = begin_call<Req, Rep>(*client, std::move(request), deadline, true);
    client.drop();
    if (!begun.has_value()) {
        return begun.error();
    }
    if (!block_on_call(**begun, deadline)) {
        static_cast<void>(leave_call_late(**begun));
    }
    return reply_of(**begun);
}

/// Takes a request if one is there, or waits for one.
template <class Req, class Rep>
class ReceiveAwaiter {
public:
    explicit ReceiveAwaiter(Channel& channel) noexcept : wait_(&channel) {}
    ReceiveAwaiter(const ReceiveAwaiter&) = delete;
    ReceiveAwaiter& operator=(const ReceiveAwaiter&) = delete;
    /// A task that a shutdown destroys may have been given a request.
    ~ReceiveAwaiter() { static_cast<void>(take()); }

    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE bool await_suspend(std::coroutine_handle<P> frame) noexcept {
        return receive_suspend(wait_, header_of(frame)->root());
    }
    static void await_resume() noexcept {}

    [[nodiscard]] Receive state() const noexcept { return wait_.state; }
    /// With Taken; once.
    [[nodiscard]] TakenCall<Req, Rep> take() noexcept {
        return TakenCall<Req, Rep>(std::exchange(wait_.call, nullptr));
    }

private:
    ReceiveWait wait_;
};

/// Waits for a request that has not expired when the task goes on with it.
template <class Req, class Rep>
Task<Result<boundary::Request<Req, Rep>>> await_request(ChannelRef channel) {
    for (;;) {
        ReceiveAwaiter<Req, Rep> next(*channel);
        co_await next;
        if (next.state() != Receive::Taken) {
            co_return receive_error(next.state());
        }
        TakenCall<Req, Rep> call = next.take();
        if (!call->expired()) {
            co_return Result<boundary::Request<Req, Rep>>(std::in_place, std::move(call));
        }
    }
}
template <class Req, class Rep>
Task<Result<boundary::Request<Req, Rep>>> await_request_within(ChannelRef channel, std::chrono::nanoseconds limit) {
    auto request = co_await timeout(limit, await_request<Req, Rep>(std::move(channel)));
    co_return boundary_result(std::move(request));
}
/// Lets others run first; then, whatever the time is, takes a request that is there.
template <class Req, class Rep>
Task<Result<boundary::Request<Req, Rep>>> await_request_after_others(ChannelRef channel,
                                                                     std::chrono::nanoseconds limit);

/// Gives a request that is there at once, else waits in a task of its own.
template <class Req, class Rep>
class RequestAwaiter {
public:
    using Request = boundary::Request<Req, Rep>;

    RequestAwaiter(Channel& channel, std::chrono::nanoseconds limit) noexcept : channel_(channel), limit_(limit) {}
    RequestAwaiter(const RequestAwaiter&) = delete;
    RequestAwaiter& operator=(const RequestAwaiter&) = delete;

    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE std::coroutine_handle<> await_suspend(std::coroutine_handle<P> frame) {
        TaskHeader* root = header_of(frame)->root();
        CallHeader* call = nullptr;
        state_ = try_receive_in(root, channel_, call);
        if (state_ == Receive::Taken) {
            taken_.emplace(call);
        } else if (state_ == Receive::OthersFirst) {
            waits_.emplace(await_request_after_others<Req, Rep>(ChannelRef(channel_), limit_).operator co_await());
            return waits_->await_suspend(frame);
        } else if (state_ == Receive::Nothing && limit_.count() > 0) {
            waits_.emplace(begin_waiting());
            return waits_->await_suspend(frame);
        }
        return transfer(root, frame.address());
    }
    [[nodiscard]] Result<Request> await_resume() {
        if (waits_) {
            return waits_->await_resume();
        }
        if (taken_) {
            return Result<Request>(std::in_place, std::move(*taken_));
        }
        return receive_error(state_);
    }

private:
    [[nodiscard]] TaskAwaiter<Result<Request>> begin_waiting() const {
        auto task = limit_ == std::chrono::nanoseconds::max()
                        ? await_request<Req, Rep>(ChannelRef(channel_))
                        : await_request_within<Req, Rep>(ChannelRef(channel_), limit_);
        return std::move(task).operator co_await();
    }

    Channel& channel_;
    std::chrono::nanoseconds limit_;
    Receive state_ = Receive::Waiting;
    std::optional<TakenCall<Req, Rep>> taken_;
    std::optional<TaskAwaiter<Result<Request>>> waits_;
};

template <class Req, class Rep>
Task<Result<boundary::Request<Req, Rep>>> await_request_after_others(ChannelRef channel,
                                                                     std::chrono::nanoseconds limit) {
    const auto deadline = deadline_in(limit);
    co_await yield();
    RequestAwaiter<Req, Rep> next(
        *channel, deadline == CallHeader::no_deadline ? std::chrono::nanoseconds::max() : deadline - timer_now());
    co_return co_await next;
}

}  // namespace spargio::detail

namespace spargio::boundary {

/// What Client::call() returns. Nothing happens before it is awaited or got, which is done once: it gives Result<Rep>.
template <class Req, class Rep>
class [[nodiscard("co_await it in a task, or call get() on a thread")]] CallOperation {
public:
    CallOperation(detail::ClientEnd client, Req && request)
        : client_(std::move(client)), request_(std::move(request)) {}

    /// The caller resumes where it may run: pinned tasks on their shard. BoundaryError::Canceled, which equals
    /// std::errc::operation_canceled, if the task is stopped: the call is then cancelled.
    [[nodiscard]] detail::NewCallAwaiter<Req, Rep> operator co_await() {
        return detail::NewCallAwaiter<Req, Rep>(std::move(client_), std::move(request_),
                                                detail::CallHeader::no_deadline);
    }
    /// Blocks the thread. Throws std::logic_error on a shard thread, of whichever runtime.
    [[nodiscard]] Result<Rep> get() {
        return detail::block_on_new_call<Req, Rep>(client_, std::move(request_), detail::CallHeader::no_deadline);
    }

private:
    detail::ClientEnd client_;
    Req request_;
};

/// What Client::call_with_timeout() returns: the same with a deadline, which counts from when it is awaited or got.
template <class Req, class Rep>
class [[nodiscard("co_await it in a task, or call get() on a thread")]] TimedCallOperation {
public:
    TimedCallOperation(detail::ClientEnd client, Req && request, std::chrono::nanoseconds limit)
        : client_(std::move(client)), request_(std::move(request)), limit_(limit) {}

    [[nodiscard]] detail::TaskAwaiter<Result<Rep>> operator co_await() {
        auto task = detail::await_call_within<Req, Rep>(std::move(client_), std::move(request_), limit_);
        return std::move(task).operator co_await();
    }
    [[nodiscard]] Result<Rep> get() {
        return detail::block_on_new_call<Req, Rep>(client_, std::move(request_), detail::deadline_in(limit_));
    }

private:
    detail::ClientEnd client_;
    Req request_;
    std::chrono::nanoseconds limit_;
};

/// What Server::recv() and recv_timeout() return: awaited or got once, it gives Result<Request>. The server stays where
/// it is until then.
template <class Req, class Rep>
class [[nodiscard("co_await it in a task, or call get() on a thread")]] ReceiveOperation {
public:
    ReceiveOperation(detail::Channel & channel, std::chrono::nanoseconds limit) noexcept
        : channel_(channel), limit_(limit) {}

    /// As for calls. A request that came before the stop is given: it is not lost.
    [[nodiscard]] detail::RequestAwaiter<Req, Rep> operator co_await() const noexcept {
        return detail::RequestAwaiter<Req, Rep>(channel_, limit_);
    }
    [[nodiscard]] Result<Request<Req, Rep>> get() const {
        detail::refuse_on_any_shard();
        const auto deadline = detail::deadline_in(limit_);
        const detail::ChannelRef channel(channel_);  // Both ends may go meanwhile, and the request that is not given.
        for (;;) {
            detail::CallHeader* call = nullptr;
            const auto state = detail::receive_block(channel_, call, deadline);
            if (state != detail::Receive::Taken) {
                return detail::receive_error(state);
            }
            detail::TakenCall<Req, Rep> taken(call);
            if (!taken->expired()) {
                return Result<Request<Req, Rep>>(std::in_place, std::move(taken));
            }
        }
    }

private:
    detail::Channel& channel_;
    std::chrono::nanoseconds limit_;
};

}  // namespace spargio::boundary
