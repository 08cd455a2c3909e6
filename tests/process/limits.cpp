// SPDX-License-Identifier: MIT
// Another user with little locked memory, or few descriptors: smaller rings, a clear error or the queue, and nothing left over.
#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/child_process.hpp"
#include "support/process_gauges.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

constexpr uid_t nobody = 65534;

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

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

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

TEST_F(Limits, LittleLockedMemoryMakesSmallerRings) {
    EXPECT_EQ(run_forked([] {
                  if (!become_somebody_else(RLIMIT_MEMLOCK, rlim_t{64} * 1024)) {
                      return 2;
                  }
                  const Runtime runtime =
                      RuntimeBuilder().shards(1).backend(BackendKind::IoUring).ring_entries(4096).build();
                  const Capabilities capabilities = runtime.handle().capabilities();
                  bool good = holds(capabilities.ring_entries >= 64 && capabilities.ring_entries < 4096, "halved",
                                    capabilities.to_string());
                  good &= holds(contains(capabilities.to_string(), "ulimit -l"), "says why", capabilities.to_string());
                  good &= holds(do_some_of_everything(runtime) == everything, "works", "another result");
                  return good ? 0 : 1;
              }),
              "exit 0");
}

TEST_F(Limits, NoLockedMemoryAtAllIsAClearErrorAndAFallback) {
    EXPECT_EQ(run_forked([] {
                  if (!become_somebody_else(RLIMIT_MEMLOCK, 0)) {
                      return 2;
                  }
                  const auto descriptors = open_descriptors();
                  bool good = true;
                  try {
                      const Runtime runtime = RuntimeBuilder().shards(2).backend(BackendKind::IoUring).build();
                      good = holds(false, "refused", runtime.handle().capabilities().to_string());
                  } catch (const std::system_error& error) {
                      good &= holds(error.code() == RuntimeError::IoUringInit, "IoUringInit", error.what());
                      good &= holds(contains(error.what(), "ulimit -l"), "names the limit", error.what());
                  }
                  const Runtime fallen = RuntimeBuilder().shards(2).build();
                  const Capabilities capabilities = fallen.handle().capabilities();
                  good &= holds(fallen.backend() == BackendKind::Queue, "falls back", capabilities.to_string());
                  good &= holds(contains(capabilities.fallback_reason, "ulimit -l"), "says why", capabilities.to_string());
                  good &= holds(do_some_of_everything(fallen) == everything, "works", "another result");
                  good &= holds(open_descriptors() == descriptors, "descriptors closed", std::to_string(open_descriptors()));
                  return good ? 0 : 1;
              }),
              "exit 0");
}

TEST_F(Limits, ManyShardsShareTheLockedMemoryTimeAfterTime) {
    EXPECT_EQ(run_forked([] {
                  // Less than 64 rings of 256 entries want. What a ring had locked comes back some time after its close.
                  if (!become_somebody_else(RLIMIT_MEMLOCK, rlim_t{1024} * 1024)) {
                      return 2;
                  }
                  const auto descriptors = open_descriptors();
                  bool good = true;
                  for (int round = 0; round < 10 && good; ++round) {
                      const Runtime runtime = RuntimeBuilder().shards(64).build();
                      const Capabilities capabilities = runtime.handle().capabilities();
                      const bool ring = runtime.backend() == BackendKind::IoUring;
                      good &= holds(ring || contains(capabilities.fallback_reason, "ulimit -l"), "a ring, or a reason",
                                    capabilities.to_string());
                      good &= holds(do_some_of_everything(runtime) == everything, "works", "another result");
                  }
                  good &= holds(open_descriptors() == descriptors, "descriptors closed", std::to_string(open_descriptors()));
                  return good ? 0 : 1;
              }),
              "exit 0");
}

TEST_F(Limits, FewDescriptorsAreAClearErrorAndAFallback) {
    EXPECT_EQ(run_forked([] {
                  // The limit bounds the number of a new descriptor, so those that are open count from the highest.
                  const int next = dup(0);
                  close(next);
                  if (next < 0 || !become_somebody_else(RLIMIT_NOFILE, static_cast<rlim_t>(next) + 3)) {
                      return 2;
                  }
                  const auto descriptors = open_descriptors();
                  bool good = true;
                  try {
                      const Runtime runtime = RuntimeBuilder().shards(8).backend(BackendKind::IoUring).build();
                      good = holds(false, "refused", runtime.handle().capabilities().to_string());
                  } catch (const std::system_error& error) {
                      good &= holds(error.code() == RuntimeError::IoUringInit, "IoUringInit", error.what());
                      good &= holds(contains(error.what(), "ulimit -n"), "names the limit", error.what());
                  }
                  good &= holds(threads_fall_to(sanitized ? 2 : 1), "threads joined", std::to_string(thread_count()));
                  good &= holds(open_descriptors() == descriptors, "descriptors closed", std::to_string(open_descriptors()));
                  {
                      const Runtime fallen = RuntimeBuilder().shards(8).build();
                      const Capabilities capabilities = fallen.handle().capabilities();
                      good &= holds(fallen.backend() == BackendKind::Queue, "falls back", capabilities.to_string());
                      good &= holds(contains(capabilities.fallback_reason, "ulimit -n"), "says why",
                                    capabilities.to_string());
                      good &= holds(do_some_of_everything(fallen) == everything, "works", "another result");
                  }
                  {
                      const Runtime small = RuntimeBuilder().shards(1).build();
                      good &= holds(small.backend() == BackendKind::IoUring, "one ring fits",
                                    small.handle().capabilities().to_string());
                  }
                  good &= holds(open_descriptors() == descriptors, "descriptors closed", std::to_string(open_descriptors()));
                  return good ? 0 : 1;
              }),
              "exit 0");
}

TEST_F(Limits, FewThreadsAreAnErrorThatLeavesNothing) {
    if (geteuid() != 0) {
        GTEST_SKIP() << "another user's processes would count";
    }
    EXPECT_EQ(run_forked([] {
                  const auto descriptors = open_descriptors();
                  if (!become_somebody_else(RLIMIT_NPROC, 8)) {
                      return 2;
                  }
                  bool good = true;
                  for (const auto backend : {BackendKind::IoUring, BackendKind::Queue, BackendKind::Auto}) {
                      try {
                          const Runtime runtime = RuntimeBuilder().shards(32).backend(backend).build();
                          good = holds(false, "refused", runtime.handle().capabilities().to_string());
                      } catch (const std::system_error& error) {
                          good &= holds(error.code() == RuntimeError::ThreadSpawn, "ThreadSpawn", error.what());
                          good &= holds(contains(error.what(), "ulimit -u"), "names the limit", error.what());
                      }
                  }
                  good &= holds(threads_fall_to(sanitized ? 2 : 1), "threads joined", std::to_string(thread_count()));
                  good &= holds(open_descriptors() == descriptors, "descriptors closed", std::to_string(open_descriptors()));
                  return good ? 0 : 1;
              }),
              "exit 0");
}

}  // namespace
}  // namespace spargio::test

int main(int argc, char** argv) {
    ::testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
