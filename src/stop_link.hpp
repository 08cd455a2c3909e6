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

}  // namespace spargio::detail
