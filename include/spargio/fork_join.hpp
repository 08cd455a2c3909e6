// SPDX-License-Identifier: MIT
// Structured forks: run children on all shards, go on when all have ended.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "spargio/detail/fork.hpp"
#include "spargio/detail/forked_tasks.hpp"
#include "spargio/detail/result_slot.hpp"
#include "spargio/spawnable.hpp"
#include "spargio/task.hpp"

namespace spargio {

namespace detail {

/// The part of the awaiters that waits.
class ForkAwaiterBase {
public:
    explicit ForkAwaiterBase(ForkedChildren children) noexcept : wait_(children) {}
    ForkAwaiterBase(const ForkAwaiterBase&) = delete;
    ForkAwaiterBase& operator=(const ForkAwaiterBase&) = delete;

    [[nodiscard]] bool await_ready() const noexcept { return wait_.children.count == 0; }

    template <class P>
    SPARGIO_AWAIT_NOINLINE void await_suspend(std::coroutine_handle<P> frame) noexcept {
        SPARGIO_CHECK(wait_.root == nullptr, "a fork was awaited a second time: its children run once");
        fork_children(wait_, header_of(frame)->root());
    }

protected:
    ~ForkAwaiterBase() = default;

    void rethrow_if_failed() const {
        if (wait_.failed.load(std::memory_order_relaxed)) [[unlikely]] {
            rethrow_first(wait_.children);
        }
    }

    ForkWait wait_;
};

template <class... T>
class ForkJoinAwaiter : private ForkedTasks<sizeof...(T)>, public ForkAwaiterBase {
    using Children = ForkedTasks<sizeof...(T)>;

public:
    explicit ForkJoinAwaiter(Task<T>... tasks) noexcept : Children(tasks...), ForkAwaiterBase(Children::children()) {}

    auto await_resume() {
        rethrow_if_failed();
        if constexpr (!(std::is_void_v<T> && ...)) {
            return take_all(std::index_sequence_for<T...>());
        }
    }

private:
    template <std::size_t... i>
    std::tuple<ForkValue<T>...> take_all(std::index_sequence<i...>) {
        std::tuple<ForkValue<T>...> values{take_forked<T>(Children::operator[](i))...};
        if constexpr ((is_freed_when_taken<T> && ...)) {
            Children::forget();
        }
        return values;
    }
};

template <class Range>
struct KeptRange {
    Range kept;
};

/// Children that a range keeps.
template <class Range>
class ForkRangeAwaiter : private KeptRange<Range>, public ForkAwaiterBase {
    using ChildTask = std::ranges::range_value_t<Range>;
    using T = typename ChildTask::value_type;

public:
    explicit ForkRangeAwaiter(Range tasks)
        : KeptRange<Range>{std::move(tasks)}, ForkAwaiterBase(children_of(KeptRange<Range>::kept)) {}
    ~ForkRangeAwaiter() {
        if constexpr (std::ranges::view<Range>) {
            // Whoever has them shall not take them for Tasks that can still run.
            for (ChildTask& task : KeptRange<Range>::kept) {
                const ChildTask taken(std::move(task));
            }
        }
    }

    auto await_resume() {
        rethrow_if_failed();
        if constexpr (!std::is_void_v<T>) {
            std::vector<T> values;
            values.reserve(wait_.children.count);
            for (std::size_t i = 0; i < wait_.children.count; ++i) {
                values.push_back(ResultSlot<T>::take(wait_.children[i]));
            }
            return values;
        }
    }

private:
    static ForkedChildren children_of(Range& tasks) noexcept {
        for (const ChildTask& task : tasks) {
            SPARGIO_CHECK(task.valid(), "forking a Task that was awaited, spawned or moved from already");
        }
        return children_in(std::ranges::data(tasks), std::ranges::size(tasks));
    }
};

/// Children that the awaiting coroutine keeps.
class ForkListAwaiter : public ForkAwaiterBase {
public:
    explicit ForkListAwaiter(ForkedChildren children) noexcept : ForkAwaiterBase(children) {}
    void await_resume() const { rethrow_if_failed(); }
};

/// Tasks in a row that are given up: a container that is moved in, or a view.
template <class R>
concept ForkableRange = std::ranges::contiguous_range<R> && is_task<std::ranges::range_value_t<R>> &&
                        !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<R>>> &&
                        !std::is_reference_v<typename std::ranges::range_value_t<R>::value_type> &&
                        (!std::is_lvalue_reference_v<R> || std::ranges::view<std::remove_cvref_t<R>>);

template <class F>
using IndexedResult = std::invoke_result_t<F&, std::size_t>;
template <class F>
using IndexedValue = typename TaskValue<std::remove_cvref_t<IndexedResult<F>>>::type;

/// The child number `i`: what `f` returns if that is a task, else a task that calls it.
template <class F>
Task<IndexedValue<F>> indexed_child(F& f, std::size_t i) {
    if constexpr (is_task<IndexedResult<F>>) {
        return f(i);
    } else {
        return [](F& called, std::size_t index) -> Task<IndexedValue<F>> { co_return called(index); }(f, i);
    }
}

// A fork of many is a tree of forks of few: a child's frame is made shortly before it runs, and a thief takes a branch.
inline constexpr std::size_t fork_width = 32;

/// Runs the children from `first` to before `last`, and gives the value of each to `store`.
template <class F, class Store>
Task<> fork_indexed(F& f, Store& store, std::size_t first, std::size_t last) {
    std::size_t each = 1;
    while (last - first > fork_width * each) {
        each *= fork_width;
    }
    ForkedTasks<fork_width> forked;
    for (std::size_t i = first; i < last;) {
        const auto next = last - i > each ? i + each : last;
        if (each == 1) {
            forked.add(indexed_child(f, i));
        } else {
            forked.add(fork_indexed(f, store, i, next));
        }
        i = next;
    }
    co_await ForkListAwaiter(forked.children());
    for (std::size_t i = first; each == 1 && i < last; ++i) {
        store(i, forked[i - first]);
    }
}

}  // namespace detail

/// Awaitable: runs all the children, and gives what they gave, in their order: a std::tuple, with std::monostate for a
/// void; nothing if all are void. Awaited once. A child is whatever can be spawned, best a Task:
///
///     auto sides = co_await spargio::fork_join(sum(left), sum(right));
///     co_return std::get<0>(sides) + std::get<1>(sides);
///
/// (Name a lambda that captures, and std::move() it in: GCC 12 destroys one inside a co_await twice.)
///
/// The children are stealable, whatever the parent is: the first runs on the calling shard at once, the others there
/// after it, as a rule in their order, or on any shard that has nothing to do, which takes the last first. They may
/// suspend, and may fork in their turn. The parent goes on when all have ended: if it is
/// stealable, where the last one ended or where it forked, else on its own shard. There is nothing to detach and
/// nothing to wait for later: references to the parent's locals are safe in a child.
///
/// An exception of a child is rethrown when all have ended, the first in their order; others are dropped. A stop of the
/// parent stops each child; their results, and what they throw on the way, are given as ever. Children are never
/// refused; a shutdown destroys them before the parent.
///
/// Costs one pooled allocation per child, its frame, and one wake at most; no handle, and no lock
/// but for what a deque of 1,024 has no room for.
template <Spawnable... F>
requires(sizeof...(F) > 0)
    [[nodiscard("co_await it")]] detail::ForkJoinAwaiter<SpawnValue<F>...> fork_join(F&&... children) {
    return detail::ForkJoinAwaiter<SpawnValue<F>...>(detail::make_task(std::forward<F>(children))...);
}

/// Awaitable: fork_join() for the Tasks of a range, a std::vector or another contiguous one, which is moved in; what a
/// view (std::span) refers to must stay, and its Tasks are taken. Gives a std::vector of their values in their order,
/// nothing if they are void. All frames exist at once: for a great number give their number and a function.
template <detail::ForkableRange Range>
[[nodiscard("co_await it")]] detail::ForkRangeAwaiter<std::remove_cvref_t<Range>> spawn_many(Range&& tasks) {
    return detail::ForkRangeAwaiter<std::remove_cvref_t<Range>>(std::forward<Range>(tasks));
}

/// Runs `f(0)` to `f(count - 1)` as children of the awaiting task, as fork_join() does, and gives a std::vector of the
/// values, by index; nothing if they are void. `f` returns a Task, or a value; it is called on any shard, by several at
/// a time. A Task may suspend, and holds up none of the others by it. An exception that `f` throws instead of giving a
/// Task is given like a child's; the few children whose Tasks it had given just before are not run. (A lambda that
/// captures needs a name, as with fork_join().)
///
/// The children are forked as a tree of 32 branches each: a frame is made shortly before its child runs, so a million
/// children need the memory of some hundred, unless they suspend. A value type is default constructible, and not bool.
template <class F>
requires(std::invocable<F&, std::size_t> &&
         !std::is_reference_v<detail::IndexedValue<F>>) [[nodiscard("co_await it")]] auto spawn_many(std::size_t count,
                                                                                                     F f)
    -> Task<std::conditional_t<std::is_void_v<detail::IndexedValue<F>>, void, std::vector<detail::IndexedValue<F>>>> {
    using T = detail::IndexedValue<F>;
    if constexpr (std::is_void_v<T>) {
        auto store = [](std::size_t, detail::TaskHeader*) noexcept {};
        if (count != 0) {
            co_await detail::fork_indexed(f, store, 0, count);
        }
    } else {
        static_assert(!std::is_same_v<T, bool>,
                      "shards cannot write to neighbours in a std::vector<bool>: give a char");
        static_assert(std::default_initializable<T>, "make the Tasks first, and give a std::vector of them");
        std::vector<T> values(count);
        auto store = [&values](std::size_t i, detail::TaskHeader*& child) {
            values[i] = detail::take_forked<T>(child);
        };
        if (count != 0) {
            co_await detail::fork_indexed(f, store, 0, count);
        }
        co_return values;
    }
}

}  // namespace spargio
