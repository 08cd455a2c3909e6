// SPDX-License-Identifier: MIT
// After fork() the child has its parent's runtimes as memory without threads: what is told of them there.
#pragma once

#include <cstdint>

namespace spargio::detail {

/// Numbers the runtimes of this process, from 1 on, and sees to it that forks are noticed (pthread_atfork(3)); a child
/// goes on counting. Throws std::bad_alloc.
[[nodiscard]] std::uint64_t next_runtime_id();

/// Whether this process is a child of the one that built the runtime. Not noticed: children by vfork(), or by clone()
/// without the C library.
[[nodiscard]] bool built_before_fork(std::uint64_t runtime_id) noexcept;

/// Ends the process with a sentence if it is. To be asked where a thread of the runtime would be woken or waited for.
void refuse_after_fork(std::uint64_t runtime_id) noexcept;

}  // namespace spargio::detail
