// SPDX-License-Identifier: MIT
// The state behind a task's std::stop_token.
#pragma once

#include "spargio/detail/stop_link.hpp"

#include <stop_token>

namespace spargio::detail {

/// Made when a task first asks for its token, freed with the task's block. The token itself may live on: the standard's
/// own shared state keeps it valid.
struct StopLink::StopState {
    std::stop_source source;
    atomic<std::uintptr_t> word{0};  // Takes over from StopLink::word_, same states.
};

/// The waits in groups that this thread holds, and is about to cancel: src/group.cpp.
struct HeldWaits;

/// This thread's list of them while it passes a stop on through groups; null if it does not. A stop that reaches a
/// user's callbacks on its way begins anew there: they may wait for what they stop.
[[nodiscard]] HeldWaits* held_waits() noexcept;
/// Gives what it was before.
HeldWaits* exchange_held_waits(HeldWaits* list) noexcept;

}  // namespace spargio::detail
