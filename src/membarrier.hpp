// SPDX-License-Identifier: MIT
// A memory barrier in all threads of the process, called by one of them (membarrier(2)).
#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace spargio::detail {

/// Once per process, before the first membarrier_all(): true if the kernel (4.14) has it and nothing forbids it. Takes
/// microseconds while the process has one thread; later the first call waits for an RCU grace period, some
/// milliseconds.
[[nodiscard]] inline bool membarrier_is_there() noexcept {
    static const bool registered = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
    return registered;
}

/// When it returns true, each thread of the process has passed a full barrier since it was called. The CPUs that run
/// one are interrupted: a system call, and some microseconds, up to 50 in a virtual machine. False: refused, by a
/// filter that came later, or for want of memory.
[[nodiscard]] inline bool membarrier_all() noexcept {
    return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

}  // namespace spargio::detail
