// SPDX-License-Identifier: MIT
// The end of a runtime: src/DESIGN.md, "Shutdown", says who waits for whom and why.
#include <chrono>
#include <thread>
#include <utility>

#include <unistd.h>

#include "operation.hpp"
#include "runtime_core.hpp"
#include "scheduler.hpp"
#include "shard.hpp"
#include "shard_wait.hpp"
#include "spargio/detail/fork.hpp"
#include "spargio/detail/group.hpp"
#include "spargio/detail/join.hpp"
#include "spargio/detail/local_fork.hpp"
#include "spargio/detail/sleep_wait.hpp"

namespace spargio::detail {

namespace {

/// What a root waits for, if a join, a fork, a group, a ticket, the boundary or an operation of another runtime, and
/// nobody has come to end it; null otherwise.
Wait* armed_wait(TaskHeader* root) noexcept {
    return root->awaits_completer ? root->stop.armed() : nullptr;
}

JoinWait* as_join(Wait* wait) noexcept {
    return wait != nullptr && wait->cancel == &cancel_join ? static_cast<JoinWait*>(wait) : nullptr;
}

/// A join that this shutdown will end, since it ends the joined task. Tickets of this runtime have been decided.
bool joins_own_runtime(const TaskHeader* root, Wait* wait) noexcept {
    const JoinWait* join = as_join(wait);
    return join != nullptr && join->runtime == core_id(root->owner.executor->core);
}

/// The same, or a fork, or a group, which is of its waiter's runtime.
bool ends_with_runtime(const TaskHeader* root, Wait* wait) noexcept {
    return is_for_children(*wait) || joins_own_runtime(root, wait);
}

/// Takes a root back from a child, a target shard or a channel that need not end. False: the completer or a canceller
/// has reached for it, and its wake is on the way.
bool withdraw(TaskHeader* root, Wait* wait) noexcept {
    if (!root->stop.hold(wait)) {
        return false;
    }
    bool taken_back = false;
    if (JoinWait* join = as_join(wait)) {
        auto mine = reinterpret_cast<std::uintptr_t>(join);
        taken_back = join->child->join.compare_exchange_strong(mine, TaskHeader::join_running,
                                                               std::memory_order_acq_rel, std::memory_order_acquire);
    } else if (wait->cancel == &cancel_operation) {
        cancel_operation(wait, root);  // On a ring of another runtime; its completion is awaited.
        return false;
    } else {
        auto* revocable = static_cast<RevocableWait*>(wait);
        taken_back = revocable->revoke(*revocable);
    }
    const bool handed_over = root->stop.finish_cancel();
    return taken_back || handed_over;
}

/// The task that waits for this one. It is in the link back of the doomed list, which is only taken from at its front
/// any more. Not in the queue link: a foreign thread that ends a task's wait may be queueing it in this moment.
TaskHeader* waiter_of(const TaskHeader* task) noexcept {
    return static_cast<TaskHeader*>(task->back.load(std::memory_order_relaxed));
}

void set_waiter(TaskHeader* task, TaskHeader* waiter) noexcept {
    task->back.store(waiter, std::memory_order_relaxed);
}

/// Who waits for a forked child. Only a group may have nobody.
TaskHeader* parent_of(TaskHeader* child) noexcept {
    const ForkWait* wait = fork_of(child);
    return wait->ended == &end_group_child ? group_waiter(*wait) : wait->root;
}

/// Tells the task it waits for, if this shutdown ends that one, who waits; and who waits for it, if it was forked.
void note_waiters(TaskHeader* task) noexcept {
    if (task->forked) {
        set_waiter(task, parent_of(task));
    }
    Wait* wait = armed_wait(task);
    if (joins_own_runtime(task, wait)) {
        TaskHeader* child = as_join(wait)->child;
        // A blocking job joins nobody, and its thread may be running: not ours to mark.
        if (child->kind != TaskKind::Blocking) {
            set_waiter(child, task);
        }
    }
}

/// Tasks that wait for each other may form a ring, in which everybody waits for ever: open it at one place. A task is
/// waited for by one other at most, but a parent waits for many: so walk from those that are waited for to those that
/// wait. A ring has a join in it, since a forked child is younger than its parent.
void open_ring(TaskHeader* start) noexcept {
    TaskHeader* end = start;
    std::size_t steps = 0;
    for (; end != nullptr && !end->visited; ++steps) {
        end->visited = true;
        end = waiter_of(end);
    }
    // It met its own way again, or that of an earlier walk, whose ring, if there is one, is open already.
    TaskHeader* task = start;
    for (; task != end && steps != 0; --steps) {
        task = waiter_of(task);
    }
    if (end == nullptr || steps == 0) {
        return;
    }
    // Once round: a stop may have opened it since it was noted.
    do {
        TaskHeader* joiner = waiter_of(task);
        Wait* wait = armed_wait(joiner);
        if (as_join(wait) != nullptr) {
            if (withdraw(joiner, wait)) {
                joiner->awaits_completer = false;
            }
            return;
        }
        task = joiner;
    } while (task != end);
}

/// A task that waits for forked children is in no list: each of them leads to it, and it has one at least that has not
/// ended. The same for its own parent.
void find_parents(TaskHeader* child) noexcept {
    while (child->forked) {
        TaskHeader* parent = parent_of(child);
        if (parent == nullptr || parent->listed) {
            return;
        }
        parent->listed = true;
        static_cast<Shard&>(*parent->owner.executor).doomed.insert(parent);
        child = parent;
    }
}

}  // namespace

/// Alone, with every shard waiting: gives each unfinished task to the shard that has it.
void RuntimeCore::collect_tasks() noexcept {
    blocking.drop();  // If nobody has yet: their joiners are woken like any other.
    const auto queue_up = [](Shard& shard, WorkItem* item) noexcept {
        auto* task = static_cast<TaskHeader*>(item);
        task->awaits_completer = false;
        if (!task->listed) {
            task->listed = true;
            task->owner.executor = &shard;
            shard.doomed.insert(task);
        }
    };
    for (auto& shard : shards) {
        shard->inbox.take_all(shard->ready);
        while (WorkItem* item = shard->ready.pop_front()) {
            queue_up(*shard, item);
        }
        while (WorkItem* item = shard->stealable.pop()) {
            queue_up(*shard, item);
        }
        while (WorkItem* item = shard->deque.steal()) {  // Not the owner's end: that is another thread's.
            queue_up(*shard, item);
        }
    }
    while (WorkItem* item = overflow.pop()) {
        queue_up(*shards.front(), item);
    }
    for (auto& shard : shards) {
        for (auto* list : {&shard->pinned_live, &shard->stealable_live}) {
            while (TaskHeader* task = list->front()) {
                list->remove(task);
                static_cast<Shard&>(*task->owner.executor).doomed.insert(task);
            }
        }
    }
    for (auto& shard : shards) {
        // Parents come in at the front, perhaps of a list that has been walked: they have been followed to their end.
        for (TaskHeader* task = shard->doomed.front(); task != nullptr; task = task->live.next) {
            find_parents(task);
        }
    }
    const auto for_each_task = [this](auto&& visit) noexcept {
        for (auto& shard : shards) {
            for (TaskHeader* task = shard->doomed.front(); task != nullptr; task = task->live.next) {
                visit(task);
            }
        }
    };
    for_each_task([](TaskHeader* task) noexcept { set_waiter(task, nullptr); });
    for_each_task(note_waiters);
    for_each_task(open_ring);
}

void Shard::end() noexcept {
    auto& runtime = *core;
    const auto parties = runtime.shards.size();
    if (TaskHeader* parent = settle_forks(*this, nullptr)) {
        schedule(parent);
    }
    driver->settle();  // Bells of the last step: a failed one is rung again while this thread can still do it.
    runtime.shutdown_sync.arrive_and_wait(parties);  // From here on no shard of this runtime runs a task.
    end_waits();
    runtime.shutdown_sync.arrive_and_wait(parties, [&runtime] { runtime.collect_tasks(); });
    end_tasks();
    while (!driver->quiet()) {
        driver->wait(clock::now() + std::chrono::milliseconds(10));
        driver->poll();
    }
    runtime.shutdown_sync.arrive_and_wait(parties);  // Nobody rings any more.
}

/// Sleeps until the inbox, or the stealable queue, has something; both may get wakes that were under way.
void Shard::wait_for_arrivals() noexcept {
    driver->poll();
    park_state.prepare();
    if (inbox.empty() && stealable.size() == 0 && !driver->has_completions()) {
        driver->wait(clock::now() + std::chrono::milliseconds(500));
    }
    if (park_state.resume() == ParkState::Woken::Notified) {
        driver->expect_bell();
    }
    driver->poll();
}

/// Step 3: what the kernel or the clock would end is cancelled here, and its end awaited.
void Shard::end_waits() noexcept {
    if (stolen_ != nullptr) {
        ready.push_back(std::exchange(stolen_, nullptr));
    }
    while (TimerNode* timer = timers.pop()) {
        if (!timer->alarm) {
            static_cast<void>(end_wait(static_cast<SleepWait*>(timer)));
        }
    }
    while (EventWait* wait = mailbox.first_waiter()) {
        mailbox.remove_waiter(*wait);
        static_cast<void>(end_wait(wait));
    }
    mailbox.close();
    driver->end_operations();
    WorkList tasks;
    for (;;) {
        inbox.take_all(ready);
        while (WorkItem* item = ready.pop_front()) {
            if (is_wait_message(item) || is_operation_message(item) || is_deadline(item)) {
                item->run(item, this);
            } else {
                tasks.push_back(item);
            }
        }
        if (waits_handed_over == 0) {
            break;
        }
        wait_for_arrivals();
    }
    ready = tasks;
}

/// Step 4: destroys this shard's tasks, each after what it awaits.
void Shard::end_tasks() noexcept {
    std::size_t expected = 0;
    WorkList now;
    while (TaskHeader* task = doomed.pop_front()) {
        if (task->awaits_completer) {
            Wait* wait = armed_wait(task);
            // A child of this runtime ends in this shutdown, a child of another one may live on.
            if (wait == nullptr || ends_with_runtime(task, wait) || !withdraw(task, wait)) {
                ++expected;  // Its wake comes: from the child's end, or from whoever has reached for it.
                continue;
            }
        }
        now.push_back(task);
    }
    for (;;) {
        while (WorkItem* item = now.pop_front()) {
            auto* task = static_cast<TaskHeader*>(item);
            destroy_chain(task);
            if (!task->begun) {
                counters.begun_pinned.add(task->kind == TaskKind::Pinned ? 1 : 0);
            }
            task->outcome = Outcome::Canceled;
            counters.ended.add();
            complete_task(task, *core);
        }
        if (expected == 0 && ready.empty()) {
            return;
        }
        inbox.take_all(ready);
        while (WorkItem* item = stealable.pop()) {
            ready.push_back(item);
        }
        if (ready.empty()) {
            wait_for_arrivals();
            continue;
        }
        while (WorkItem* item = ready.pop_front()) {
            --expected;
            now.push_back(item);
        }
    }
}

void RuntimeCore::shutdown() noexcept {
    if (getpid() != process_) {
        return;  // A child after fork(): the threads are in the parent.
    }
    const bool on_own_thread = shard_in(*this) != nullptr || blocking.on_pool_thread();
    if (!shutdown_sync.begin()) {
        if (!on_own_thread) {
            shutdown_sync.wait_finished();
        }
        return;
    }
    blocking.close();  // First: who sees a spawn refused knows that no queued job begins any more.
    phase_.store(Phase::Closing, std::memory_order_seq_cst);
    if (on_own_thread) {
        const CoreRef keep(this);
        try {
            std::thread([keep] { keep->finish_shutdown(); }).detach();
        } catch (...) {
            // No thread or no memory to be had: the first shard's does it when it has left its loop.
            finish_on_first_shard.store(true, std::memory_order_release);
        }
    }
    for (auto& shard : shards) {
        shard->inbox.close();
        shard->mailbox.close_foreign();
        shard->stealable.close();
    }
    overflow.close();
    Shard* here = shard_in(*this);
    for (auto& shard : shards) {
        shard->stopping.store(true, std::memory_order_seq_cst);
        wake_shard(*shard, here);
    }
    if (!on_own_thread) {
        finish_shutdown();
    }
}

void RuntimeCore::finish_shutdown() noexcept {
    blocking.drop();  // Whoever waits for one of these must not wait for the shards' steps, one of which he may be in.
    for (auto& thread : threads_) {
        if (thread.is_current()) {
            thread.detach();
        } else {
            thread.join();
        }
    }
    blocking.join();
    // One after another: threads of one process that unmap at the same time get into each other's way. All before the
    // first close, after which the kernel takes that ring apart in the background: unmaps beside that took longer.
    for (auto& shard : shards) {
        shard->driver->unmap();
    }
    for (auto& shard : shards) {
        shard->driver->close();
    }
    phase_.store(Phase::Closed, std::memory_order_release);
    shutdown_sync.finish();
}

}  // namespace spargio::detail
