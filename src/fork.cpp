// SPDX-License-Identifier: MIT
// Forks: starting children, their ends, their stops.
#include "spargio/detail/fork.hpp"

#include <exception>
#include <utility>

#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/join.hpp"
#include "spargio/detail/result_slot.hpp"

namespace spargio::detail {

namespace {

void stop_children(const ForkWait& wait) noexcept {
    for (std::size_t i = 0; i < wait.children.count; ++i) {
        request_task_stop(wait.children[i]);
    }
}

/// The children from the second to that number.
[[gnu::noinline, gnu::cold]] void put_into_overflow(Shard& here, ForkWait& wait, std::size_t last) noexcept {
    for (; last != 0; --last) {
        TaskHeader* child = wait.children[last];
        become_child(child, wait);
        here.core->overflow.put(child);
    }
}

}  // namespace

void suspend_for_children(TaskHeader* root) noexcept {
    if (root->kind == TaskKind::Pinned) {
        list_before_suspending(root);
    }
    root->awaits_completer = true;
}

void fork_children(ForkWait& wait, TaskHeader* root) noexcept {
    auto& here = static_cast<Shard&>(*root->owner.executor);
    TaskHeader* const* const children = wait.children.tasks;
    const auto count = wait.children.count;
    wait.root = root;
    wait.home.store(&here, std::memory_order_relaxed);
    wait.outer = std::exchange(here.forks, &wait);
    suspend_for_children(root);
    here.counters.spawned_stealable.add(count);
    // Nobody else sees the first one, and it runs here as soon as this step has ended, which is now. Until it has ended
    // the parent cannot go on.
    here.next = children[0];
    become_child(children[0], wait);
    const auto last = count - 1;
    if (last == 0) {
        return;
    }
    // The newest, which this shard takes first, is the second child; a thief takes the last.
    const auto pushed = here.deque.push_many(last, [children, last, &wait](std::size_t i) {
        TaskHeader* child = children[last - i];
        become_child(child, wait);
        return child;
    });
    if (pushed != last) [[unlikely]] {
        put_into_overflow(here, wait, last - pushed);
    }
    wake_one_for_stealing(*here.core, &here);
}

TaskHeader* settle_forks_slow(Executor& here, const ForkWait* keep) noexcept {
    TaskHeader* ready = nullptr;
    while (here.forks != nullptr && here.forks != keep) {
        ForkWait* wait = std::exchange(here.forks, here.forks->outer);
        wait->home.store(nullptr, std::memory_order_relaxed);
        const auto counted = wait->ended_here + 1;
        if (wait->unfinished.fetch_sub(counted, std::memory_order_acq_rel) != counted) {
            continue;
        }
        TaskHeader* parent = wait->root;
        if (wait->armed.load(std::memory_order_relaxed) && !parent->stop.disarm(wait)) {
            continue;
        }
        if (ready != nullptr) {
            schedule(ready);
        }
        ready = parent;
    }
    return ready;
}

void arm_forks_above(TaskHeader* task) noexcept {
    auto& here = static_cast<Shard&>(*task->owner.executor);
    while (task->forked) {
        ForkWait* wait = fork_of(task);
        // Whoever was first is on its way to the top.
        if (wait->shielded || wait->armed.load(std::memory_order_relaxed) ||
            wait->armed.exchange(true, std::memory_order_acq_rel)) {
            return;
        }
        TaskHeader* parent = wait->root;
        // A canceller may hold it when its children have ended. Then neither they nor a queue lead a shutdown to it.
        if (!parent->listed) {
            here.list(parent);
        }
        if (!parent->stop.arm(wait)) {
            stop_children(*wait);  // A stop came before. They stay: this one has not ended.
            return;
        }
        task = parent;
    }
}

/// We hold the wait, so the parent does not go on, and the children's blocks stay, until finish_cancel(). A tree may be
/// deeper than a stack: children that are parents wait in a list for their turn.
void cancel_fork(Wait* base, TaskHeader*) noexcept {
    auto* list = static_cast<ForkWait*>(base);
    list->next_held = nullptr;
    while (list != nullptr) {
        ForkWait* held = std::exchange(list, list->next_held);
        for (std::size_t i = 0; i < held->children.count; ++i) {
            TaskHeader* child = held->children[i];
            Wait* wait = child->stop.request();
            if (wait == nullptr) {
                continue;
            }
            if (wait->cancel == &cancel_fork) {
                auto* deeper = static_cast<ForkWait*>(wait);
                deeper->next_held = std::exchange(list, deeper);
            } else {
                wait->cancel(wait, child);
            }
        }
        TaskHeader* parent = held->root;
        if (parent->stop.finish_cancel()) {
            schedule(parent);
        }
    }
}

void rethrow_first(const ForkedChildren& children) {
    for (std::size_t i = 0; i < children.count; ++i) {
        TaskHeader* child = children[i];
        if (child->outcome == Outcome::Exception) {
            std::rethrow_exception(take_exception(child));
        }
    }
    std::terminate();
}

}  // namespace spargio::detail
