// SPDX-License-Identifier: MIT
// TaskGroup: children on any shards that are waited for together.
#pragma once

#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

#include "spargio/config.hpp"
#include "spargio/detail/forked_tasks.hpp"
#include "spargio/detail/group.hpp"
#include "spargio/placement.hpp"
#include "spargio/runtime_handle.hpp"
#include "spargio/spawnable.hpp"
#include "spargio/task.hpp"

namespace spargio {

class TaskGroup;

namespace detail {

template <class F>
Task<> run_group_child(GroupState* group, F spawnable) {
    TaskHeader* root = co_await RootAwaiter();
    const std::stop_callback<StopRoot> on_stop(group->children_token(), StopRoot(root));
    try {
        if constexpr (is_task<F>) {
            static_cast<void>(co_await std::move(spawnable));
        } else if constexpr (is_task<std::invoke_result_t<Called<F>>>) {
            static_cast<void>(co_await static_cast<Called<F>>(spawnable)());
        } else {
            static_cast<void>(static_cast<Called<F>>(spawnable)());
        }
    } catch (...) {
        group->fail(std::current_exception());
    }
}

template <class F>
using GroupBodyResult = std::invoke_result_t<F&, TaskGroup&>;
template <class F>
using GroupBodyValue = typename TaskValue<std::remove_cv_t<GroupBodyResult<F>>>::type;

template <class F>
Task<GroupBodyValue<F>> run_group_body(GroupState* state, F* body, TaskGroup* group) {
    TaskHeader* root = co_await RootAwaiter();
    const std::stop_callback<StopRoot> on_stop(state->body_token(), StopRoot(root));
    try {
        if constexpr (!is_task<GroupBodyResult<F>>) {
            co_return (*body)(*group);
        } else if constexpr (std::is_void_v<GroupBodyValue<F>>) {
            co_await (*body)(*group);
        } else {
            co_return co_await (*body)(*group);
        }
    } catch (...) {
        state->fail(std::current_exception());
        throw;
    }
}

Task<> join_group(GroupState* group);

}  // namespace detail

/// Children that are spawned with any placement, run on, and are waited for together. A server's connections, say:
///
///     spargio::TaskGroup connections;
///     while (auto connection = co_await accept(listener)) {
///         connections.spawn(spargio::TaskPlacement::round_robin(), serve(*std::move(connection)));
///     }
///     co_await connections.join();
///
/// The first error stops the rest: an exception of a child, or a spawn that was refused (a std::system_error with the
/// reason). join() waits for all of them and rethrows it; later ones are dropped. What children return is dropped too.
/// An ended child leaves nothing behind: a group may live for ever. But an error or a stop is final: children that are
/// spawned later start stopped, after join() too. To go on, make a new group.
///
/// A group must be joined after its last spawn, before it is destroyed: else the program stops with a sentence, but for
/// a shutdown, in which nobody can be waited for. Prefer with_group(), which joins on every way out.
///
/// In a shutdown the children of a group are destroyed before the task that waits in join() or with_group(), so it is
/// safe for them to refer to its locals. A task that waits elsewhere at that time may go first.
///
/// Thread safety: spawn() and request_stop() may be called by any thread, children among them, at the same time. One
/// task joins at a time, of the runtime that the group spawns in.
class TaskGroup {
public:
    /// Spawns in the runtime of the calling shard. std::logic_error on a thread that is no shard.
    TaskGroup();
    /// Spawns in the runtime of `handle`.
    explicit TaskGroup(const RuntimeHandle& handle);
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;
    ~TaskGroup();

    /// Starts a child: what RuntimeHandle::spawn_with_placement() takes, and where. A refusal is told by join(). In a
    /// group that was stopped a child still starts, and is stopped as soon as it runs. Allocates the child's frame (it
    /// throws std::bad_alloc, as every spawn does); takes the group's lock for a moment, as the child's end does.
    template <Spawnable F>
    void spawn(TaskPlacement placement, F&& spawnable) {
        if constexpr (detail::SpawnableTask<F>) {
            SPARGIO_CHECK(spawnable.valid(), "TaskGroup: this Task was awaited, spawned or moved from already");
        }
        auto child = detail::run_group_child<std::decay_t<F>>(state_, std::forward<F>(spawnable));
        state_->spawn(placement, detail::TaskAccess::release(child));
    }

    /// A task that waits until all children have ended, those too that are spawned meanwhile; then rethrows the first
    /// error since the last join. The caller resumes on its own shard, or, if it is stealable, where the last child
    /// ended. A stop of the caller is passed on to the children, and their ends are still awaited. Not for a child of
    /// the group, which would wait for itself. The group stays until the task has ended.
    [[nodiscard("co_await it")]] Task<> join() { return detail::join_group(state_); }

    /// Asks all children to stop, also those that are spawned later. Returns at once.
    void request_stop() noexcept { state_->request_stop(); }

private:
    template <class F>
    requires std::invocable<F&, TaskGroup&>
    friend auto with_group(F body) -> Task<detail::GroupBodyValue<F>>;

    detail::GroupState* state_;
};

/// A task that runs `body(group)`, which returns a Task, with a group of its own, and gives its value when it and all
/// children of the group have ended. The body need not join. So, whatever happens, no child outlives this:
///
///     const auto fetch_all = [&](spargio::TaskGroup& group) -> spargio::Task<> {
///         for (const auto& url : urls) {
///             group.spawn(spargio::TaskPlacement::stealable(), fetch(url));
///         }
///         co_return;
///     };
///     co_await spargio::with_group(fetch_all);
///
/// (A lambda that captures needs a name: GCC 12 destroys one inside a co_await twice.)
///
/// The first error in time, of the body or of a child, stops all the others, the body too, and is rethrown when they
/// have ended. A stop of the caller stops the body and the children. group.request_stop() stops the children only.
///
/// `body` is moved in and lives to the end of all children, unlike the locals of the coroutine that it returns: these
/// end with the body. The body runs where the caller may run, pinned or stealable, as a task of its own: it has a stop
/// token of its own. The caller resumes as after join().
template <class F>
requires std::invocable<F&, TaskGroup&>
auto with_group(F body) -> Task<detail::GroupBodyValue<F>> {
    TaskGroup group;
    group.state_->expect_body();
    detail::ForkedTasks<1> runs;
    runs.add(detail::run_group_body<F>(group.state_, &body, &group));
    detail::GroupBodyAwaiter all(*group.state_, runs[0]);
    co_await all;
    co_await group.join();
    if (runs[0]->outcome == detail::Outcome::Exception) [[unlikely]] {
        std::rethrow_exception(detail::take_exception(runs[0]));  // Another task, in join() too, was told of it.
    }
    if constexpr (!std::is_void_v<detail::GroupBodyValue<F>>) {
        co_return detail::take_forked<detail::GroupBodyValue<F>>(runs[0]);
    }
}

}  // namespace spargio
