// SPDX-License-Identifier: MIT
// One step of a spawned task, and its end.
#include <coroutine>
#include <utility>

#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/join.hpp"

namespace spargio::detail {

namespace {

// Joiners that run in place, one after the other, before the queue has its turn again.
constexpr int kChain = 32;

/// Resumes the root until it suspends or ends. Returns it if it has ended.
TaskHeader* resume(TaskHeader* root, Shard& shard) noexcept {
    root->owner.executor = &shard;
    root->awaits_completer = false;
    if (!root->listed) {
        shard.begin(root);
    }
    auto frame = std::coroutine_handle<>::from_address(root->link.leaf);
    // From here on the root may be anywhere, or gone; only `shard.ended` says that it has ended in this step.
    frame.resume();
    while (shard.trampoline != nullptr) {
        frame = std::coroutine_handle<>::from_address(std::exchange(shard.trampoline, nullptr));
        frame.resume();
    }
    shard.inline_depth = 0;
    return std::exchange(shard.ended, nullptr);
}

/// A step, and the end of the root if it was the last. Returns a joiner that is to go on here and now, or null.
TaskHeader* step(TaskHeader* root, Shard& shard) noexcept {
    shard.events_in_step = 0;
    TaskHeader* ended = resume(root, shard);
    if (ended != nullptr) {
        shard.count_end(ended);
        // Locals, parameters and the callable end here, before anybody can see the result.
        destroy_frame(ended);
    }
    // Before the end is: who has joined a sender that never moved can rely on what it sent.
    if (shard.unpublished != nullptr) {
        shard.publish_messages();
    }
    if (ended == nullptr) {
        return nullptr;
    }
    TaskHeader* joiner = complete_task_for(ended, shard.runtime(), &shard);
    if (shard.unpublished != nullptr) {
        shard.publish_messages();  // The hook for exceptions, or the destructor of a result, has sent something.
    }
    return joiner;
}

}  // namespace

void run_task_step(TaskHeader* task, Shard& shard) noexcept {
    for (int chain = 0;; ++chain) {
        task = step(task, shard);
        if (task == nullptr) {
            return;
        }
        if (chain == kChain || shard.stopping.load(std::memory_order_relaxed)) {
            schedule_here(task, shard);  // In a shutdown it will not be resumed any more.
            return;
        }
    }
}

void Shard::begin(const TaskHeader* task) noexcept {
    Counter& begun = task->kind == TaskKind::Pinned ? counters.begun_pinned : counters.stealable_executed;
    begun.add();
}

void list_before_suspending(TaskHeader* root) noexcept {
    if (!root->listed) {
        static_cast<Shard&>(*root->owner.executor).list(root);
    }
}

void Shard::list(TaskHeader* task) noexcept {
    task->listed = true;
    if (task->kind == TaskKind::Pinned) {
        pinned_live.insert(task);
        return;
    }
    task->home = id;
    const std::lock_guard lock(stealable_live_mutex);
    stealable_live.insert(task);
}

void Shard::count_end(TaskHeader* task) noexcept {
    counters.ended.add();
    if (!task->listed) {
        return;
    }
    if (task->kind == TaskKind::Pinned) {
        pinned_live.remove(task);
        return;
    }
    Shard& keeper = *core->shards[task->home];
    const std::lock_guard lock(keeper.stealable_live_mutex);
    keeper.stealable_live.remove(task);
}

TaskHeader* complete_task_for(TaskHeader* task, RuntimeCore& core, Shard* here) noexcept {
    if (task->outcome == Outcome::Exception) {
        // Whoever lets go of it last has to reach the hook, perhaps after the runtime.
        core_acquire(&core);
        task->live.core = &core;
    }
    if (task->join.load(std::memory_order_acquire) == TaskHeader::join_detached) {
        end_unjoined(task);  // The handle is gone for good: nobody else will look at the word.
        return nullptr;
    }
    // Release: the result, and all that the frame's destruction did. Acquire: the joiner's suspended state.
    const auto waiter = task->join.exchange(TaskHeader::join_done, std::memory_order_acq_rel);
    if ((waiter & TaskHeader::join_pointer) != 0) {
        auto* wait = reinterpret_cast<JoinWait*>(waiter);
        TaskHeader* joiner = wait->root;
        if (!joiner->stop.disarm(wait)) {
            return nullptr;
        }
        if (here != nullptr && (joiner->owner.executor == here ||
                                (joiner->kind == TaskKind::Stealable && joiner->owner.executor->core == &core))) {
            return joiner;
        }
        schedule(joiner);
    } else if (waiter == TaskHeader::join_thread_waits) {
        wake_joining_thread(task);
    } else if (waiter == TaskHeader::join_detached) {
        end_unjoined(task);
    }
    return nullptr;
}

void complete_task(TaskHeader* task, RuntimeCore& core) noexcept {
    static_cast<void>(complete_task_for(task, core, nullptr));
}

}  // namespace spargio::detail
