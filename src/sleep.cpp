// SPDX-License-Identifier: MIT
// Sleeps, and a task's stop token.
#include "scheduler.hpp"
#include "shard.hpp"
#include "shard_wait.hpp"
#include "spargio/detail/fork.hpp"
#include "spargio/this_task.hpp"
#include "spargio/time.hpp"
#include "stop_link.hpp"

namespace spargio::detail {

void run_sleep_stop(WorkItem* item, Shard* here) noexcept {
    auto& wait = static_cast<SleepWait&>(*item);
    if (stop_came_first(wait, *here)) {
        here->timers.remove(&wait);
        if (wait.due > here->inbox_time()) {
            wait.end = SleepWait::End::Stopped;
        } else {
            here->counters.timers_fired.add();  // It was over before the stop came, as far as can be told.
        }
    }
    schedule_here(wait.root(), *here);
}

SleepWait::SleepWait(clock::time_point due_at, bool was_ahead) noexcept
    : ShardWait(&run_sleep_stop), TimerNode(due_at), ahead(was_ahead) {}

bool sleep_suspend(SleepWait& wait, TaskHeader* root) noexcept {
    if (stop_has_come(root)) {
        wait.end = SleepWait::End::Stopped;
        return false;
    }
    auto& shard = static_cast<Shard&>(*root->owner.executor);
    clock::time_point now{};
    // To read the clock is a tenth of a sleep that is cancelled, and whoever has made one with a duration has read it.
    // (If it is over by now, since it was made long ago, the next turn sees.)
    if (!wait.ahead || shard.timers.empty()) {
        now = timer_now();
        if (wait.due <= now) {
            return false;
        }
    }
    wait.set_root(root);
    shard.timers.insert(&wait, now);
    list_before_suspending(root);
    if (!root->stop.arm(&wait)) {
        shard.timers.remove(&wait);
        wait.end = SleepWait::End::Stopped;
        return false;
    }
    return true;
}

std::stop_token task_stop_token(TaskHeader* root) {
    arm_forks_above(root);
    return root->stop.shared_state()->source.get_token();
}

}  // namespace spargio::detail
