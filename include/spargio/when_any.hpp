// SPDX-License-Identifier: MIT
// Several tasks at a time on one shard, until the first has ended.
#pragma once

#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "spargio/config.hpp"
#include "spargio/detail/forked_tasks.hpp"
#include "spargio/detail/local_fork.hpp"
#include "spargio/task.hpp"
#include "spargio/when_all.hpp"

namespace spargio {

/// What when_any() gives: which task has won, and its value, in the alternative of the same number.
template <class... Ts>
struct WhenAny {
    std::size_t index;
    std::variant<Ts...> value;
};

namespace detail {

template <class... T, std::size_t... i>
WhenAny<ObjectValue<T>...> take_winner(ForkedTasks<sizeof...(T)>& children, std::size_t winner,
                                       std::index_sequence<i...>) {
    std::optional<std::variant<ObjectValue<T>...>> value;
    const auto take = [&]<std::size_t each, class U>() {
        if (each == winner) {
            value.emplace(std::in_place_index<each>, take_forked<U>(children[each]));
        }
    };
    (take.template operator()<i, T>(), ...);
    return WhenAny<ObjectValue<T>...>{winner, *std::move(value)};
}

template <class... T>
Task<WhenAny<ObjectValue<T>...>> run_any(ForkedTasks<sizeof...(T)> children) {
    LocalForkAwaiter any(children.children(), &settle_at_end);
    co_await any;
    const auto winner = any.decided_by();
    if (children[winner]->outcome == Outcome::Exception) [[unlikely]] {
        std::rethrow_exception(take_exception(children[winner]));
    }
    co_return take_winner<T...>(children, winner, std::index_sequence_for<T...>());
}

}  // namespace detail

/// A task that runs all of `tasks` at a time, as when_all() does, on the calling shard, until the first has ended; that
/// one has won. The others are then stopped, and have ended too when this gives its WhenAny: the winner's number, and
/// its value in a std::variant, with std::monostate for a void and a std::reference_wrapper for a reference.
///
///     auto first = co_await spargio::when_any(read(a), read(b));
///     if (first.index == 0) { use(std::get<0>(first.value)); }
///
/// A winner that threw rethrows. What the others give or throw after they were stopped is dropped: a task whose value
/// must not be lost belongs into timeout(), or keeps it elsewhere. All get their first step, also when the first of
/// them ends in its own: the later ones are stopped by then.
///
/// A stop of the caller stops all of them, and the first to end wins. A shutdown destroys them before the caller.
/// Costs what when_all() does.
template <class... T>
requires(sizeof...(T) > 0) Task<WhenAny<detail::ObjectValue<T>...>> when_any(Task<T>... tasks) {
    SPARGIO_CHECK((tasks.valid() && ...), "when_any: one of the Tasks was awaited, spawned or moved from already");
    return detail::run_any<T...>(detail::ForkedTasks<sizeof...(T)>(tasks...));
}

}  // namespace spargio
