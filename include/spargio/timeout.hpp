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
    const bool late = timed.fired() && !child[0]->stop.missed();
    if (child[0]->outcome == Outcome::Exception) [[unlikely]] {
        std::exception_ptr error = take_exception(child[0]);
        if (late && is_operation_canceled(error)) {
            co_return std::make_error_code(std::errc::timed_out);
        }
        std::rethrow_exception(std::move(error));
    }
    if constexpr (is_result<T>) {
        T value = take_forked<T>(child[0]);
        if (late && !value.has_value()) {
            co_return std::make_error_code(std::errc::timed_out);
        }
        co_return Result<T>(std::in_place, std::move(value));
    } else if (late) {
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
/// A value that is there wins:
///
/// * that of a task that ended before the deadline's stop reached it. One whose wait is over when the deadline comes,
///   because its shard was busy with others or it slept to that very moment, runs before that stop, and so do the
///   children pinned to that shard that it waits for (when_all(), a TaskGroup's);
/// * that of a task for which the stop came too late: it cancelled no wait, since what was waited for (bytes that were
///   read, a message, a reply, the end of another task) was there all the same, or there was no wait; and from then on
///   the task has waited for nothing, asked for nothing that a stop refuses, and never for its stop token. So nothing
///   is lost with it. (Its errors are given as they are, too.)
/// * where T is a Result itself, any value.
///
/// All else that a task gives after that stop counts as timed_out. An exception is rethrown, whenever it comes; only a
/// std::system_error with operation_canceled, after the deadline's stop, is its effect, and gives timed_out.
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
