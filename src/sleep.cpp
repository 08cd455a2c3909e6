// SPDX-License-Identifier: MIT
// Sleeps, their cancellation, and a task's stop token.
#include "sleep.hpp"

#include <new>

#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/this_task.hpp"
#include "spargio/time.hpp"
#include "stop_link.hpp"

namespace spargio::detail {

namespace {

/// Wait::CancelFn of a sleep. The timer belongs to the shard: send it the wait itself as a message.
void cancel_sleep(Wait* base, TaskHeader*) noexcept {
    auto* wait = static_cast<SleepWait*>(base);
    auto& shard = static_cast<Shard&>(*wait->shard);
    const CoreRef keep(shard.core);  // Once the message is there, the sleeper and its runtime may end.
    if (shard.inbox.push(wait) == Push::WasEmpty) {
        wake_shard(shard, shard_in(*keep));
    }
}

/// The message's arrival, on the shard that has the timer.
void run_sleep_message(WorkItem* item, Shard* shard) noexcept {
    auto* wait = static_cast<SleepWait*>(item);
    if (wait->root->stop.finish_cancel()) {
        --shard->sleeps_handed_over;  // The deadline came first: the sleep ends as it would have.
    } else {
        shard->timers.remove(wait);
        wait->error = std::errc::operation_canceled;
    }
    schedule_here(wait->root, *shard);
}

}  // namespace

SleepWait::SleepWait(clock::time_point due_at) noexcept
    : Wait(&cancel_sleep), TimerNode(due_at), WorkItem(&run_sleep_message) {}

bool sleep_suspend(SleepWait& wait, TaskHeader* root) noexcept {
    if (root->stop.stop_requested()) {
        wait.error = std::errc::operation_canceled;
        return false;
    }
    if (wait.due <= clock::now()) {
        return false;
    }
    auto& shard = static_cast<Shard&>(*root->owner.executor);
    wait.shard = &shard;
    wait.root = root;
    try {
        shard.timers.insert(&wait);
    } catch (const std::bad_alloc&) {
        wait.error = std::errc::not_enough_memory;
        return false;
    }
    if (!root->stop.arm(&wait)) {
        shard.timers.remove(&wait);
        wait.error = std::errc::operation_canceled;
        return false;
    }
    return true;
}

TaskHeader* end_sleep(TimerNode* timer) noexcept {
    auto* wait = static_cast<SleepWait*>(timer);
    TaskHeader* root = wait->root;
    if (root->stop.disarm(wait)) {
        return root;
    }
    ++static_cast<Shard&>(*wait->shard).sleeps_handed_over;
    return nullptr;
}

bool is_sleep_message(const WorkItem* item) noexcept {
    return item->run == &run_sleep_message;
}

std::stop_token task_stop_token(TaskHeader* root) {
    if (auto* state = root->stop.shared_state()) {
        return state->source.get_token();
    }
    std::stop_source stopped;  // The stop came before the first request for the token: no need to keep a state.
    stopped.request_stop();
    return stopped.get_token();
}

}  // namespace spargio::detail
