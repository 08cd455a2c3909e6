// SPDX-License-Identifier: MIT
// Sleeps, and a task's stop token.
#include <new>

#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/fork.hpp"
#include "spargio/this_task.hpp"
#include "spargio/time.hpp"
#include "stop_link.hpp"

namespace spargio::detail {

namespace {

void leave_timers(ShardWait* wait, Shard& shard) noexcept {
    shard.timers.remove(static_cast<SleepWait*>(wait));
}

}  // namespace

SleepWait::SleepWait(clock::time_point due_at) noexcept : ShardWait(&leave_timers), TimerNode(due_at) {}

bool sleep_suspend(SleepWait& wait, TaskHeader* root) noexcept {
    if (root->stop.stop_requested()) {
        wait.error = std::errc::operation_canceled;
        return false;
    }
    if (wait.due <= timer_now()) {
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
    list_before_suspending(root);
    if (!root->stop.arm(&wait)) {
        shard.timers.remove(&wait);
        wait.error = std::errc::operation_canceled;
        return false;
    }
    return true;
}

std::stop_token task_stop_token(TaskHeader* root) {
    arm_forks_above(root);
    if (auto* state = root->stop.shared_state()) {
        return state->source.get_token();
    }
    std::stop_source stopped;  // The stop came before the first request for the token: no need to keep a state.
    stopped.request_stop();
    return stopped.get_token();
}

}  // namespace spargio::detail
