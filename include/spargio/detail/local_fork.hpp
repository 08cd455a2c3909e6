// SPDX-License-Identifier: MIT
// Forks whose children do not go to other shards: what when_all, when_any, timeout and without_stop wait in.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <exception>

#include "spargio/config.hpp"
#include "spargio/detail/fork.hpp"
#include "spargio/detail/seams.hpp"
#include "spargio/detail/task_header.hpp"
#include "spargio/detail/timer_queue.hpp"
#include "spargio/task.hpp"

namespace spargio::detail {

/// Children that are pinned to the shard on which their parent has forked them, so that they start, run and end on one
/// thread: nothing here is atomic but what ForkWait shares with cancellers. `settle` is told of each end, before it is
/// counted: while one child has not ended, all of this and all blocks are there.
struct LocalFork : ForkWait {
    using SettleFn = void (*)(LocalFork&, TaskHeader* child, Shard& here) noexcept;

    LocalFork(ForkedChildren forked, SettleFn fn) noexcept;

    const SettleFn settle;
    std::size_t decided_by = 0;  // The child that `settle` has noted; the number of children if none.
};

/// Suspends `root` and starts the children, in their order. Requires one at least.
void fork_here(LocalFork& fork, TaskHeader* root) noexcept;

/// SettleFn of when_all: the first that throws decides, and the others are stopped.
void settle_at_failure(LocalFork& fork, TaskHeader* child, Shard& here) noexcept;
/// SettleFn of when_any: the first that ends decides, and the others are stopped.
void settle_at_end(LocalFork& fork, TaskHeader* child, Shard& here) noexcept;

class LocalForkAwaiter {
public:
    LocalForkAwaiter(ForkedChildren children, LocalFork::SettleFn settle) noexcept : fork_(children, settle) {}
    LocalForkAwaiter(const LocalForkAwaiter&) = delete;
    LocalForkAwaiter& operator=(const LocalForkAwaiter&) = delete;

    [[nodiscard]] bool await_ready() const noexcept { return fork_.children.count == 0; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE void await_suspend(std::coroutine_handle<P> frame) noexcept {
        fork_here(fork_, header_of(frame)->root());
    }
    static void await_resume() noexcept {}

    [[nodiscard]] std::size_t decided_by() const noexcept { return fork_.decided_by; }

private:
    LocalFork fork_;
};

/// One child and a deadline, after which the child is stopped. If the child is ready to go on when the deadline comes,
/// or one of its children may be, this stands in the shard's queue behind it (hence a WorkItem), and the fork lasts
/// until it is there no more.
struct TimedFork : LocalFork, Alarm, WorkItem {
    TimedFork(ForkedChildren child, std::chrono::nanoseconds span) noexcept;

    const std::chrono::nanoseconds limit;
    bool fired = false;  // The deadline came first: before the child's end, and before any other stop of it.
};

/// A TimedFork in a queue.
[[nodiscard]] bool is_deadline(const WorkItem* item) noexcept;

/// fork_here(), and the deadline.
void fork_with_deadline(TimedFork& fork, TaskHeader* root) noexcept;

class TimedForkAwaiter {
public:
    TimedForkAwaiter(ForkedChildren child, std::chrono::nanoseconds limit) noexcept : fork_(child, limit) {}
    TimedForkAwaiter(const TimedForkAwaiter&) = delete;
    TimedForkAwaiter& operator=(const TimedForkAwaiter&) = delete;

    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE void await_suspend(std::coroutine_handle<P> frame) noexcept {
        fork_with_deadline(fork_, header_of(frame)->root());
    }
    static void await_resume() noexcept {}

    [[nodiscard]] bool fired() const noexcept { return fork_.fired; }

private:
    TimedFork fork_;
};

/// Whether it is a std::system_error with std::errc::operation_canceled.
[[nodiscard]] bool is_operation_canceled(const std::exception_ptr& error) noexcept;

/// Starts a child in the parent's place: stealable if the parent is, else on its shard; it runs as soon as the step
/// ends. `wait.ended` is set. The parent has got ready to suspend.
void fork_in_place(ForkWait& wait, TaskHeader* child, TaskHeader* root) noexcept;

/// One child in the parent's place, which no stop of the parent reaches.
class ShieldAwaiter {
public:
    explicit ShieldAwaiter(TaskHeader* child) noexcept;
    ShieldAwaiter(const ShieldAwaiter&) = delete;
    ShieldAwaiter& operator=(const ShieldAwaiter&) = delete;

    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE void await_suspend(std::coroutine_handle<P> frame) noexcept {
        suspend(header_of(frame)->root());
    }
    static void await_resume() noexcept {}

private:
    void suspend(TaskHeader* root) noexcept;

    TaskHeader* child_;
    ForkWait wait_;
};

}  // namespace spargio::detail
