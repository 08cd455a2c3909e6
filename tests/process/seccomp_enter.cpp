// SPDX-License-Identifier: MIT
// A sandbox that lets rings be set up but denies io_uring_enter: Auto takes the queue and says why, IoUring fails and
// says what to do.
#include <string>
#include <system_error>

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include "spargio/spargio.hpp"
#include "support/process_gauges.hpp"
#include "support/seccomp_filter.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

using SeccompEnter = Without<SYS_io_uring_enter>;

TEST_F(SeccompEnter, AutoTakesTheQueueAndSaysWhy) {
    const auto descriptors = open_descriptors();
    const Runtime runtime = RuntimeBuilder().shards(2).build();
    EXPECT_EQ(runtime.backend(), BackendKind::Queue);
    const Capabilities capabilities = runtime.handle().capabilities();
    EXPECT_NE(capabilities.fallback_reason.find("io_uring_enter"), std::string::npos) << capabilities.to_string();
    EXPECT_NE(capabilities.fallback_reason.find("seccomp"), std::string::npos) << capabilities.to_string();
    EXPECT_EQ(do_some_of_everything(runtime), everything);
    EXPECT_TRUE(descriptors_fall_to(descriptors)) << open_descriptors() << " instead of " << descriptors;
    EXPECT_GE(open_descriptors(), descriptors) << "closed what was not its own";
}

TEST_F(SeccompEnter, IoUringFailsAndSaysWhatToDo) {
    const auto threads = thread_count();
    try {
        const Runtime runtime = RuntimeBuilder().shards(2).backend(BackendKind::IoUring).build();
        FAIL() << "io_uring_enter is denied";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), RuntimeError::IoUringInit);
        EXPECT_NE(std::string(error.what()).find("seccomp"), std::string::npos) << error.what();
    }
    const Result<Runtime> result = RuntimeBuilder().shards(2).backend(BackendKind::IoUring).try_build();
    EXPECT_EQ(result.error(), RuntimeError::IoUringInit);
    EXPECT_TRUE(threads_fall_to(threads));
}

}  // namespace
}  // namespace spargio::test
