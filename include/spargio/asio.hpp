// SPDX-License-Identifier: MIT
// Boundary calls and spawns for Asio's completion tokens. Opt-in: not part of the umbrella header, and needs the
// headers of Asio 1.22 or later, or of Boost 1.81 or later: those where SPARGIO_USE_BOOST_ASIO is defined or no other
// is there. All files of a program use the same of the two.
#pragma once

#include <chrono>
#include <exception>
#include <type_traits>
#include <utility>

#include "spargio/boundary.hpp"
#include "spargio/detail/asio_call.hpp"
#include "spargio/detail/asio_spawn.hpp"
#include "spargio/detail/clamp_duration.hpp"
#include "spargio/placement.hpp"
#include "spargio/runtime_handle.hpp"
#include "spargio/spawnable.hpp"

/// Both functions take any completion token (use_awaitable, deferred, use_future, detached, a callback) and keep Asio's
/// rules. They never block and never call the handler themselves: it is posted to its associated executor, which has
/// outstanding work until then, whichever thread or shard brings the result; a callback without one, or with an inline
/// executor, runs on Asio's system_executor, so bind_executor() it. The handler, and what is posted, live in memory of
/// its associated allocator. Any thread may begin an operation, a task's too.
///
/// Cancellation of any type through the associated slot is honoured, on any thread, as long as nobody else uses the
/// slot meanwhile. What stands in the slot when the operation is over does nothing.
///
/// When the handler's execution context is destroyed, handlers that wait are destroyed uncalled, as Asio does with its
/// own: their calls are cancelled, their tasks asked to stop, and what these throw then is reported. Otherwise a
/// handler is called once, also when the server, the client or the runtime goes away. Where memory for posting a result
/// cannot be had, std::terminate is called.
namespace spargio {

/// Calls the server of a boundary channel: `void(error_code, Rep)`, where the error_code is Asio's.
///
///     std::size_t bytes = co_await spargio::async_call(client, path, asio::use_awaitable);
///
/// Waits for room in the channel as Client::call() does, without a thread. Errors: BoundaryError::Closed, the server is
/// gone; Canceled, which equals std::errc::operation_canceled, the request was destroyed without an answer, or the
/// operation was cancelled: compare with either, not with asio::error::operation_aborted, which it is not. A token that
/// throws errors throws Asio's system_error: with Boost, that is boost::system::system_error. With an error the Rep is
/// default constructed. The operation keeps no client alive: when the last one is gone, what is queued is still served.
template <class Req, class Rep, class Token>
auto async_call(const boundary::Client<Req, Rep>& client, std::type_identity_t<Req> request, Token&& token) {
    return detail::begin_asio_call(client, std::move(request), std::chrono::nanoseconds::max(),
                                   std::forward<Token>(token));
}

/// The same for at most `limit`, clamped, for the room and the reply together, from the moment that the operation is
/// begun; then BoundaryError::Timeout, which equals std::errc::timed_out. The server sees the deadline, and never gets
/// a request whose deadline has passed. A reply that was accepted before wins. With zero or less it is Timeout at once,
/// or Closed if the server is gone. It costs a timer of the handler's execution context.
template <class Req, class Rep, class R, class Period, class Token>
auto async_call_with_timeout(const boundary::Client<Req, Rep>& client, std::type_identity_t<Req> request,
                             std::chrono::duration<R, Period> limit, Token&& token) {
    return detail::begin_asio_call(client, std::move(request), detail::clamp_duration(limit),
                                   std::forward<Token>(token));
}

/// Spawns on a runtime, as RuntimeHandle::spawn_with_placement() does: `void(std::exception_ptr, T)`, or
/// `void(std::exception_ptr)` for a spawnable that gives nothing, like asio::co_spawn().
///
///     int n = co_await spargio::async_spawn(handle, TaskPlacement::stealable(), work(), asio::use_awaitable);
///
/// The exception is the task's own, or a std::system_error, with Boost too: the reason that the spawn was refused
/// (RuntimeError), or JoinError::Canceled, a shutdown destroyed the task. With an exception the T is default
/// constructed. The task's frame and all in it are destroyed before the handler is posted. A cancellation asks the task
/// to stop; the handler waits for its end. Allocates one frame more than a spawn.
///
/// The task's own exception goes to the handler, or, if that is destroyed uncalled, to the runtime's
/// on_unhandled_exception, as when a JoinHandle is dropped: on the task's shard, on the thread that destroys the
/// handler which was posted already, or on the initiating one. Not the effect of the stop that the end of the context
/// has asked for, a std::system_error with operation_canceled. A handler has it when it is called, and may ignore it:
/// asio::detached does, as it does with co_spawn's.
template <Spawnable F, class Token>
auto async_spawn(const RuntimeHandle& handle, TaskPlacement placement, F&& spawnable, Token&& token) {
    using T = SpawnValue<F>;
    static_assert(!std::is_reference_v<T> && (std::is_void_v<T> || std::is_default_constructible_v<T>),
                  "the handler gets a T with an exception, too: it must be a default constructible object or void");
    return detail::asio_library::async_initiate<Token, typename detail::AsioSpawnSignature<T>::type>(
        detail::StartAsioSpawn(), token, handle, placement, std::decay_t<F>(std::forward<F>(spawnable)));
}

}  // namespace spargio
