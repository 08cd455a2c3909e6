// SPDX-License-Identifier: MIT
// What a fork does that does not depend on the children's types: starting them, counting their ends, stopping them.
#pragma once

#include <cstddef>

#include "spargio/detail/atomic.hpp"
#include "spargio/detail/task_header.hpp"

namespace spargio::detail {

/// The children of one fork, where their awaiter keeps them.
struct ForkedChildren {
    TaskHeader* const* tasks;
    std::size_t count;

    [[nodiscard]] TaskHeader* operator[](std::size_t i) const noexcept { return tasks[i]; }
};

/// Wait::CancelFn of a fork: asks each child to stop; the parent goes on when all have ended.
void cancel_fork(Wait* base, TaskHeader* root) noexcept;

/// A task's wait for the children it has forked; lives in the awaiter, with the children. A child's block belongs to
/// the awaiter, its frame goes when it ends; `TaskHeader::join` of a forked child is the address of this.
///
/// Who ends last, on whatever shard, has the parent go on. Most children end on the shard that forked them, one after
/// the other, so that shard counts them apart, without atomics, for as long as it runs nothing but children of its
/// newest such fork: they lie uppermost in its deque. Before it runs anything else, and before it sleeps, it adds its
/// count to the shared one (settle_forks()): whatever is left was taken by thieves, or is suspended. Until then the
/// shared count is one too high, so nobody else can find that all have ended. (Biased counting: Choi, Shull, Torrellas,
/// PACT 2018.)
///
/// Nothing here may be touched after the end of a child was counted, except by the last, and by a canceller, who holds
/// the wait: StopLink lets the parent go on only after that.
///
/// A stop of the parent must reach the children only when one of them, or of theirs, waits for something else, or has
/// asked for its token. So it is such a child that arms the wait, and those above it (arm_forks_above()): trees that
/// only compute pay nothing.
///
/// Other waits for forked children (local_fork.hpp, group.hpp) are known by `ended`, and count in their own way. Of
/// this one they use what a child needs to find its parent, and the arming, unless they are shielded.
struct ForkWait : Wait {
    /// Called instead of the count, when a child's frame is gone; `here` and the result are those of end_forked().
    using EndedFn = TaskHeader* (*)(TaskHeader* child, Executor* here) noexcept;
    /// Whether a stop of the parent may reach the children through this wait.
    enum class Stop : bool { Reaches, Shielded };

    explicit ForkWait(ForkedChildren forked) noexcept
        : Wait(&cancel_fork), children(forked), unfinished(forked.count + 1) {}
    ForkWait(ForkedChildren forked, EndedFn fn, Stop stop) noexcept
        : Wait(&cancel_fork), children(forked), ended(fn), shielded(stop == Stop::Shielded), unfinished(0) {}

    TaskHeader* root = nullptr;  // The parent. Set, like all but the counts, before a child is queued.
    ForkedChildren children;
    const EndedFn ended = nullptr;  // Null: fork_join().
    const bool shielded = false;

    // The shard that forked, until it has settled; null where ends are counted in another way. Writer: its thread.
    // Others only compare it with themselves, so it orders nothing.
    atomic<Executor*> home{nullptr};
    // The thread of that shard.
    ForkWait* outer = nullptr;   // The next of its forks.
    std::size_t ended_here = 0;  // Until it is settled.

    // Writers: whoever ends a child, and settle_forks(). Each decrement releases the children's results, the last one
    // acquires them all.
    atomic<std::size_t> unfinished;
    // A child has ended with an exception. Writers: such children; ordered by their being counted.
    atomic<bool> failed{false};
    // A stop of the parent reaches the children. Writer: the first child that needs it; ordered by its being counted.
    atomic<bool> armed{false};
    ForkWait* next_held;  // The canceller's.
};

/// Makes a task that has not started a child of `wait`.
inline void become_child(TaskHeader* task, ForkWait& wait) noexcept {
    task->kind = TaskKind::Stealable;
    task->forked = true;
    task->join.store(reinterpret_cast<std::uintptr_t>(&wait), std::memory_order_relaxed);
}

[[nodiscard]] inline ForkWait* fork_of(TaskHeader* child) noexcept {
    return reinterpret_cast<ForkWait*>(child->join.load(std::memory_order_relaxed));
}

/// Suspends `root`, makes the tasks its children and starts them: the first runs on this shard as soon as the step
/// ends, the others are stealable. They are never refused. Afterwards nothing of the parent may be touched.
void fork_children(ForkWait& wait, TaskHeader* root) noexcept;

/// All children have ended: the parent, or null if a canceller is at work, who will schedule it.
[[nodiscard]] inline TaskHeader* parent_to_go_on(ForkWait& wait) noexcept {
    TaskHeader* parent = wait.root;
    return !wait.armed.load(std::memory_order_relaxed) || parent->stop.disarm(&wait) ? parent : nullptr;
}

/// The end of a forked child whose frame is gone, on the thread of `here`; null is any other thread, when all forks are
/// settled. If it was the last, returns the parent, which the caller schedules.
[[nodiscard]] inline TaskHeader* end_forked(TaskHeader* child, Executor* here) noexcept {
    ForkWait* wait = fork_of(child);
    if (wait->home.load(std::memory_order_relaxed) == here && here != nullptr) [[likely]] {
        if (child->outcome == Outcome::Exception) [[unlikely]] {
            wait->failed.store(true, std::memory_order_relaxed);
        }
        if (++wait->ended_here != wait->children.count) {
            return nullptr;
        }
        here->forks = wait->outer;  // It was the newest: this step was one of its children's.
        return parent_to_go_on(*wait);
    }
    if (wait->ended != nullptr) {
        return wait->ended(child, here);
    }
    if (child->outcome == Outcome::Exception) [[unlikely]] {
        wait->failed.store(true, std::memory_order_relaxed);
    }
    if (wait->unfinished.load(std::memory_order_acquire) != 1 &&
        wait->unfinished.fetch_sub(1, std::memory_order_acq_rel) != 1) {
        // (When it is one nobody else counts any more: the last needs no read-modify-write.)
        return nullptr;
    }
    return parent_to_go_on(*wait);
}

/// Before `here` runs `next`, or nothing: gives up counting apart those forks that `next` is no child of. Its thread.
/// If all children of one have ended meanwhile, returns its parent, which the caller schedules.
[[nodiscard]] TaskHeader* settle_forks_slow(Executor& here, const ForkWait* keep) noexcept;
[[nodiscard]] inline TaskHeader* settle_forks(Executor& here, TaskHeader* next) noexcept {
    // (If it is no child at all its join word is no ForkWait's address.)
    const ForkWait* keep = next != nullptr ? fork_of(next) : nullptr;
    return here.forks == nullptr || here.forks == keep ? nullptr : settle_forks_slow(here, keep);
}

/// From here on a stop of a task above reaches this one, which runs; if there was one already, it is stopped at once.
/// Of a root that was not forked, or below a shield: does nothing.
void arm_forks_above(TaskHeader* task) noexcept;

/// Whether a stop has reached the task, which runs, or one above it that waits for it: what is begun after a stop is
/// refused, also in a child that has not waited yet.
[[nodiscard]] inline bool stop_has_come(TaskHeader* task) noexcept {
    if (task->forked) {
        arm_forks_above(task);
    }
    if (task->stop.stop_requested()) [[unlikely]] {
        task->stop.refuse();
        return true;
    }
    return false;
}

/// Rethrows the first exception in the order of the children. One of them has failed, and all have ended.
[[noreturn]] void rethrow_first(const ForkedChildren& children);

}  // namespace spargio::detail
