// SPDX-License-Identifier: MIT
// Where tasks go: placement at the spawn, wakes of suspended ones, steal wakes.
#include "scheduler.hpp"

#include <array>
#include <utility>

#include "process_fork.hpp"
#include "shard.hpp"
#include "spargio/detail/join.hpp"
#include "spargio/detail/submit.hpp"
#include "spargio/this_task.hpp"
#include "suspend_hook.hpp"
#include "thread_spin.hpp"

namespace spargio::detail {

namespace {

constinit thread_local Shard* this_shard = nullptr;

/// What this thread spawned last on shards of others. A thread that brings many tasks usually brings them to one shard,
/// or to several in turn: what it brought sixteen spawns ago then waits where this one does. (Inbox::take_all)
class Trail {
public:
    WorkItem* leave(WorkItem* item) noexcept { return std::exchange(items_[turn_++ % items_.size()], item); }

private:
    std::array<WorkItem*, 16> items_{};
    unsigned turn_ = 0;
};
constinit thread_local Trail trail;

/// The finaliser of splitmix64 (Steele, Lea, Flood, 2014). Part of the contract of sticky placement: it never changes.
constexpr std::uint64_t mix(std::uint64_t key) noexcept {
    key += 0x9E3779B97F4A7C15ULL;
    key = (key ^ (key >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    key = (key ^ (key >> 27U)) * 0x94D049BB133111EBULL;
    return key ^ (key >> 31U);
}

/// The number by itself: the target writes its neighbours in each step.
bool submit_pinned(Shard& target, std::size_t number, Shard* here, TaskHeader* task) noexcept {
    task->kind = TaskKind::Pinned;
    task->home = static_cast<ShardId>(number);
    task->owner.executor = &target;
    if (here == &target) {
        target.counters.spawned_pinned.add();
        target.ready.push_back(task);
        return true;
    }
    task->back.store(trail.leave(task), std::memory_order_relaxed);
    switch (target.inbox.try_push(task)) {
    case Push::Refused:
        return refuse_task(task, RuntimeError::Closed);
    case Push::WasEmpty:
        wake_shard(target, here);
        return true;
    case Push::Queued:
        return true;
    }
    return true;
}

/// Of shards with as much to do: the lower, the sooner it would take more. One that looks for work needs no bell, one
/// that sleeps has nothing else to do. A hint.
int distance_to_work(const Shard& shard) noexcept {
    if (shard.park_state.is_parked()) {
        return 1;
    }
    return shard.attention.load(std::memory_order_relaxed) != Attention::Work ? 0 : 2;
}

/// Of a few shards from the cursor on, the one with the fewest stealable tasks waiting.
Shard& least_loaded(RuntimeCore& core) noexcept {
    const auto count = core.shards.size();
    const auto start = core.steal_cursor.fetch_add(1, std::memory_order_relaxed);
    Shard* best = core.shards[start % count].get();
    auto best_size = best->stealable_waiting();
    for (std::size_t i = 1; i < count && i < 4; ++i) {
        Shard* other = core.shards[(start + i) % count].get();
        const auto size = other->stealable_waiting();
        if (size < best_size || (size == best_size && distance_to_work(*other) < distance_to_work(*best))) {
            best = other;
            best_size = size;
        }
    }
    return *best;
}

StealQueue::Offer offer_stealable(Shard& queue, TaskHeader* task) noexcept {
    const auto bound = queue.core->options.stealable_queue_capacity;
    const auto in_deque = queue.deque.size();
    return queue.stealable.offer(task, bound > in_deque ? bound - in_deque : 0);
}

/// After something was put into the queue of `owner`, which is another shard than `here`: wakes it, or, where it is
/// busy, another one.
void wake_for_stealable(Shard& owner, Shard* here) noexcept {
    if (owner.attention.load(std::memory_order_seq_cst) != Attention::Glance && !wake_shard(owner, here)) {
        wake_one_for_stealing(owner.runtime(), here);
    }
}

bool submit_stealable(RuntimeCore& core, Shard& first, Shard* here, TaskHeader* task, bool any_queue) noexcept {
    task->kind = TaskKind::Stealable;
    task->owner.executor = &first;
    if (here == &first) {
        here->counters.spawned_stealable.add();
        here->put_stealable(task);
        wake_one_for_stealing(core, here);
        return true;
    }
    Shard* queue = &first;
    auto offer = offer_stealable(*queue, task);
    if (any_queue) {
        for (std::size_t i = 0; offer == StealQueue::Offer::Full && i < core.shards.size(); ++i) {
            queue = core.shards[i].get();
            offer = offer_stealable(*queue, task);
        }
    }
    if (offer == StealQueue::Offer::Full && here != nullptr) {
        queue = here;
        offer = core.overflow.offer(task, ~std::size_t{0});
    }
    if (offer != StealQueue::Offer::Taken) {
        return refuse_task(task, offer == StealQueue::Offer::Closed ? RuntimeError::Closed : RuntimeError::Overloaded);
    }
    if (queue == here) {
        wake_one_for_stealing(core, here);
    } else {
        wake_for_stealable(*queue, here);
    }
    return true;
}

}  // namespace

SPARGIO_NOINLINE Shard* current_shard() noexcept {
    return this_shard;
}

SPARGIO_NOINLINE void set_current_shard(Shard* shard) noexcept {
    this_shard = shard;
}

SPARGIO_NOINLINE Shard* shard_in(const RuntimeCore& core) noexcept {
    return this_shard != nullptr && this_shard->core == &core ? this_shard : nullptr;
}

bool refuse_task(TaskHeader* task, RuntimeError reason) noexcept {
    destroy_frame(task);
    task->kind = TaskKind::Pinned;  // A root, whatever it was to become.
    task->outcome = Outcome::Refused;
    task->refusal = static_cast<std::uint8_t>(reason);
    task->join.store(TaskHeader::join_done, std::memory_order_release);
    return false;
}

bool submit(RuntimeCore& core, TaskPlacement placement, TaskHeader* task) noexcept {
    if (core.closing()) {
        return refuse_task(task, RuntimeError::Closed);
    }
    Shard* here = shard_in(core);
    if (here == nullptr) {
        refuse_after_fork(core.id);
    }
    const auto count = core.shards.size();
    switch (placement.kind()) {
    case TaskPlacement::Kind::Pinned:
        if (placement.shard() >= count) {
            return refuse_task(task, RuntimeError::InvalidShard);
        }
        return submit_pinned(*core.shards[placement.shard()], placement.shard(), here, task);
    case TaskPlacement::Kind::RoundRobin: {
        const auto turn = core.round_robin_cursor.fetch_add(1, std::memory_order_relaxed);
        return submit_pinned(*core.shards[turn % count], turn % count, here, task);
    }
    case TaskPlacement::Kind::Sticky: {
        const auto number = mix(placement.key()) % count;
        return submit_pinned(*core.shards[number], number, here, task);
    }
    case TaskPlacement::Kind::Stealable:
        return submit_stealable(core, here != nullptr ? *here : least_loaded(core), here, task, true);
    case TaskPlacement::Kind::StealablePreferred:
        if (placement.shard() >= count) {
            return refuse_task(task, RuntimeError::InvalidShard);
        }
        return submit_stealable(core, *core.shards[placement.shard()], here, task, false);
    }
    return true;
}

void submit_local(Shard& shard, TaskHeader* task) noexcept {
    if (shard.runtime().closing()) {
        refuse_task(task, RuntimeError::Closed);
        return;
    }
    submit_pinned(shard, shard.id, &shard, task);
}

void submit_blocking(RuntimeCore& core, TaskHeader* task) noexcept {
    refuse_after_fork(core.id);
    if (core.closing()) {
        refuse_task(task, RuntimeError::Closed);
        return;
    }
    task->kind = TaskKind::Blocking;
    if (const auto refusal = core.blocking.submit(task)) {
        refuse_task(task, static_cast<RuntimeError>(refusal.value()));
    }
}

void bring_message(Shard& target, WorkItem* message) noexcept {
    Shard* here = shard_in(target.runtime());
    if (here == &target) {
        target.take_own(message);
        return;
    }
    const CoreRef keep(here == nullptr ? target.core : nullptr);  // A shard's thread holds one.
    if (target.inbox.push(message) == Push::WasEmpty) {
        wake_shard(target, here);
    }
}

bool wake_shard(Shard& target, Shard* here) noexcept {
    if (!target.park_state.notify()) {
        return false;
    }
    if (built_before_fork(target.runtime().id)) [[unlikely]] {
        return true;  // Nobody is there to be woken: the bell would be heard in the parent.
    }
    if (here != nullptr) {
        here->counters.doorbells_rung.add();
        here->driver->ring(target);
    } else {
        target.runtime().foreign_bells.fetch_add(1, std::memory_order_relaxed);
        target.driver->wake_from_outside();
        thread_spin().woke();
    }
    return true;
}

void wake_one_for_stealing(RuntimeCore& core, Shard* here) noexcept {
    if (core.parked.load(std::memory_order_seq_cst) == 0 || core.searching.load(std::memory_order_seq_cst)) {
        return;
    }
    const auto count = core.shards.size();
    const std::size_t start = here != nullptr ? here->id + std::size_t{1} : 0;
    // Not `here`: while it reaps what has woken it, it is still marked as parked; it looks at its queues after that.
    const auto others = here != nullptr ? count - 1 : count;
    for (std::size_t i = 0; i < others; ++i) {
        Shard& sleeper = *core.shards[(start + i) % count];
        if (wake_shard(sleeper, here)) {
            return;
        }
    }
}

void schedule(TaskHeader* root) noexcept {
    // A root that is suspended is on a shard; blocking jobs never suspend.
    auto& home = static_cast<Shard&>(*root->owner.executor);
    // The root's runtime cannot end before the root is queued, but it may right after: hold its memory for the wake.
    const CoreRef keep(home.core);
    Shard* here = shard_in(*home.core);
    if (root->kind == TaskKind::Stealable && !home.core->closing()) {
        if (here != nullptr) {
            here->put_stealable(root);
            wake_one_for_stealing(*keep, here);
        } else {
            home.stealable.put(root);
            wake_for_stealable(home, here);
        }
    } else if (here == &home) {
        home.ready.push_back(root);
    } else if (home.inbox.push(root) == Push::WasEmpty) {
        wake_shard(home, here);
    }
}

void schedule_here(TaskHeader* root, Shard& here) noexcept {
    if (root->kind != TaskKind::Stealable || here.core->closing()) {
        here.ready.push_back(root);
        return;
    }
    here.stealable.put(root);
    // Alone it needs no other shard: it runs here next.
    if (!here.takes_next_if_alone()) {
        wake_one_for_stealing(*here.core, &here);
    }
}

void yield_task(TaskHeader* root) noexcept {
    list_before_suspending(root);
    schedule_here(root, static_cast<Shard&>(*root->owner.executor));
    static_cast<void>(suspended());
}

bool move_task(TaskHeader* root, ShardId target, std::error_code& error) noexcept {
    auto& here = static_cast<Shard&>(*root->owner.executor);
    auto& core = *here.core;
    if (target == here.id) {
        return false;
    }
    if (target >= core.shards.size() || root->kind != TaskKind::Stealable) {
        error = RuntimeError::InvalidShard;
        return false;
    }
    Shard& there = *core.shards[target];
    list_before_suspending(root);
    root->owner.executor = &there;
    // The core is safe: this shard is inside a step, so a shutdown waits for it.
    if (there.inbox.push(root) == Push::WasEmpty) {
        wake_shard(there, &here);
    }
    return suspended();
}

}  // namespace spargio::detail
