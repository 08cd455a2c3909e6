// SPDX-License-Identifier: MIT
// What a TaskGroup is inside: the children's count, their first error, their stop, who waits for them.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <mutex>
#include <stop_token>

#include "spargio/config.hpp"
#include "spargio/detail/core_ref.hpp"
#include "spargio/detail/fork.hpp"
#include "spargio/detail/join.hpp"
#include "spargio/detail/task_header.hpp"
#include "spargio/placement.hpp"
#include "spargio/task.hpp"

namespace spargio::detail {

class GroupState;

/// Wait::CancelFn of a task that waits for a group: passes the stop on; the task goes on when the children have ended.
void cancel_group(Wait* base, TaskHeader* root) noexcept;

/// The wait of a task that goes on when its children, or those of its group, have ended.
inline bool is_for_children(const Wait& wait) noexcept {
    return wait.cancel == &cancel_fork || wait.cancel == &cancel_group;
}

/// ForkWait::EndedFn of a group's child.
[[nodiscard]] TaskHeader* end_group_child(TaskHeader* child, Executor* here) noexcept;
/// The same of the body that with_group() runs.
[[nodiscard]] TaskHeader* end_group_body(TaskHeader* body, Executor* here) noexcept;
/// Who waits for the children that this is the wait of; null if nobody does.
[[nodiscard]] TaskHeader* group_waiter(const ForkWait& wait) noexcept;

struct GroupWait;

/// The state of a group: apart from the TaskGroup, since a shutdown may destroy that before its children. Counted: by
/// the TaskGroup, by each child until it has ended, and by calls that may be the last to know of it.
///
/// Children are forked, without handles: their ends are counted here, under the lock, so that a shutdown finds that a
/// task in join() goes after them. Whoever counts the last end takes the waiting task out, and has it go on.
///
/// A child's block belongs to nobody but the child, so a stop cannot reach for it. Instead each child that has begun
/// has a std::stop_callback: what stops it, and its end, meet there. That also is the only list of them, so ended ones
/// leave nothing behind.
class GroupState {
public:
    explicit GroupState(CoreRef of);
    GroupState(const GroupState&) = delete;
    GroupState& operator=(const GroupState&) = delete;

    void acquire() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept;

    /// Queues a child. A refusal is an error of the group. Any thread.
    void spawn(TaskPlacement placement, TaskHeader* child) noexcept;
    /// Notes the first error, and stops all others. Any thread.
    void fail(std::exception_ptr error) noexcept;
    /// Asks the children to stop, and all that come later. Any thread.
    void request_stop() noexcept { children_stop_.request_stop(); }
    [[nodiscard]] std::stop_token children_token() const noexcept { return children_stop_.get_token(); }
    [[nodiscard]] std::stop_token body_token() const noexcept { return body_stop_.get_token(); }

    /// Before anything is spawned in a group with a body.
    void expect_body() { body_stop_ = std::stop_source(); }
    /// Suspends `root` until all children have ended. False: they have.
    [[nodiscard]] bool suspend(GroupWait& wait, TaskHeader* root) noexcept;
    /// Suspends `root`, and starts the body, until it and all children have ended.
    void run_body(GroupWait& wait, TaskHeader* body, TaskHeader* root) noexcept;
    /// After either wait: the error, once. False: children have come since, wait again.
    [[nodiscard]] bool joined(std::exception_ptr& error) noexcept;
    /// Throws std::logic_error if `root` is a task of another runtime.
    void check_runtime(TaskHeader* root) const;
    /// Whether a TaskGroup may go: it was joined after its last spawn, or a runtime shuts down.
    [[nodiscard]] bool may_end() noexcept;

private:
    friend void cancel_group(Wait*, TaskHeader*) noexcept;
    friend TaskHeader* end_group_child(TaskHeader*, Executor*) noexcept;
    friend TaskHeader* end_group_body(TaskHeader*, Executor*) noexcept;
    friend TaskHeader* group_waiter(const ForkWait&) noexcept;

    struct Fork : ForkWait {
        Fork(GroupState& of, EndedFn fn) noexcept
            : ForkWait(ForkedChildren{nullptr, 0}, fn, Stop::Shielded), group(of) {}
        GroupState& group;
    };

    /// Under the lock: the waiting tasks whose wait is over, taken out.
    struct Ready {
        GroupWait* join = nullptr;
        GroupWait* owner = nullptr;
    };
    [[nodiscard]] Ready take_ready() noexcept;
    /// Stops what the task that waits here waits for; the caller holds the wait.
    static void pass_stop_on(GroupWait& wait) noexcept;
    /// Has them go on; one of them is returned to the caller, who schedules it.
    [[nodiscard]] static TaskHeader* resume(const Ready& ready) noexcept;
    [[nodiscard]] TaskHeader* count_child() noexcept;
    void stop_all() noexcept;

    const CoreRef core_;
    Fork children_;
    Fork body_;
    std::stop_source children_stop_;
    std::stop_source body_stop_{std::nostopstate};  // See expect_body().

    mutable std::mutex mutex_;
    std::size_t unfinished_ = 0;  // Children.
    bool body_runs_ = false;
    bool open_ = false;  // Something was spawned since the last join.
    GroupWait* join_ = nullptr;
    GroupWait* owner_ = nullptr;  // with_group()'s.
    std::exception_ptr error_;

    atomic<std::size_t> references_{1};  // The last decrement acquires what the others released.
};

class GroupRef {
public:
    /// Counts one more.
    explicit GroupRef(GroupState& state) noexcept : state_(state) { state_.acquire(); }
    GroupRef(const GroupRef&) = delete;
    GroupRef& operator=(const GroupRef&) = delete;
    ~GroupRef() { state_.release(); }

    GroupState* operator->() const noexcept { return &state_; }

private:
    GroupState& state_;
};

/// A task's wait for a group; lives in the awaiter.
struct GroupWait : Wait {
    enum class For : bool { Children, ChildrenAndBody };

    GroupWait(GroupState& of, For all) noexcept : Wait(&cancel_group), group(of), awaits(all) {}

    const GroupRef group;  // A canceller that holds the wait may come when the TaskGroup and all children are gone.
    const For awaits;
    TaskHeader* root = nullptr;
    GroupWait* next_held = nullptr;  // The canceller's.
};

/// What a group's stop does to a child.
class StopRoot {
public:
    explicit StopRoot(TaskHeader* root) noexcept : root_(root) {}
    void operator()() const noexcept { request_task_stop(root_); }

private:
    TaskHeader* root_;
};

/// `co_await RootAwaiter()`: the root that runs. Does not suspend.
class RootAwaiter {
public:
    RootAwaiter() noexcept = default;
    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> frame) noexcept {
        root_ = header_of(frame)->root();
        return false;
    }
    [[nodiscard]] TaskHeader* await_resume() const noexcept { return root_; }

private:
    TaskHeader* root_ = nullptr;
};

class GroupJoinAwaiter {
public:
    explicit GroupJoinAwaiter(GroupState& group) noexcept : wait_(group, GroupWait::For::Children) {}
    GroupJoinAwaiter(const GroupJoinAwaiter&) = delete;
    GroupJoinAwaiter& operator=(const GroupJoinAwaiter&) = delete;

    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE bool await_suspend(std::coroutine_handle<P> frame) {
        TaskHeader* root = header_of(frame)->root();
        wait_.group->check_runtime(root);
        return wait_.group->suspend(wait_, root);
    }
    static void await_resume() noexcept {}

private:
    GroupWait wait_;
};

class GroupBodyAwaiter {
public:
    GroupBodyAwaiter(GroupState& group, TaskHeader* body) noexcept
        : wait_(group, GroupWait::For::ChildrenAndBody), body_(body) {}
    GroupBodyAwaiter(const GroupBodyAwaiter&) = delete;
    GroupBodyAwaiter& operator=(const GroupBodyAwaiter&) = delete;

    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE void await_suspend(std::coroutine_handle<P> frame) noexcept {
        wait_.group->run_body(wait_, body_, header_of(frame)->root());
    }
    static void await_resume() noexcept {}

private:
    GroupWait wait_;
    TaskHeader* body_;
};

}  // namespace spargio::detail
