// SPDX-License-Identifier: MIT
// A sandbox that denies membarrier from the beginning: the runtime works, its shards always fence, and it says so.
#include <algorithm>
#include <string>

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/light_fences.hpp"
#include "support/seccomp_filter.hpp"
#include "support/stalled_shard.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

using SeccompMembarrier = Without<SYS_membarrier>;

TEST_F(SeccompMembarrier, TheRuntimeWorksWithoutItAndSaysSo) {
    const Runtime runtime = RuntimeBuilder().shards(2).backend(best_backend()).build();
    const auto handle = runtime.handle();
    const auto notes = handle.capabilities().notes;
    EXPECT_TRUE(std::any_of(notes.begin(), notes.end(), [](const std::string& note) {
        return note.find("membarrier") != std::string::npos;
    })) << handle.capabilities().to_string();
    EXPECT_EQ(do_some_of_everything(runtime), everything);
    const StalledShard other(handle, 1);
    auto light = handle.spawn_pinned(0, []() -> Task<bool> {
        EXPECT_EQ(co_await fib(22), 17711U);
        co_return fences_are_light();
    });
    EXPECT_FALSE(light.get());
}

TEST_F(SeccompMembarrier, ARuntimeOfOneShardHasNoUseForIt) {
    const Runtime runtime = RuntimeBuilder().shards(1).backend(best_backend()).build();
    const auto notes = runtime.handle().capabilities().notes;
    EXPECT_TRUE(std::none_of(notes.begin(), notes.end(),
                             [](const std::string& note) { return note.find("membarrier") != std::string::npos; }));
    EXPECT_TRUE(runtime.handle().spawn_pinned(0, [] { return fences_are_light(); }).get());
}

}  // namespace
}  // namespace spargio::test
