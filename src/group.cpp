// SPDX-License-Identifier: MIT
// Task groups: spawns and ends of children, their first error, stops, the tasks that wait.
#include "spargio/detail/group.hpp"

#include <stdexcept>
#include <system_error>
#include <utility>

#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/local_fork.hpp"
#include "spargio/detail/submit.hpp"
#include "stop_link.hpp"
#include "suspend_hook.hpp"

namespace spargio::detail {

/// Waits that this thread holds and has not passed on yet, and how many it is passing on, one in another.
struct HeldWaits {
    GroupWait* first;
    unsigned depth;
};

namespace {

// As many of them are a stack's affair. Beyond that a stop is passed on later than its callbacks run, which then must
// not wait for what it stops.
constexpr unsigned kDeepest = 32;

std::exception_ptr refused_spawn(std::error_code reason) noexcept {
    try {
        throw std::system_error(reason, "spargio: a TaskGroup's spawn was refused");
    } catch (...) {  // Or std::bad_alloc, if there is no memory for the sentence.
        return std::current_exception();
    }
}

}  // namespace

GroupState::GroupState(CoreRef of)
    : core_(std::move(of)), children_(*this, &end_group_child), body_(*this, &end_group_body) {}

void GroupState::release() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete this;
    }
}

void GroupState::spawn(TaskPlacement placement, TaskHeader* child) noexcept {
    const GroupRef keep(*this);
    {
        const std::lock_guard lock(mutex_);
        ++unfinished_;
        open_ = true;
    }
    acquire();  // The child's.
    become_child(child, children_);
    if (submit(*core_, placement, child)) {
        return;  // It may have ended already.
    }
    const auto reason = refusal_of(child);
    free_task(child);
    fail(refused_spawn(reason));
    if (TaskHeader* waiter = count_child()) {
        schedule(waiter);
    }
}

void GroupState::fail(std::exception_ptr error) noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (error_ == nullptr) {
            error_ = std::move(error);
        }
    }
    stop_all();
}

void GroupState::stop_all() noexcept {
    children_stop_.request_stop();
    body_stop_.request_stop();
}

/// The end of one child; with it goes its reference.
TaskHeader* GroupState::count_child() noexcept {
    Ready ready;
    {
        const std::lock_guard lock(mutex_);
        --unfinished_;
        ready = take_ready();
    }
    TaskHeader* waiter = resume(ready);
    release();
    return waiter;
}

GroupState::Ready GroupState::take_ready() noexcept {
    Ready ready;
    if (unfinished_ == 0) {
        ready.join = std::exchange(join_, nullptr);
        if (!body_runs_) {
            ready.owner = std::exchange(owner_, nullptr);
        }
    }
    return ready;
}

TaskHeader* GroupState::resume(const Ready& ready) noexcept {
    TaskHeader* waiter = nullptr;
    for (GroupWait* wait : {ready.join, ready.owner}) {
        if (wait == nullptr) {
            continue;
        }
        TaskHeader* root = wait->root;
        if (!root->stop.disarm(wait)) {
            continue;  // A canceller holds it, and will schedule it.
        }
        if (waiter != nullptr) {
            schedule(waiter);
        }
        waiter = root;
    }
    return waiter;
}

bool GroupState::suspend(GroupWait& wait, TaskHeader* root) noexcept {
    const GroupRef keep(*this);
    wait.root = root;
    list_before_suspending(root);
    root->awaits_completer = true;
    const bool armed = root->stop.arm(&wait);
    if (!armed) {
        request_stop();  // A stop came before: they are to end, and we wait for it.
    }
    bool waits = false;
    {
        const std::lock_guard lock(mutex_);
        waits = unfinished_ != 0;
        if (waits) {
            SPARGIO_CHECK(join_ == nullptr, "two tasks join the same TaskGroup: one at a time");
            join_ = &wait;
        }
    }
    // In this order: once it waits, nothing of the root may be touched.
    if (waits || (armed && !root->stop.disarm(&wait))) {
        return suspended();  // By the last child's end; or a canceller is at work, and will schedule us.
    }
    root->awaits_completer = false;
    return false;
}

void GroupState::run_body(GroupWait& wait, TaskHeader* body, TaskHeader* root) noexcept {
    wait.root = root;
    list_before_suspending(root);
    root->awaits_completer = true;
    {
        const std::lock_guard lock(mutex_);
        body_runs_ = true;
        open_ = true;
        owner_ = &wait;
    }
    body_.root = root;
    // Who stops us from here on finds nobody to tell but the sources, where the body will see it.
    if (!root->stop.arm(&wait)) {
        stop_all();
    }
    fork_in_place(body_, body, root);
}

bool GroupState::joined(std::exception_ptr& error) noexcept {
    const std::lock_guard lock(mutex_);
    if (unfinished_ != 0) {
        return false;
    }
    error = std::exchange(error_, nullptr);
    open_ = false;
    return true;
}

void GroupState::check_runtime(TaskHeader* root) const {
    if (root->owner.executor->core != core_.get()) {
        throw std::logic_error("spargio: a TaskGroup is joined by a task of the runtime that it spawns in");
    }
}

bool GroupState::may_end() noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (!open_) {
            return true;
        }
    }
    const Shard* here = current_shard();
    return core_->closing() || (here != nullptr && here->core->closing());
}

void GroupState::pass_stop_on(GroupWait& wait) noexcept {
    if (wait.awaits == GroupWait::For::ChildrenAndBody) {
        wait.group->stop_all();
    } else {
        wait.group->request_stop();
    }
    TaskHeader* root = wait.root;
    if (root->stop.finish_cancel()) {
        schedule(root);
    }
}

/// We hold the wait, so the task does not go on until finish_cancel(), and its reference keeps the group. Groups may be
/// nested deeper than a stack: the waits that the stop of this one reaches, in the callbacks of its children, are held
/// in a list for their turn.
void cancel_group(Wait* base, TaskHeader*) noexcept {
    auto* wait = static_cast<GroupWait*>(base);
    HeldWaits* list = held_waits();
    if (list == nullptr) {
        HeldWaits held{nullptr, 1};
        exchange_held_waits(&held);
        GroupState::pass_stop_on(*wait);
        while (held.first != nullptr) {
            GroupState::pass_stop_on(*std::exchange(held.first, held.first->next_held));
        }
        exchange_held_waits(nullptr);
    } else if (list->depth < kDeepest) {
        ++list->depth;
        GroupState::pass_stop_on(*wait);
        --list->depth;
    } else {
        wait->next_held = std::exchange(list->first, wait);
    }
}

TaskHeader* end_group_child(TaskHeader* child, Executor*) noexcept {
    GroupState& group = static_cast<GroupState::Fork*>(fork_of(child))->group;
    free_task(child);
    return group.count_child();
}

TaskHeader* end_group_body(TaskHeader* body, Executor*) noexcept {
    GroupState& group = static_cast<GroupState::Fork*>(fork_of(body))->group;
    const GroupRef keep(group);
    GroupState::Ready ready;
    {
        const std::lock_guard lock(group.mutex_);
        group.body_runs_ = false;
        ready = group.take_ready();
    }
    return GroupState::resume(ready);
}

TaskHeader* group_waiter(const ForkWait& wait) noexcept {
    const GroupState& group = static_cast<const GroupState::Fork&>(wait).group;
    const std::lock_guard lock(group.mutex_);
    const GroupWait* waiter = group.join_ != nullptr ? group.join_ : group.owner_;
    return waiter != nullptr ? waiter->root : nullptr;
}

}  // namespace spargio::detail
