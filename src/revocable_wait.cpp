// SPDX-License-Identifier: MIT
// Waits that can be taken back: arming, ending, cancelling.
#include "spargio/detail/revocable_wait.hpp"

#include "scheduler.hpp"

namespace spargio::detail {

namespace {

/// Wait::CancelFn. We hold the wait, so the task and its awaiter stay until finish_cancel().
void cancel_revocable(Wait* base, TaskHeader* root) noexcept {
    auto* wait = static_cast<RevocableWait*>(base);
    const bool taken_back = wait->revoke(*wait);
    const bool handed_over = root->stop.finish_cancel();
    if (handed_over && wait->ended) {
        root->stop.note_value();
    }
    if (handed_over || taken_back) {
        schedule(root);
    }
}

}  // namespace

RevocableWait::RevocableWait(RevokeFn fn) noexcept : Wait(&cancel_revocable), revoke(fn) {}

bool arm_revocable(RevocableWait& wait, TaskHeader* root) noexcept {
    list_before_suspending(root);
    root->awaits_completer = true;
    wait.ended = false;
    if (root->stop.arm(&wait)) {
        return true;
    }
    root->awaits_completer = false;
    return false;
}

bool disarm_revocable(RevocableWait& wait, TaskHeader* root) noexcept {
    if (root->stop.disarm(&wait)) {
        root->awaits_completer = false;
        return true;
    }
    return false;
}

void end_revocable(RevocableWait& wait, TaskHeader* root) noexcept {
    wait.ended = true;
    if (root->stop.disarm(&wait)) {
        root->stop.note_value();
        schedule(root);
    }
}

}  // namespace spargio::detail
