// SPDX-License-Identifier: MIT
// What a fork does that does not depend on the children's types: starting them, counting their ends, stopping them.
#pragma once

#include <cstddef>

#include "spargio/detail/atomic.hpp"
#include "spargio/detail/task_header.hpp"

namespace spargio::detail {

/// The children of one fork, in whatever their awaiter keeps them.
struct ForkedChildren {
    const void* tasks;
    TaskHeader* (*at)(const void* tasks, std::size_t i) noexcept;
    std::size_t count;

    [[nodiscard]] TaskHeader* operator[](std::size_t i) const noexcept { return at(tasks, i); }
};

/// Wait::CancelFn of a fork: asks each child to stop; the parent goes on when all have ended.
void cancel_fork(Wait* base, TaskHeader* root) noexcept;

/// A task's wait for the children it has forked; lives in the awaiter, with the children. A child's block belongs to
/// the awaiter, its frame goes when it ends; `TaskHeader::join` of a forked child is the address of this.
///
/// Who ends last, on whatever shard, has the parent go on. So nothing here may be touched after the decrement, except
/// by the last, and by a canceller, who holds the wait: StopLink lets the parent go on only after that.
///
/// A stop of the parent must reach the children only when one of them, or of theirs, waits for something else, or has
/// asked for its token. So it is such a child that arms the wait, and those above it (arm_forks_above()): trees that
/// only compute pay nothing.
struct ForkWait : Wait {
    explicit ForkWait(ForkedChildren forked) noexcept
        : Wait(&cancel_fork), children(forked), unfinished(forked.count) {}

    TaskHeader* root = nullptr;  // The parent. Set, like all the rest, before a child is queued.
    ForkedChildren children;
    // Writers: whoever ends a child. Each decrement releases the child's result, the last one acquires them all.
    atomic<std::size_t> unfinished;
    // A stop of the parent reaches the children. Writer: the first child that needs it; ordered by its decrement.
    atomic<bool> armed{false};
    ForkWait* next_held = nullptr;  // The canceller's.
    // A child has ended with an exception. Writers: such children; ordered by the decrements.
    atomic<bool> failed{false};
};

/// Makes a task that has not started a child of `wait`.
inline void become_child(TaskHeader* task, ForkWait& wait) noexcept {
    task->kind = TaskKind::Stealable;
    task->forked = true;
    task->join.store(reinterpret_cast<std::uintptr_t>(&wait), std::memory_order_relaxed);
    task->link.leaf = task->frame();
}

[[nodiscard]] inline ForkWait* fork_of(TaskHeader* child) noexcept {
    return reinterpret_cast<ForkWait*>(child->join.load(std::memory_order_relaxed));
}

/// Suspends `root` and starts the children: the first runs on this shard as soon as the step ends, the others are
/// stealable. They are never refused. Afterwards nothing of the parent may be touched.
void fork_children(ForkWait& wait, TaskHeader* root) noexcept;

/// The end of a forked child whose frame is gone. If it was the last, returns the parent, which the caller schedules.
[[nodiscard]] inline TaskHeader* end_forked(TaskHeader* child) noexcept {
    ForkWait* wait = fork_of(child);
    if (child->outcome == Outcome::Exception) [[unlikely]] {
        wait->failed.store(true, std::memory_order_relaxed);
    }
    // Nobody else counts any more when it is one: the last needs no read-modify-write.
    if (wait->unfinished.load(std::memory_order_acquire) != 1 &&
        wait->unfinished.fetch_sub(1, std::memory_order_acq_rel) != 1) {
        return nullptr;
    }
    TaskHeader* parent = wait->root;
    return !wait->armed.load(std::memory_order_relaxed) || parent->stop.disarm(wait) ? parent : nullptr;
}

/// From here on a stop of a task above reaches this one, which runs; if there was one already, it is stopped at once.
/// Of a root that was not forked: does nothing.
void arm_forks_above(TaskHeader* task) noexcept;

/// Rethrows the first exception in the order of the children. One of them has failed, and all have ended.
[[noreturn]] void rethrow_first(const ForkedChildren& children);

}  // namespace spargio::detail
