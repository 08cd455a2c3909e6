// SPDX-License-Identifier: MIT
// The end of a wait in a shard's queue: by what was waited for, or by a stop.
#include "shard_wait.hpp"

#include "scheduler.hpp"
#include "shard.hpp"

namespace spargio::detail {

namespace {

/// Wait::CancelFn: sends the wait itself as a message to the shard whose queue it is in.
void cancel_wait(Wait* base, TaskHeader*) noexcept {
    auto* wait = static_cast<ShardWait*>(base);
    auto& shard = static_cast<Shard&>(*wait->shard);
    const CoreRef keep(shard.core);  // Once the message is there, the waiting task and its runtime may end.
    if (shard.inbox.push(wait) == Push::WasEmpty) {
        wake_shard(shard, shard_in(*keep));
    }
}

/// The message's arrival.
void run_wait_message(WorkItem* item, Shard* shard) noexcept {
    auto* wait = static_cast<ShardWait*>(item);
    if (wait->root->stop.finish_cancel()) {
        --shard->waits_handed_over;  // What was waited for came first: the wait ends as it would have.
    } else {
        wait->leave(wait, *shard);
        wait->error = std::errc::operation_canceled;
    }
    schedule_here(wait->root, *shard);
}

}  // namespace

ShardWait::ShardWait(LeaveFn fn) noexcept : Wait(&cancel_wait), WorkItem(&run_wait_message), leave(fn) {}

TaskHeader* end_wait(ShardWait* wait) noexcept {
    TaskHeader* root = wait->root;
    if (root->stop.disarm(wait)) {
        return root;
    }
    ++static_cast<Shard&>(*wait->shard).waits_handed_over;
    return nullptr;
}

bool is_wait_message(const WorkItem* item) noexcept {
    return item->run == &run_wait_message;
}

}  // namespace spargio::detail
