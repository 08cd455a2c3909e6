// SPDX-License-Identifier: MIT
// Another user with little locked memory (ulimit -l; kernels from 5.12 to 6.13 do not charge rings to it), or few
// descriptors: smaller rings, a clear error or the queue, and nothing left over.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>

#include <grp.h>
#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/child_process.hpp"
#include "support/process_gauges.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

/// Somebody whom no other process is: what is locked counts for the user.
const uid_t nobody = 100'000 + static_cast<uid_t>(getpid());

/// In a child: the limit binds only those who have not CAP_IPC_LOCK and CAP_SYS_RESOURCE.
bool become_somebody_else(int resource, rlim_t limit) {
    const rlimit both{limit, limit};
    if (setrlimit(static_cast<__rlimit_resource>(resource), &both) != 0) {
        return false;
    }
    if (geteuid() != 0) {
        return true;
    }
    return setgroups(0, nullptr) == 0 && setgid(nobody) == 0 && setuid(nobody) == 0;
}

/// A failed expectation of a child: said on stderr, where CTest shows it.
bool holds(bool condition, const char* sentence, const std::string& seen) {
    if (!condition) {
        std::fprintf(stderr, "does not hold: %s; seen: %s\n", sentence, seen.c_str());
    }
    return condition;
}

/// What a child compares its end with, after runtimes of both kinds have come and gone: sanitizers start threads of
/// their own, and look at types for the first time, which costs them a descriptor.
struct Baseline {
    Baseline() {
        for (const auto backend : {BackendKind::IoUring, BackendKind::Queue}) {
            const Runtime runtime = RuntimeBuilder().shards(1).backend(backend).build();
            static_cast<void>(do_some_of_everything(runtime));
        }
        threads = thread_count();
        descriptors = open_descriptors();
    }

    [[nodiscard]] bool nothing_left() const {
        const bool joined = holds(threads_fall_to(threads), "threads are joined", std::to_string(thread_count()));
        return holds(open_descriptors() == descriptors, "descriptors are closed", std::to_string(open_descriptors())) &&
               joined;
    }

    std::size_t threads = 0;
    std::size_t descriptors = 0;
};

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// The build fails with this code and names the limit.
bool refused(const RuntimeBuilder& builder, RuntimeError code, const char* limit) {
    try {
        const Runtime runtime = builder.build();
        return holds(false, "is refused", runtime.handle().capabilities().to_string());
    } catch (const std::system_error& error) {
        return holds(error.code() == code, "has the right code", error.what()) &&
               holds(contains(error.what(), limit), "names the limit", error.what());
    }
}

bool works(const Runtime& runtime) {
    return holds(do_some_of_everything(runtime) == everything, "works", "another sum");
}

/// Auto takes the queue, names the limit, and works.
bool falls_back(RuntimeBuilder builder, const char* limit) {
    const Runtime runtime = builder.backend(BackendKind::Auto).build();
    const Capabilities capabilities = runtime.handle().capabilities();
    return holds(runtime.backend() == BackendKind::Queue, "falls back", capabilities.to_string()) &&
           holds(contains(capabilities.fallback_reason, limit), "says why", capabilities.to_string()) && works(runtime);
}

constexpr int success = 0;
constexpr int failure = 1;
constexpr int no_limit_set = 2;

/// The plainest ring there is, as somebody without any locked memory: succeeds where the kernel refuses it.
int rings_need_locked_memory() {
    if (!become_somebody_else(RLIMIT_MEMLOCK, 0)) {
        return no_limit_set;
    }
    io_uring_params plain{};
    const long ring = syscall(SYS_io_uring_setup, 8, &plain);
    return ring < 0 && errno == ENOMEM ? success : failure;
}

int with_little_locked_memory() {
    if (!become_somebody_else(RLIMIT_MEMLOCK, rlim_t{64} * 1024)) {
        return no_limit_set;
    }
    const Runtime runtime = RuntimeBuilder().shards(1).backend(BackendKind::IoUring).ring_entries(4096).build();
    const Capabilities capabilities = runtime.handle().capabilities();
    const auto entries = capabilities.ring_entries;
    const bool good = holds(entries >= 64 && entries < 4096, "the rings are smaller", capabilities.to_string()) &&
                      holds(contains(capabilities.to_string(), "ulimit -l"), "says why", capabilities.to_string());
    return works(runtime) && good ? success : failure;
}

int without_locked_memory() {
    const Baseline baseline;
    if (!become_somebody_else(RLIMIT_MEMLOCK, 0)) {
        return no_limit_set;
    }
    bool good =
        refused(RuntimeBuilder().shards(2).backend(BackendKind::IoUring), RuntimeError::IoUringInit, "ulimit -l");
    good &= baseline.nothing_left();
    good &= falls_back(RuntimeBuilder().shards(2), "ulimit -l");
    good &= baseline.nothing_left();
    return good ? success : failure;
}

int with_memory_for_some_of_64_shards() {
    const Baseline baseline;
    // 64 rings of 256 entries want more. What a ring had locked comes back some time after its close.
    if (!become_somebody_else(RLIMIT_MEMLOCK, rlim_t{1024} * 1024)) {
        return no_limit_set;
    }
    bool good = true;
    for (int round = 0; round < 10 && good; ++round) {
        const Runtime runtime = RuntimeBuilder().shards(64).build();
        const Capabilities capabilities = runtime.handle().capabilities();
        good &= holds(runtime.backend() == BackendKind::IoUring || contains(capabilities.fallback_reason, "ulimit -l"),
                      "has rings, or a reason", capabilities.to_string());
        good &= works(runtime);
    }
    return baseline.nothing_left() && good ? success : failure;
}

int with_few_descriptors() {
    const Baseline baseline;
    // The limit bounds the number that a new descriptor may get.
    const int next = dup(0);
    close(next);
    if (next < 0 || !become_somebody_else(RLIMIT_NOFILE, static_cast<rlim_t>(next) + 3)) {
        return no_limit_set;
    }
    bool good =
        refused(RuntimeBuilder().shards(8).backend(BackendKind::IoUring), RuntimeError::IoUringInit, "ulimit -n");
    good &= baseline.nothing_left();
    good &= falls_back(RuntimeBuilder().shards(8), "ulimit -n");
    good &= baseline.nothing_left();
    const Runtime small = RuntimeBuilder().shards(1).build();
    good &= holds(small.backend() == BackendKind::IoUring, "one ring fits", small.handle().capabilities().to_string());
    return works(small) && good ? success : failure;
}

int with_few_threads() {
    const Baseline baseline;
    if (!become_somebody_else(RLIMIT_NPROC, 8)) {
        return no_limit_set;
    }
    bool good = true;
    for (const auto backend : {BackendKind::IoUring, BackendKind::Queue, BackendKind::Auto}) {
        good &= refused(RuntimeBuilder().shards(32).backend(backend), RuntimeError::ThreadSpawn, "ulimit -u");
        good &= baseline.nothing_left();
    }
    return good ? success : failure;
}

class Limits : public ::testing::Test {
protected:
    void SetUp() override {
        // Asked in a child: this process must stay without threads, or it could not fork.
        const std::string ring = run_forked([] { return backend_unavailable(BackendKind::IoUring).empty() ? 0 : 1; });
        if (ring != "exit 0") {
            if (io_uring_required()) {
                FAIL() << "io_uring is required here, and not available";
            }
            GTEST_SKIP() << "io_uring is not available";
        }
    }
};

/// For limits that count what all processes of a user have: only root can become one who has no other.
class LimitsOfAUser : public Limits {
protected:
    void SetUp() override {
        Limits::SetUp();
        if (!IsSkipped() && geteuid() != 0) {
            GTEST_SKIP() << "the other processes of this user would count";
        }
    }
};

class LockedMemory : public LimitsOfAUser {
protected:
    void SetUp() override {
        LimitsOfAUser::SetUp();
        if (!IsSkipped() && run_forked(rings_need_locked_memory) == "exit 1") {
            GTEST_SKIP() << "rings are not charged to RLIMIT_MEMLOCK here (5.12 to 6.13)";
        }
    }
};

TEST_F(LockedMemory, LittleMakesSmallerRings) {
    EXPECT_EQ(run_forked(with_little_locked_memory), "exit 0");
}

TEST_F(LockedMemory, NoneIsAClearErrorAndAFallback) {
    EXPECT_EQ(run_forked(without_locked_memory), "exit 0");
}

TEST_F(LockedMemory, IsSharedByManyShardsTimeAfterTime) {
    EXPECT_EQ(run_forked(with_memory_for_some_of_64_shards), "exit 0");
}

TEST_F(Limits, FewDescriptorsAreAClearErrorAndAFallback) {
    EXPECT_EQ(run_forked(with_few_descriptors), "exit 0");
}

TEST_F(LimitsOfAUser, FewThreadsAreAnErrorThatLeavesNothing) {
    EXPECT_EQ(run_forked(with_few_threads), "exit 0");
}

}  // namespace
}  // namespace spargio::test
