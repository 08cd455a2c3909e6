// SPDX-License-Identifier: MIT
// How long a plain thread spins before it blocks for a task.
#pragma once

#include "adaptive_spin.hpp"

namespace spargio::detail {

/// The calling thread's own. For threads that block, so never kept across a suspension.
[[nodiscard]] AdaptiveSpin& thread_spin() noexcept;

}  // namespace spargio::detail
