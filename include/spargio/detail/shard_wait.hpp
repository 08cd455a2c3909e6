// SPDX-License-Identifier: MIT
// A task's wait in a queue that one shard's thread owns: a sleep, a wait for an event.
#pragma once

#include <system_error>

#include "spargio/detail/stop_link.hpp"
#include "spargio/detail/task_header.hpp"
#include "spargio/detail/work_item.hpp"

namespace spargio::detail {

/// Lives in the awaiter. Only the shard touches its queue, so a stop from elsewhere is a message to that shard, and
/// this is also the message (hence a WorkItem): the shard takes the wait out of its queue, unless what was waited for
/// has come first.
struct ShardWait : Wait, WorkItem {
    /// Takes the wait out of the queue it is in. On the shard's thread.
    using LeaveFn = void (*)(ShardWait*, Shard&) noexcept;

    explicit ShardWait(LeaveFn fn) noexcept;

    LeaveFn leave;
    Executor* shard = nullptr;
    TaskHeader* root = nullptr;
    std::errc error{};  // operation_canceled once a stop has ended it.
};

}  // namespace spargio::detail
