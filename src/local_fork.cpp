// SPDX-License-Identifier: MIT
// Forks on one shard: starting children, their ends, the deadline, the shield.
#include "spargio/detail/local_fork.hpp"

#include <system_error>

#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/group.hpp"
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

void stop_at_deadline(TimedFork& timed, Shard& here) noexcept {
    // The stop may call back into code that takes its time, before what has counted on being next.
    if (here.stealable_waiting() != 0) {
        wake_one_for_stealing(*here.core, &here);
    }
    here.counters.timers_fired.add();
    timed.fired = true;
    request_task_stop(timed.children[0]);
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
    if (here.mailbox.first_waiter() != nullptr) {  // The child, perhaps, or one of its children.
        here.mailbox.look();
        here.serve_waiters();
    }
    const Wait* wait = child->stop.armed();
    if (wait != nullptr && !is_for_children(*wait)) {
        stop_at_deadline(timed, here);
        return true;
    }
    // It is in no wait of its own that a stop would end: as a rule what it waited for has come, and it, or one of its
    // children, stands in the queue, or in the inbox. It gets that step: a result that was there before the deadline
    // wins. So the deadline stands in the queue, too, behind it. (Not behind stealable ones: of a tree that only
    // computes there may be as many as it has nodes, and the deadline is to stop it.)
    here.take_inbox();
    here.ready.push_back(&timed);
    --timed.ended_here;  // One end more is awaited: that of the place in the queue.
    return true;
}

/// WorkItem::RunFn of a deadline that has let its child go first.
void run_deadline(WorkItem* item, Shard* here) noexcept {
    auto& timed = static_cast<TimedFork&>(*item);
    if (++timed.ended_here == timed.children.count) {
        if (TaskHeader* parent = parent_to_go_on(timed)) {
            schedule_here(parent, *here);
        }
    } else if (!timed.children[0]->stop.stop_requested() && !here->runtime().closing()) {
        stop_at_deadline(timed, *here);
    }
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
    : LocalFork(child, &settle_deadline),
      Alarm(clock::time_point::max(), &fire_deadline),
      WorkItem(&run_deadline),
      limit(span) {}

bool is_deadline(const WorkItem* item) noexcept {
    return item->run == &run_deadline;
}

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
