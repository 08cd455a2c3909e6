// SPDX-License-Identifier: MIT
// Operations: how they come to their shard, how they end, how they are stopped.
#include "operation.hpp"

#include <cerrno>

#include "scheduler.hpp"
#include "shard.hpp"
#include "suspend_hook.hpp"

namespace spargio::detail {

namespace {

Shard& shard_of(const Operation& operation) noexcept {
    return static_cast<Shard&>(*operation.shard);
}

/// Whether the task that waits belongs to the shard's runtime, so that a shutdown of it waits for the task's stop.
bool is_own(const Operation& operation, const Shard& there) noexcept {
    return operation.root->owner.executor->core == there.core;
}

void begin(Operation& operation, Shard& here) noexcept {
    here.counters.native_begun.add();
    if (operation.stopped) {
        operation.result = -ECANCELED;
        end_operation(operation, here);
    } else {
        here.driver->begin(operation);
    }
}

/// The task goes on where its shard is, or, if it may run anywhere, here; inside a step, on whichever is free.
void schedule_waiter(TaskHeader* root, Shard& here) noexcept {
    const Executor* last = root->owner.executor;
    const bool may_run_here = last == &here || (root->kind == TaskKind::Stealable && last->core == here.core);
    if (may_run_here && !here.within_step) {
        schedule_here(root, here);
    } else {
        schedule(root);
    }
}

/// Before the task goes on, after its stop.
void note_result(const Operation& operation) noexcept {
    if (operation.result != -ECANCELED) {
        operation.root->stop.note_value();
    }
}

/// Whether the operation is another ring's. Nothing brings one here; if something did, its message goes where it
/// belongs.
bool is_misdirected(const Operation& operation, WorkItem* message, Shard& here) noexcept {
    Shard& there = shard_of(operation);
    if (&there == &here) {
        return false;
    }
    here.counters.native_affinity_violations.add();
    bring_message(there, message);
    return true;
}

}  // namespace

void run_operation_start(WorkItem* item, Shard* here) noexcept {
    auto& operation = static_cast<Operation&>(*static_cast<OperationStart*>(item));
    if (!is_misdirected(operation, item, *here)) {
        begin(operation, *here);
    }
}

void run_operation_stop(WorkItem* item, Shard* here) noexcept {
    auto& operation = static_cast<Operation&>(*static_cast<OperationStop*>(item));
    if (is_misdirected(operation, item, *here)) {
        return;
    }
    operation.stopped = true;
    switch (operation.state) {
    case Operation::State::Ended:
        stop_after_end(operation, *here);
        return;
    case Operation::State::New:
        finish_stop(operation, *here);  // The start is behind us, and finds the mark.
        return;
    case Operation::State::Waiting:
    case Operation::State::InRing:
        here->driver->cancel(operation);
        return;
    }
}

bool operation_suspend(Operation& operation, TaskHeader* root) noexcept {
    Shard& there = shard_of(operation);
    SPARGIO_CHECK(operation.root == nullptr, "this operation was awaited already: it runs once");
    auto& here = static_cast<Shard&>(*root->owner.executor);
    operation.root = root;
    list_before_suspending(root);
    if (here.core != there.core) {
        root->awaits_completer = true;  // A shutdown of this runtime does not end it.
    }
    if (!root->stop.arm(&operation)) {
        root->awaits_completer = false;
        operation.result = -ECANCELED;
        return false;
    }
    if (&here == &there) {
        begin(operation, here);
        return true;
    }
    if (here.core == there.core) {
        // Taken even while the runtime closes: the shard ends it then.
        bring_message(there, static_cast<OperationStart*>(&operation));
        return suspended();
    }
    const CoreRef keep(there.core);
    switch (there.inbox.push_unless_closed(static_cast<OperationStart*>(&operation))) {
    case Push::Refused:
        operation.result = Operation::refused;
        if (!root->stop.disarm(&operation)) {
            return suspended();  // By the stop that holds it.
        }
        root->awaits_completer = false;
        return false;
    case Push::WasEmpty:
        wake_shard(there, nullptr);
        break;
    case Push::Queued:
        break;
    }
    return suspended();
}

void cancel_operation(Wait* base, TaskHeader* root) noexcept {
    auto& operation = *static_cast<Operation*>(base);
    Shard& there = shard_of(operation);
    auto* message = static_cast<OperationStop*>(&operation);
    if (is_own(operation, there)) {
        bring_message(there, message);
        return;
    }
    const CoreRef keep(there.core);  // Once the message is there, the waiting task and its runtime may end.
    const Push pushed = there.inbox.push_unless_closed(message);
    if (pushed == Push::WasEmpty) {
        wake_shard(there, shard_in(*keep));
    } else if (pushed == Push::Refused && root->stop.finish_cancel()) {
        schedule(root);  // Its shard, which is about to end all operations, or the refused start, came before us.
    }
}

void end_operation(Operation& operation, Shard& here) noexcept {
    operation.state = Operation::State::Ended;
    here.counters.native_ended.add();
    TaskHeader* root = operation.root;
    const bool own = is_own(operation, here);
    if (root->stop.disarm(&operation)) {
        if (operation.stopped) {
            note_result(operation);
        }
        schedule_waiter(root, here);
    } else if (own) {
        ++here.waits_handed_over;  // Its stop is on the way here.
    }
}

void finish_stop(Operation& operation, Shard& here) noexcept {
    TaskHeader* root = operation.root;
    if (root->stop.finish_cancel()) {
        note_result(operation);
        schedule_waiter(root, here);
    }
}

void stop_after_end(Operation& operation, Shard& here) noexcept {
    here.waits_handed_over -= is_own(operation, here) ? 1 : 0;
    finish_stop(operation, here);
}

bool is_operation_message(const WorkItem* item) noexcept {
    return item->run == &run_operation_start || item->run == &run_operation_stop;
}

}  // namespace spargio::detail
