// SPDX-License-Identifier: MIT
// Joins: suspending, cancelling, blocking a thread, letting go.
#include "spargio/detail/join.hpp"

#include <stdexcept>

#include "futex.hpp"
#include "process_fork.hpp"
#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/result_slot.hpp"
#include "spargio/error.hpp"
#include "suspend_hook.hpp"
#include "thread_spin.hpp"

namespace spargio::detail {

namespace {

bool wait_on_thread(TaskHeader* task, clock::time_point deadline) noexcept {
    AdaptiveSpin& spin = thread_spin();
    if (task->done() || spin.spin([task] { return task->done(); })) {
        return true;
    }
    clock::time_point asleep{};
    for (;;) {
        auto state = TaskHeader::join_running;
        if (task->join.compare_exchange_strong(state, TaskHeader::join_thread_waits, std::memory_order_acq_rel,
                                               std::memory_order_acquire)) {
            state = TaskHeader::join_thread_waits;
        }
        if (state == TaskHeader::join_done) {
            if (asleep !=
                clock::time_point()) {  // Else it came while the CPU was offered to others: no reason to spin.
                spin.slept(clock::now() - asleep);
            }
            return true;
        }
        SPARGIO_CHECK(state == TaskHeader::join_thread_waits,
                      "a thread and a task wait for the same JoinHandle: one joiner at a time");
        if (clock::now() >= deadline) {
            state = TaskHeader::join_thread_waits;
            return !task->join.compare_exchange_strong(state, TaskHeader::join_running, std::memory_order_acq_rel,
                                                       std::memory_order_acquire);
        }
        if (asleep == clock::time_point()) {
            asleep = clock::now();
        }
        futex_wait(low_half(task->join), static_cast<std::uint32_t>(TaskHeader::join_thread_waits), deadline);
    }
}

}  // namespace

/// We hold the wait, so the joiner, its awaiter and the child's block stay until finish_cancel().
void cancel_join(Wait* base, TaskHeader* root) noexcept {
    auto* wait = static_cast<JoinWait*>(base);
    auto& join = wait->child->join;
    const auto mine = reinterpret_cast<std::uintptr_t>(wait);
    bool taken_back = false;
    for (auto seen = join.load(std::memory_order_acquire); seen != TaskHeader::join_done;) {
        // The joiner is there: take it back. It is armed but not there yet: leave a mark that makes its arrival fail.
        const auto wanted = seen == mine ? TaskHeader::join_running : TaskHeader::join_stop_mark;
        if (join.compare_exchange_weak(seen, wanted, std::memory_order_acq_rel, std::memory_order_acquire)) {
            taken_back = wanted == TaskHeader::join_running;
            break;
        }
    }
    if (taken_back) {
        wait->canceled = true;
    }
    const bool handed_over = root->stop.finish_cancel();
    if (handed_over && !wait->canceled) {
        root->stop.note_value();
    }
    if (handed_over || taken_back) {
        schedule(root);
    }
}

bool join_suspend(JoinWait& wait, TaskHeader* joiner) noexcept {
    wait.root = joiner;
    list_before_suspending(joiner);
    joiner->awaits_completer = true;
    if (!joiner->stop.arm(&wait)) {
        joiner->awaits_completer = false;
        wait.canceled = !wait.child->done();  // The result wins over the stop.
        return false;
    }
    auto& join = wait.child->join;
    auto state = TaskHeader::join_running;
    if (join.compare_exchange_strong(state, reinterpret_cast<std::uintptr_t>(&wait), std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
        return suspended();
    }
    if (state == TaskHeader::join_stop_mark) {
        // A canceller came first. If the mark is gone meanwhile, the child has ended, and the result wins.
        wait.canceled = join.compare_exchange_strong(state, TaskHeader::join_running, std::memory_order_acq_rel,
                                                     std::memory_order_acquire);
    } else {
        SPARGIO_CHECK(state == TaskHeader::join_done, "two wait for the same JoinHandle: one joiner at a time");
    }
    if (joiner->stop.disarm(&wait)) {
        joiner->awaits_completer = false;
        return false;
    }
    return suspended();  // The canceller is still at work, and will schedule us.
}

void refuse_on_shard_of(std::uint64_t runtime) {
    const Shard* here = current_shard();
    if (here != nullptr && here->core->id == runtime) {
        throw std::logic_error(
            "spargio: blocking on a task on a shard thread of its runtime would stop that shard; co_await it instead");
    }
}

namespace {

void check_before_blocking(const TaskHeader* task, std::uint64_t runtime) {
    refuse_on_shard_of(runtime);
    if (!task->done()) {
        refuse_after_fork(runtime);
    }
}

}  // namespace

void join_block(TaskHeader* task, std::uint64_t runtime) {
    check_before_blocking(task, runtime);
    static_cast<void>(wait_on_thread(task, clock::time_point::max()));
}

bool join_block_for(TaskHeader* task, std::uint64_t runtime, std::chrono::nanoseconds limit) {
    check_before_blocking(task, runtime);
    const auto now = clock::now();
    const auto room = clock::time_point::max() - now;
    return wait_on_thread(task, limit < room ? now + limit : clock::time_point::max());
}

void wake_joining_thread(const TaskHeader* task) noexcept {
    futex_wake(low_half(task->join));
}

std::error_code refusal_of(const TaskHeader* task) noexcept {
    // Set before the handle exists; later ends of the task leave it alone.
    return task->refusal == 0 ? std::error_code() : make_error_code(static_cast<RuntimeError>(task->refusal));
}

std::error_code join_error(const TaskHeader* task) noexcept {
    return task->outcome == Outcome::Refused ? refusal_of(task) : make_error_code(JoinError::Canceled);
}

void throw_join_error(const TaskHeader* task) {
    if (task->outcome == Outcome::Taken) {
        throw std::logic_error("spargio: the task's result was taken already");
    }
    throw std::system_error(join_error(task), "spargio: the task has no value");
}

void throw_canceled() {
    throw std::system_error(std::make_error_code(std::errc::operation_canceled),
                            "spargio: the joining task was stopped");
}

void throw_empty_handle() {
    throw std::logic_error(
        "spargio: this JoinHandle is empty: nothing was spawned into it, or it was awaited, detached or moved from");
}

void request_task_stop(TaskHeader* task) noexcept {
    if (Wait* wait = task->stop.request()) {
        wait->cancel(wait, task);
    }
}

void detach_task(TaskHeader* task) noexcept {
    if (task->done()) {
        end_unjoined(task);  // As after each join: without a read-modify-write.
        return;
    }
    auto state = TaskHeader::join_running;
    if (!task->join.compare_exchange_strong(state, TaskHeader::join_detached, std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
        SPARGIO_CHECK(state == TaskHeader::join_done, "a JoinHandle was destroyed while something waits for it");
        end_unjoined(task);
    }
}

void end_unjoined(TaskHeader* task) noexcept {
    if (task->outcome == Outcome::Exception) {
        const CoreRef core(task->live.core);
        core->report_unhandled(take_exception(task));
    }
    free_task(task);
}

void report_untaken(RuntimeCore& core, std::exception_ptr error) noexcept {
    core.report_unhandled(std::move(error));
}

}  // namespace spargio::detail
