// SPDX-License-Identifier: MIT
// Several tasks at a time on one shard, until all have ended.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "spargio/config.hpp"
#include "spargio/detail/forked_tasks.hpp"
#include "spargio/detail/local_fork.hpp"
#include "spargio/task.hpp"

namespace spargio {

namespace detail {

/// What stands for a T where only objects can: in a std::vector, in a std::variant.
template <class T>
using ObjectValue =
    std::conditional_t<std::is_reference_v<T>, std::reference_wrapper<std::remove_reference_t<T>>, ForkValue<T>>;

template <class... T, std::size_t... i>
std::tuple<ForkValue<T>...> take_all(ForkedTasks<sizeof...(T)>& children, std::index_sequence<i...>) {
    return std::tuple<ForkValue<T>...>{take_forked<T>(children[i])...};
}

template <class... T>
Task<std::tuple<ForkValue<T>...>> run_all(ForkedTasks<sizeof...(T)> children) {
    LocalForkAwaiter all(children.children(), &settle_at_failure);
    co_await all;
    if (all.decided_by() != sizeof...(T)) [[unlikely]] {
        std::rethrow_exception(take_exception(children[all.decided_by()]));
    }
    co_return take_all<T...>(children, std::index_sequence_for<T...>());
}

template <class T>
Task<std::vector<ObjectValue<T>>> run_all_of(std::vector<Task<T>> tasks) {
    const ForkedChildren children = children_in(tasks.data(), tasks.size());
    LocalForkAwaiter all(children, &settle_at_failure);
    co_await all;
    if (all.decided_by() != children.count) [[unlikely]] {
        std::rethrow_exception(take_exception(children[all.decided_by()]));
    }
    std::vector<ObjectValue<T>> values;
    values.reserve(children.count);
    for (std::size_t i = 0; i < children.count; ++i) {
        if constexpr (std::is_void_v<T>) {
            values.emplace_back();
        } else {
            values.push_back(ResultSlot<T>::take(children[i]));
        }
    }
    co_return values;
}

}  // namespace detail

/// A task that runs all of `tasks` at a time and gives what they gave, in their order: a std::tuple, with
/// std::monostate for a void.
///
///     auto [user, orders] = co_await spargio::when_all(load_user(id), load_orders(id));
///
/// They start in their order and interleave at their awaits, *on the calling shard*: until it ends, each of them is
/// pinned there, also if the caller is stealable, which as a rule resumes there too. For work in parallel: fork_join(),
/// or spawn. References to the caller's locals are safe in them, and data that only they use needs no lock.
///
/// The first exception, in time, stops the others; it is rethrown when all have ended, and what others throw is
/// dropped. A stop of the caller stops all of them; their results, and what they throw on the way, are given as ever. A
/// shutdown destroys them before the caller.
///
/// Costs one pooled allocation beside the frames of the tasks; no lock, and no atomic but where a task suspends first.
template <class... T>
Task<std::tuple<detail::ForkValue<T>...>> when_all(Task<T>... tasks) {
    SPARGIO_CHECK((tasks.valid() && ...), "when_all: one of the Tasks was awaited, spawned or moved from already");
    return detail::run_all<T...>(detail::ForkedTasks<sizeof...(T)>(tasks...));
}

/// The same for any number of tasks of one type: gives a std::vector of their values in their order; of std::monostate
/// for void, of std::reference_wrapper for references. Empty: an empty one, at once.
template <class T>
Task<std::vector<detail::ObjectValue<T>>> when_all(std::vector<Task<T>>&& tasks) {
    for (const Task<T>& task : tasks) {
        SPARGIO_CHECK(task.valid(), "when_all: one of the Tasks was awaited, spawned or moved from already");
    }
    return detail::run_all_of<T>(std::move(tasks));
}

}  // namespace spargio
