// SPDX-License-Identifier: MIT
// Clean-up in a task that is being stopped.
#pragma once

#include <exception>
#include <type_traits>
#include <utility>

#include "spargio/config.hpp"
#include "spargio/detail/forked_tasks.hpp"
#include "spargio/detail/local_fork.hpp"
#include "spargio/detail/result_slot.hpp"
#include "spargio/task.hpp"

namespace spargio {

namespace detail {

template <class T>
Task<T> run_shielded(Task<T> task) {
    ForkedTasks<1> child(task);
    ShieldAwaiter shielded(child[0]);
    co_await shielded;
    if (child[0]->outcome == Outcome::Exception) [[unlikely]] {
        std::rethrow_exception(take_exception(child[0]));
    }
    if constexpr (!std::is_void_v<T>) {
        co_return take_forked<T>(child[0]);
    }
}

}  // namespace detail

/// A task that runs `task`, gives its value, and rethrows its exception; but no stop of the awaiting task reaches it,
/// neither one that has come before nor one that comes meanwhile. For clean-up that has to wait:
///
///     const auto slept = co_await spargio::sleep_for(1h);          // operation_canceled: we are being stopped
///     co_await spargio::without_stop(say_goodbye(connection));     // its waits are not cancelled
///
/// The task that is awaited inside has a stop token of its own, which nobody asks to stop. It runs where the caller may
/// run: on the caller's shard, or on any shard if the caller is stealable. The caller resumes where it would after any
/// other wait, and is then stopped as before. A shutdown is no stop: it destroys the inner task, then the caller.
/// Bound the time yourself: `without_stop(timeout(1s, ...))`. Costs one pooled allocation, and no more steps than it
/// has.
template <class T>
Task<T> without_stop(Task<T> task) {
    SPARGIO_CHECK(task.valid(), "without_stop: this Task was awaited, spawned or moved from already");
    return detail::run_shielded<T>(std::move(task));
}

}  // namespace spargio
