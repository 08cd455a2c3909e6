// SPDX-License-Identifier: MIT
// A system call that fails from now on, in this process and all its threads to come; and the main() of tests under it.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/process_main.hpp"

namespace spargio::test {

/// In the calling thread and those that it starts from now on, or in all threads of the process. False where the kernel
/// has no seccomp filters. There is no way back.
enum class DeniedIn : bool { ThisThread, AllThreads };
[[nodiscard]] inline bool deny_system_call(long number, int error, DeniedIn threads = DeniedIn::ThisThread) {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (static_cast<std::uint32_t>(error) & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{sizeof program / sizeof program[0], program};
    const unsigned flags = threads == DeniedIn::AllThreads ? SECCOMP_FILTER_FLAG_TSYNC : 0;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter) == 0;
}

/// Runs the tests with the call denied. A test of what the ring does without that call needs a ring to begin with.
inline int run_tests_without(long system_call, int argc, char** argv) {
    ::testing::InitGoogleTest(&argc, argv);
    const std::string missing = backend_unavailable(BackendKind::IoUring);
    if (!missing.empty()) {
        std::printf("io_uring is not available anyway: %s\n", missing.c_str());
        return io_uring_required() ? 1 : 77;
    }
    if (!deny_system_call(system_call, EPERM)) {
        std::puts("seccomp filters are not available");
        return io_uring_required() ? 1 : 77;
    }
    return run_process_tests();
}

}  // namespace spargio::test
