// SPDX-License-Identifier: MIT
// A task's wait that any thread may end, and that can be taken back from whoever would.
#pragma once

#include "spargio/detail/stop_link.hpp"

namespace spargio::detail {

/// Tickets of messages, and the two sides of the boundary. Who waits stands in some list, or in some word, under a
/// protocol of its own; a stop of the task, and a shutdown of its runtime, take it out of there.
struct RevocableWait : Wait {
    /// Takes the wait back, so that nobody else will end it. False: somebody has reached for it, and will disarm it.
    /// The caller holds the wait (StopLink). Any thread.
    using RevokeFn = bool (*)(RevocableWait&) noexcept;

    explicit RevocableWait(RevokeFn fn) noexcept;

    RevokeFn revoke;
    bool ended = false;  // By end_revocable(); set while the wait is armed.
};

/// Gets a root ready to wait, and arms its stop word: the step before the wait is published. False: a stop came first.
[[nodiscard]] bool arm_revocable(RevocableWait& wait, TaskHeader* root) noexcept;

/// The wait was armed but not published, since there is nothing to wait for. False: a canceller holds it, and will
/// schedule the task: suspend. Requires that `revoke` gives false for such a wait.
[[nodiscard]] bool disarm_revocable(RevocableWait& wait, TaskHeader* root) noexcept;

/// Ends a wait that was taken out of where it stood: schedules its task, or leaves that to the canceller that holds it.
/// Any thread.
void end_revocable(RevocableWait& wait, TaskHeader* root) noexcept;

}  // namespace spargio::detail
