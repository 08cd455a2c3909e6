// SPDX-License-Identifier: MIT
// After fork() the child has its parent's runtimes as memory without threads: what is told of them there.
#pragma once

#include <cstdint>

#include "spargio/config.hpp"
#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

/// Numbers the runtimes of this process, from 1 on, and sees to it that forks are noticed (pthread_atfork(3)); a child
/// goes on counting. Throws std::bad_alloc.
[[nodiscard]] std::uint64_t next_runtime_id();

// Ids up to here are of the process that forked this one. Written in a child while it has one thread; orders nothing.
inline constinit atomic<std::uint64_t> last_id_of_parent{0};

/// Whether this process is a child of the one that built the runtime. Not noticed, but by a shutdown: children without
/// the handlers, by vfork(), _Fork() or clone().
[[nodiscard]] inline bool built_before_fork(std::uint64_t runtime_id) noexcept {
    return runtime_id <= last_id_of_parent.load(std::memory_order_relaxed);
}

/// Ends the process with a sentence if it is. To be asked where work is given to the runtime, or waited for.
inline void refuse_after_fork(std::uint64_t runtime_id) noexcept {
    SPARGIO_CHECK(!built_before_fork(runtime_id),
                  "a child after fork() uses its parent's runtime, whose threads it does not have: build the runtime "
                  "after the fork, or start other programs by posix_spawn()");
}

}  // namespace spargio::detail
