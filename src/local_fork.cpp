// SPDX-License-Identifier: MIT
// Forks on one shard: starting children, their ends, the deadline, the shield.
#include "spargio/detail/local_fork.hpp"

#include <system_error>

#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/join.hpp"

namespace spargio::detail {

namespace {

/// ForkWait::EndedFn. On the children's shard; in a shutdown `here` is null, and nobody is stopped any more.
TaskHeader* end_local_child(TaskHeader* child, Executor* here) noexcept {
    auto* fork = static_cast<LocalFork*>(fork_of(child));
    if (here != nullptr) {
        fork->settle(*fork, child, static_cast<Shard&>(*here));
    }
    if (++fork->ended_here != fork->children.count) {
        return nullptr;
    }
    TaskHeader* parent = fork->root;
    return !fork->armed.load(std::memory_order_relaxed) || parent->stop.disarm(fork) ? parent : nullptr;
}

/// ForkWait::EndedFn of an only child under a shield: the wait was never armed.
TaskHeader* end_shielded_child(TaskHeader* child, Executor*) noexcept {
    return fork_of(child)->root;
}

void become_local_child(TaskHeader* child, ForkWait& wait, Shard& here) noexcept {
    become_child(child, wait);
    child->kind = TaskKind::Pinned;
    child->home = here.id;
    child->owner.executor = &here;
}

/// What `child` ended with counts; the others, which have not ended, are asked to stop.
void decide(LocalFork& fork, const TaskHeader* child) noexcept {
    const auto count = fork.children.count;
    for (std::size_t i = 0; i < count; ++i) {
        TaskHeader* each = fork.children[i];
        if (each == child) {
            fork.decided_by = i;
        } else if (each->framed) {
            request_task_stop(each);
        }
    }
}

/// SettleFn of a timeout.
void settle_deadline(LocalFork& fork, TaskHeader*, Shard& here) noexcept {
    auto& timed = static_cast<TimedFork&>(fork);
    if (timed.queued()) {
        here.timers.remove(&timed);
    }
}

/// Alarm::FireFn: the child has not ended. If a stop has reached it before, the deadline changes nothing.
bool fire_deadline(Alarm& alarm, Shard& here) noexcept {
    auto& timed = static_cast<TimedFork&>(alarm);
    TaskHeader* child = timed.children[0];
    if (child->stop.stop_requested()) {
        return true;
    }
    if (!child->begun) {
        return false;  // It gets its first step.
    }
    // No wait that a stop would end: what it waited for has come, and it stands in the queue. It gets that step: a
    // result that was there before the deadline wins. (Who yields stands there too, so not for ever.)
    if (child->stop.armed() == nullptr) {
        if (timed.turns == 0) {
            // It may still be in the inbox; timers are looked at twice where a shard found nothing in its queues.
            timed.turns = 4 + here.ready.size() / (Shard::items_per_turn / 2);
        }
        if (--timed.turns != 0) {
            return false;
        }
    }
    here.counters.timers_fired.add();
    timed.fired = true;
    request_task_stop(child);
    return true;
}

}  // namespace

LocalFork::LocalFork(ForkedChildren forked, SettleFn fn) noexcept
    : ForkWait(forked, &end_local_child, Stop::Reaches), settle(fn), decided_by(forked.count) {}

void fork_here(LocalFork& fork, TaskHeader* root) noexcept {
    auto& here = static_cast<Shard&>(*root->owner.executor);
    const auto count = fork.children.count;
    fork.root = root;
    suspend_for_children(root);
    here.counters.spawned_pinned.add(count);
    for (std::size_t i = 0; i < count; ++i) {
        TaskHeader* child = fork.children[i];
        become_local_child(child, fork, here);
        if (i == 0) {
            here.next = child;  // As soon as this step has ended, which is now.
        } else {
            here.ready.push_back(child);
        }
    }
}

void settle_at_failure(LocalFork& fork, TaskHeader* child, Shard&) noexcept {
    if (child->outcome == Outcome::Exception && fork.decided_by == fork.children.count) {
        decide(fork, child);
    }
}

void settle_at_end(LocalFork& fork, TaskHeader* child, Shard&) noexcept {
    if (fork.decided_by == fork.children.count) {
        decide(fork, child);
    }
}

TimedFork::TimedFork(ForkedChildren child, std::chrono::nanoseconds span) noexcept
    : LocalFork(child, &settle_deadline), Alarm(clock::time_point::max(), &fire_deadline), limit(span) {}

void fork_with_deadline(TimedFork& fork, TaskHeader* root) noexcept {
    const auto now = timer_now();
    if (fork.limit < clock::time_point::max() - now) {
        fork.due = now + fork.limit;
    }
    static_cast<Shard&>(*root->owner.executor).timers.insert(&fork, now);
    fork_here(fork, root);
}

bool is_operation_canceled(const std::exception_ptr& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const std::system_error& thrown) {
        return thrown.code() == std::errc::operation_canceled;
    } catch (...) {
        return false;
    }
}

void fork_in_place(ForkWait& wait, TaskHeader* child, TaskHeader* root) noexcept {
    auto& here = static_cast<Shard&>(*root->owner.executor);
    if (root->kind == TaskKind::Pinned) {
        become_local_child(child, wait, here);
        here.counters.spawned_pinned.add();
    } else {
        become_child(child, wait);
        child->owner.executor = &here;
        here.counters.spawned_stealable.add();
    }
    here.next = child;
}

ShieldAwaiter::ShieldAwaiter(TaskHeader* child) noexcept
    : child_(child), wait_(ForkedChildren{&child_, 1}, &end_shielded_child, ForkWait::Stop::Shielded) {}

void ShieldAwaiter::suspend(TaskHeader* root) noexcept {
    wait_.root = root;
    suspend_for_children(root);
    fork_in_place(wait_, child_, root);
}

}  // namespace spargio::detail
