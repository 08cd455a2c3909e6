// SPDX-License-Identifier: MIT
// One step of a spawned task, and its end.
#include <coroutine>
#include <utility>

#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/fork.hpp"
#include "spargio/detail/join.hpp"

namespace spargio::detail {

namespace {

// Joiners and first children that run in place, one after the other, before the queue has its turn again.
constexpr int kChain = 32;

/// Resumes the root until it suspends or ends. Returns it if it has ended.
TaskHeader* resume(TaskHeader* root, Shard& shard) noexcept {
    shard.events_in_step = 0;
    if (root->owner.executor != &shard) {  // A pinned one's block may be watched by whoever joins it.
        root->owner.executor = &shard;
    }
    if (root->begun) {
        root->awaits_completer = false;
    } else {
        root->begun = true;
        shard.count_begin(root);
    }
    auto frame = std::coroutine_handle<>::from_address(root->link.leaf);
    // From here on the root may be anywhere, or gone; only `shard.ended` says that it has ended in this step.
    frame.resume();
    while (shard.trampoline != nullptr)
        [[unlikely]] {
            frame = std::coroutine_handle<>::from_address(std::exchange(shard.trampoline, nullptr));
            frame.resume();
        }
    shard.inline_depth = 0;
    return std::exchange(shard.ended, nullptr);
}

/// A joiner or parent that its completer has to see on its way: returns it if it may run here and now, else queues it.
TaskHeader* resume_or_schedule(TaskHeader* root, const RuntimeCore& core, const Shard* here) noexcept {
    const Executor* last = root->owner.executor;
    if (here != nullptr && (last == here || (root->kind == TaskKind::Stealable && last->core == &core))) {
        return root;
    }
    schedule(root);
    return nullptr;
}

/// The end of a root in its last step. Returns a joiner or parent that is to go on here and now, or null.
TaskHeader* end_root(TaskHeader* root, Shard& shard) noexcept {
    shard.counters.ended.add();
    if (root->listed) {
        shard.unlist(root);
    }
    // Locals, parameters and the callable end here, before anybody can see the result.
    std::coroutine_handle<>::from_address(root->frame()).destroy();
    // Before the end is: who has joined a sender that never moved can rely on what it sent.
    if (shard.unpublished != nullptr) [[unlikely]] {
        shard.publish_messages();
    }
    TaskHeader* next = nullptr;
    if (root->forked) {
        next = end_forked(root, &shard);
        if (next != nullptr && next->owner.executor != &shard) {
            next = resume_or_schedule(next, *shard.core, &shard);
        }
    } else {
        next = complete_task_for(root, shard.runtime(), &shard);
    }
    // A callback of a stop that this end has caused, the hook for exceptions, a result's destructor has sent something.
    if (shard.unpublished != nullptr) [[unlikely]] {
        shard.publish_messages();
    }
    return next;
}

/// Takes what a suspended root has left to go on at once: the first of its children, or null.
TaskHeader* after_suspension(Shard& shard) noexcept {
    if (shard.unpublished != nullptr) [[unlikely]] {
        shard.publish_messages();
    }
    return std::exchange(shard.next, nullptr);
}

/// Queues a root that was to go on at once: in a shutdown it will not be resumed any more, else it is next in its turn.
void run_later(TaskHeader* task, Shard& shard) noexcept {
    if (task->kind == TaskKind::Stealable && !shard.runtime().closing()) {
        shard.put_stealable(task);
        wake_one_for_stealing(shard.runtime(), &shard);
    } else {
        shard.ready.push_back(task);
    }
}

}  // namespace

void run_task_step(TaskHeader* task, Shard& shard) noexcept {
    for (int chain = 0;; ++chain) {
        if (TaskHeader* parent = settle_forks(shard, task)) [[unlikely]] {
            schedule(parent);
        }
        TaskHeader* ended = resume(task, shard);
        task = ended != nullptr ? end_root(ended, shard) : after_suspension(shard);
        if (task == nullptr) {
            task = shard.next_of_turn();
            if (task == nullptr) {
                return;
            }
            chain = -1;
        } else if (chain == kChain || shard.stopping.load(std::memory_order_relaxed)) [[unlikely]] {
            run_later(task, shard);
            return;
        }
    }
}

void list_before_suspending(TaskHeader* root) noexcept {
    if (!root->listed) {
        static_cast<Shard&>(*root->owner.executor).list(root);
        arm_forks_above(root);
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

void Shard::unlist(TaskHeader* task) noexcept {
    if (task->kind == TaskKind::Pinned) {
        pinned_live.remove(task);
        return;
    }
    Shard& keeper = *core->shards[task->home];
    const std::lock_guard lock(keeper.stealable_live_mutex);
    keeper.stealable_live.remove(task);
}

TaskHeader* complete_task_for(TaskHeader* task, RuntimeCore& core, Shard* here) noexcept {
    if (task->forked) {
        TaskHeader* parent = end_forked(task, here);
        return parent != nullptr ? resume_or_schedule(parent, core, here) : nullptr;
    }
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
        joiner->stop.note_value();
        return resume_or_schedule(joiner, core, here);
    }
    if (waiter == TaskHeader::join_thread_waits) {
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
