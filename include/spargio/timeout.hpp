// SPDX-License-Identifier: MIT
// A limit to the time that a task may take.
#pragma once

#include <chrono>
#include <exception>
#include <system_error>
#include <type_traits>
#include <utility>

#include "spargio/config.hpp"
#include "spargio/detail/clamp_duration.hpp"
#include "spargio/detail/forked_tasks.hpp"
#include "spargio/detail/local_fork.hpp"
#include "spargio/result.hpp"
#include "spargio/task.hpp"

namespace spargio {

namespace detail {

template <class T>
Task<Result<T>> run_limited(std::chrono::nanoseconds limit, Task<T> task) {
    ForkedTasks<1> child(task);
    TimedForkAwaiter timed(child.children(), limit);
    co_await timed;
    if (child[0]->outcome == Outcome::Exception) [[unlikely]] {
        std::exception_ptr error = take_exception(child[0]);
        if (timed.fired() && is_operation_canceled(error)) {
            co_return std::make_error_code(std::errc::timed_out);
        }
        std::rethrow_exception(std::move(error));
    }
    if constexpr (is_result<T>) {
        T value = take_forked<T>(child[0]);
        if (timed.fired() && !value.has_value()) {
            co_return std::make_error_code(std::errc::timed_out);
        }
        co_return Result<T>(std::in_place, std::move(value));
    } else if (timed.fired()) {
        co_return std::make_error_code(std::errc::timed_out);
    } else if constexpr (std::is_void_v<T>) {
        co_return Result<void>();
    } else {
        co_return Result<T>(std::in_place, take_forked<T>(child[0]));
    }
}

}  // namespace detail

/// A task that runs `task` for `limit` at most, from when it is awaited, and gives a Result<T>: what `task` gave, or
/// std::errc::timed_out after `task` has been stopped *and has ended*, however long that takes. So references to the
/// caller's locals are safe in it.
///
///     spargio::Result<Reply> reply = co_await spargio::timeout(100ms, ask(server));
///
/// A value that is there wins: that of a task that ended before the deadline's stop reached it, and a task whose wait
/// is over when the deadline comes, because its shard was busy with others or it has slept just as long, runs before
/// that stop, and so do the children pinned to that shard that it waits for (when_all(), a TaskGroup's); and, where T
/// is a Result itself, also one that has a value after the stop, such as a read that was completed while it was
/// cancelled. All else that a task gives after that stop counts as timed_out: a task whose value must not be lost gives
/// a Result. An exception is rethrown, whenever it comes; only a std::system_error with operation_canceled, after the
/// deadline's stop, is its effect, and gives timed_out.
///
/// A stop of the caller reaches `task`; if it came before the deadline, what `task` makes of it is given as it is.
/// Durations are clamped, never overflow. With zero or less, `task` still gets its first step, and if it ends in that,
/// it was in time.
///
/// `task` is pinned to the calling shard while it runs here, also if the caller is stealable, which as a rule goes on
/// there. The deadline belongs to that shard, as a sleep's does, and costs no kernel timer. Costs one pooled
/// allocation.
template <class Rep, class Period, class T>
requires(!std::is_reference_v<T>) Task<Result<T>> timeout(std::chrono::duration<Rep, Period> limit, Task<T> task) {
    SPARGIO_CHECK(task.valid(), "timeout: this Task was awaited, spawned or moved from already");
    return detail::run_limited<T>(detail::clamp_duration(limit), std::move(task));
}

}  // namespace spargio
