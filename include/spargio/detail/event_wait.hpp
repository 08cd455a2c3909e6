// SPDX-License-Identifier: MIT
// A task's wait for messages to its shard.
#pragma once

#include <cstddef>
#include <system_error>

#include "spargio/detail/shard_wait.hpp"
#include "spargio/event.hpp"

namespace spargio::detail {

/// In the mailbox of the shard whose events are waited for. Lives in the awaiter.
struct EventWait : ShardWait {
    EventWait(Executor* of, Event* out, std::size_t most) noexcept;

    Executor* shard;  // Whose events.
    Event* into;
    std::size_t room;
    std::size_t count = 0;  // What was received.
    std::size_t kept = 0;   // What the task, which has been woken, takes when it goes on.
    EventWait* before = nullptr;
    EventWait* after = nullptr;
    std::errc error{};  // operation_canceled once a stop has ended it.
};

/// False: do not suspend; there are `count` events, or `error` is set. Throws std::logic_error when the task is not on
/// the shard that it wants to hear of.
[[nodiscard]] bool event_suspend(EventWait& wait, TaskHeader* root);

/// The task goes on, and events are kept for it: takes them; or, if a stop has come since it was woken, leaves them to
/// who is next, and sets `error`.
void event_take_kept(EventWait& wait) noexcept;

}  // namespace spargio::detail
