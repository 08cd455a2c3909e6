// SPDX-License-Identifier: MIT
// A system call that fails from now on, in this process and all its threads to come; and a fixture for tests of that.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"

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

/// Its tests are in a process that is denied this call before it has a runtime. Skipped, with the reason, where that
/// cannot be.
template <long system_call>
class Without : public ::testing::Test {
protected:
    void SetUp() override {
        static const std::string reason = deny();  // Once: all tests of this process may follow.
        if (reason.empty()) {
            return;
        }
        if (io_uring_required()) {
            FAIL() << reason;
        }
        GTEST_SKIP() << reason;
    }

private:
    static std::string deny() {
        // What a ring does without its call needs a ring to begin with.
        constexpr bool of_a_ring = system_call == SYS_io_uring_setup || system_call == SYS_io_uring_enter ||
                                   system_call == SYS_io_uring_register;
        if (of_a_ring && !backend_unavailable(BackendKind::IoUring).empty()) {
            return "io_uring is not available anyway: " + backend_unavailable(BackendKind::IoUring);
        }
        return deny_system_call(system_call, EPERM) ? "" : "seccomp filters are not available";
    }
};

}  // namespace spargio::test
