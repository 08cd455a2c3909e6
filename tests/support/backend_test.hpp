// SPDX-License-Identifier: MIT
// The fixture of tests that run on both backends, printed as io_uring and queue.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <gtest/gtest.h>

#include "spargio/spargio.hpp"
#include "support/process_gauges.hpp"

namespace spargio {

/// How gtest prints the parameter.
inline void PrintTo(BackendKind kind, std::ostream* out) {
    *out << to_string(kind);
}

namespace test {

/// Why a runtime cannot be built on this backend here; empty where it can. Asked once in a process, and the threads of
/// the runtime that asks are gone when it returns: tests count threads.
[[nodiscard]] inline std::string backend_unavailable(BackendKind kind) {
    if (kind != BackendKind::IoUring) {
        return {};
    }
    static const std::string io_uring = []() -> std::string {
        std::size_t threads = 0;
        try {
            const Runtime runtime = RuntimeBuilder().shards(1).backend(BackendKind::IoUring).build();
            threads = thread_count();
        } catch (const std::system_error& error) {
            return error.what();
        }
        return threads_fall_to(threads - 1) ? std::string() : "its threads do not end";
    }();
    return io_uring;
}

/// Where SPARGIO_TEST_REQUIRE_URING is 1, a test that io_uring is missing for fails: a skip would hide that half of the
/// tests did not run.
[[nodiscard]] inline bool io_uring_required() {
    const char* value = std::getenv("SPARGIO_TEST_REQUIRE_URING");
    return value != nullptr && std::string_view(value) == "1";
}

/// For tests of "the best backend there is": where io_uring is required, nothing less.
[[nodiscard]] inline BackendKind best_backend() {
    return io_uring_required() ? BackendKind::IoUring : BackendKind::Auto;
}

/// What a fixture's members are built on, since they are made before SetUp() skips the test.
[[nodiscard]] inline BackendKind backend_until_skipped(BackendKind kind) {
    return backend_unavailable(kind).empty() ? kind : BackendKind::Queue;
}

class BackendTest : public ::testing::TestWithParam<BackendKind> {
protected:
    void SetUp() override {
        const auto reason = backend_unavailable(GetParam());
        if (reason.empty()) {
            return;
        }
        if (io_uring_required()) {
            FAIL() << "io_uring is required here, and not available: " << reason;
        }
        GTEST_SKIP() << "io_uring is not available: " << reason;
    }

    [[nodiscard]] static RuntimeBuilder builder(std::size_t shards) {
        RuntimeBuilder builder;
        builder.shards(shards).backend(backend_until_skipped(GetParam()));
        return builder;
    }

    [[nodiscard]] static Runtime runtime(std::size_t shards) { return builder(shards).build(); }
};

[[nodiscard]] inline std::string backend_name(const ::testing::TestParamInfo<BackendKind>& info) {
    return std::string(to_string(info.param));
}

/// Returns when the step that `shard` is in has ended, and so has all that was queued there before.
inline void finish_step(const RuntimeHandle& handle, ShardId shard) {
    handle.spawn_pinned(shard, [] {}).get();
}

/// The shard that the caller runs on; external_sender on a thread that is none.
[[nodiscard]] inline ShardId shard_here() {
    const ShardCtx* here = ShardCtx::current();
    return here != nullptr ? here->shard_id() : external_sender;
}

/// Checks, where its scope ends, that every shard that had to wake was woken by a bell: without it a lost one is made
/// good half a second later, and the test passes.
class NoLateWakes {
public:
    explicit NoLateWakes(RuntimeHandle handle) : handle_(std::move(handle)) {}
    NoLateWakes(const NoLateWakes&) = delete;
    NoLateWakes& operator=(const NoLateWakes&) = delete;
    ~NoLateWakes() { EXPECT_EQ(handle_.stats_snapshot().late_wakes, 0U); }

private:
    RuntimeHandle handle_;
};

}  // namespace test
}  // namespace spargio

/// Makes the suite `Suite`, derived from BackendTest or one of its children, run on both backends.
#define SPARGIO_ON_BOTH_BACKENDS(Suite)                                                                         \
    INSTANTIATE_TEST_SUITE_P(, Suite,                                                                           \
                             ::testing::Values(::spargio::BackendKind::IoUring, ::spargio::BackendKind::Queue), \
                             ::spargio::test::backend_name)
