// SPDX-License-Identifier: MIT
// The end of a wait in a shard's queue: by what was waited for, or by a stop.
#include "shard_wait.hpp"

#include "scheduler.hpp"
#include "shard.hpp"

namespace spargio::detail {

namespace {

/// Wait::CancelFn: sends the wait itself as a message to the shard whose queue it is in.
void cancel_wait(Wait* base, TaskHeader* root) noexcept {
    auto* wait = static_cast<ShardWait*>(base);
    auto& shard = static_cast<Shard&>(*root->owner.executor);
    bring_message(shard, wait);
}

}  // namespace

ShardWait::ShardWait(RunFn on_stop) noexcept : Wait(&cancel_wait), WorkItem(on_stop) {}

bool stop_came_first(ShardWait& wait, Shard& here) noexcept {
    if (wait.root()->stop.finish_cancel()) {
        --here.waits_handed_over;  // The wait ends as it would have.
        return false;
    }
    return true;
}

TaskHeader* end_wait(ShardWait* wait) noexcept {
    TaskHeader* root = wait->root();
    if (root->stop.disarm(wait)) {
        return root;
    }
    ++static_cast<Shard&>(*root->owner.executor).waits_handed_over;
    return nullptr;
}

bool is_wait_message(const WorkItem* item) noexcept {
    return item->run == &run_sleep_stop || item->run == &run_event_stop;
}

}  // namespace spargio::detail
