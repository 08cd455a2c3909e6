// SPDX-License-Identifier: MIT
// Spawnable: what every spawn function accepts, and how it becomes a task.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include "spargio/task.hpp"

namespace spargio {

namespace detail {

template <class T>
struct TaskValue {
    static constexpr bool is_task = false;
    using type = T;
};
template <class T>
struct TaskValue<Task<T>> {
    static constexpr bool is_task = true;
    using type = T;
};

template <class F>
inline constexpr bool is_task = TaskValue<std::remove_cvref_t<F>>::is_task;

/// As what a callable is called: an lvalue, or, where it cannot be, the rvalue that it is, once.
template <class F>
using Called = std::conditional_t<std::invocable<F&>, F&, F&&>;

/// A callable that can be moved into a task's frame and called there.
template <class F>
concept SpawnableCallable = !is_task<F> && std::constructible_from<std::decay_t<F>, F> &&
                            std::move_constructible<std::decay_t<F>> && std::invocable<Called<std::decay_t<F>>>;

template <class F>
concept SpawnableTask = is_task<F> && !std::is_lvalue_reference_v<F> && !std::is_const_v<std::remove_reference_t<F>>;

template <class F>
struct SpawnValueOf;
template <SpawnableTask F>
struct SpawnValueOf<F> {
    using type = typename TaskValue<std::remove_cvref_t<F>>::type;
};
template <SpawnableCallable F>
struct SpawnValueOf<F> {
    using type = typename TaskValue<std::remove_cv_t<std::invoke_result_t<Called<std::decay_t<F>>>>>::type;
};

}  // namespace detail

/// A `Task<T>` (as an rvalue); a callable, move-only too, that returns a `Task<T>`; or a plain callable that returns a
/// T. The callable takes no arguments and is called as an lvalue, or as an rvalue if it can only be called so. It is
/// moved into the task's frame and lives until the task ends, so a coroutine lambda with captures is safe here. (Not
/// with GCC 12 in an expression that also has a `co_await`, as in `co_await handle.spawn_pinned(0, [text] { ... })`: it
/// destroys the lambda twice. Name the handle first, then await it.)
template <class F>
concept Spawnable = detail::SpawnableTask<F> || detail::SpawnableCallable<F>;

/// The T that a spawnable gives.
template <Spawnable F>
using SpawnValue = typename detail::SpawnValueOf<F>::type;

namespace detail {

template <class T, class F>
Task<T> call_in_frame(F callable) {
    if constexpr (TaskValue<std::remove_cvref_t<std::invoke_result_t<Called<F>>>>::is_task) {
        if constexpr (std::is_void_v<T>) {
            co_await static_cast<Called<F>>(callable)();
        } else {
            co_return co_await static_cast<Called<F>>(callable)();
        }
    } else if constexpr (std::is_void_v<T>) {
        static_cast<Called<F>>(callable)();
        co_return;
    } else {
        co_return static_cast<Called<F>>(callable)();
    }
}

/// The task that a spawn queues. Runs nothing of the user's yet.
template <Spawnable F>
[[nodiscard]] Task<SpawnValue<F>> make_task(F&& spawnable) {
    if constexpr (SpawnableTask<F>) {
        SPARGIO_CHECK(spawnable.valid(), "spawning a Task that was awaited, spawned or moved from already");
        return std::forward<F>(spawnable);
    } else {
        return call_in_frame<SpawnValue<F>, std::decay_t<F>>(std::forward<F>(spawnable));
    }
}

}  // namespace detail

}  // namespace spargio
