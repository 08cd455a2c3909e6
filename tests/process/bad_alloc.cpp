// SPDX-License-Identifier: MIT
// Memory that runs out at the n-th allocation of the calling thread, for every n: builds and spawns fail as they say,
// and leave nothing. Sanitizers bring an operator new of their own: there is nothing to test with them.
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include <gtest/gtest.h>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"
#include "support/workloads.hpp"

#if !SPARGIO_ASAN && !SPARGIO_TSAN

namespace {

// The allocations of this thread that succeed before one fails; negative: all do.
constinit thread_local long allocations_left = -1;
// The same for all other threads together.
constinit std::atomic<long> allocations_left_elsewhere{-1};
constinit thread_local bool is_main_thread = false;

bool must_fail() noexcept {
    if (is_main_thread) {
        return allocations_left >= 0 && allocations_left-- == 0;
    }
    return allocations_left_elsewhere.load() >= 0 && allocations_left_elsewhere.fetch_sub(1) == 0;
}

}  // namespace

#include "support/replaced_new.hpp"

void before_allocation() {
    if (must_fail()) {
        throw std::bad_alloc();
    }
}

namespace spargio::test {
namespace {

/// Runs `body` again and again, its first allocation failing, then its second, until none does. Returns how many
/// failed.
int fail_each_allocation(const std::function<void()>& body) {
    for (int n = 0; n < 10'000; ++n) {
        allocations_left = n;
        bool failed = false;
        try {
            body();
        } catch (const std::bad_alloc&) {
            failed = true;
        } catch (const std::system_error&) {
            failed = true;
        }
        const bool none_failed = allocations_left >= 0;
        allocations_left = -1;
        if (none_failed) {
            EXPECT_FALSE(failed);
            return n;
        }
    }
    ADD_FAILURE() << "it allocates for ever";
    return 0;
}

Task<int> large(int value) {
    char local[100'000];
    local[0] = static_cast<char>(value);
    char* volatile kept = local;
    co_await yield();
    co_return *kept;
}

class BadAlloc : public BackendTest {
protected:
    Watchdog watchdog_{"allocation failures"};
};

TEST_P(BadAlloc, InABuildLeavesNothing) {
    static_cast<void>(do_some_of_everything(runtime(2)));
    const auto descriptors = open_descriptors();
    const auto threads = thread_count();
    const auto failed = fail_each_allocation(
        [] { const Runtime built = builder(2).thread_prefix("a prefix too long for a small string").build(); });
    EXPECT_GT(failed, 5);
    EXPECT_TRUE(threads_fall_to(threads)) << thread_count() << " threads instead of " << threads;
    EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_P(BadAlloc, InAStartingShardFailsTheBuild) {
    static_cast<void>(do_some_of_everything(runtime(2)));
    const auto descriptors = open_descriptors();
    const auto threads = thread_count();
    int refused = 0;
    bool any_failed = true;
    for (int n = 0; any_failed && n < 1'000; ++n) {
        allocations_left_elsewhere = n;
        const auto built = builder(2).try_build();
        any_failed = allocations_left_elsewhere < 0;
        allocations_left_elsewhere = -1;
        if (built) {  // Perhaps with a smaller ring.
            EXPECT_EQ(do_some_of_everything(*built), everything);
        } else {
            EXPECT_TRUE(any_failed);
            EXPECT_EQ(built.error(), std::errc::not_enough_memory);
            ++refused;
        }
    }
    EXPECT_FALSE(any_failed) << "it allocates for ever";
    EXPECT_GT(refused, 1);
    EXPECT_TRUE(threads_fall_to(threads)) << thread_count() << " threads instead of " << threads;
    EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_P(BadAlloc, InAShutdownFromWithinDoesNotStopIt) {
    auto owner = runtime(2);
    auto ends = owner.handle().spawn_pinned(1, [&] {
        allocations_left_elsewhere = 0;
        owner.shutdown();  // Wants a helper thread.
        allocations_left_elsewhere = -1;
    });
    ends.get();
    owner.shutdown();
    EXPECT_EQ(owner.handle().spawn_pinned(0, [] {}).spawn_error(), RuntimeError::Closed);
}

TEST_P(BadAlloc, InASpawnIsThrownAtTheCall) {
    const auto owner = runtime(2);
    const auto handle = owner.handle();
    std::string text = "text that a small string cannot hold, so that the callable's copy allocates";
    const auto failed = fail_each_allocation([&] {
        auto first = handle.spawn_pinned(1, large(1));
        auto second = handle.spawn_stealable([text] { return text.size(); });
        auto third = handle.spawn_blocking([text] { return text.size(); });
        // Joined on this thread, whose allocations fail: a join makes none.
        EXPECT_EQ(first.get(), 1);
        EXPECT_EQ(second.get(), text.size());
        if (third.spawn_error()) {
            throw std::system_error(third.spawn_error());
        }
        EXPECT_EQ(third.get(), text.size());
    });
    EXPECT_GE(failed, 3);
    EXPECT_EQ(do_some_of_everything(owner), everything);
    EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
}

TEST_P(BadAlloc, InATaskIsItsException) {
    const auto owner = runtime(1);
    auto starving = []() -> Task<int> {
        allocations_left_elsewhere = 0;
        struct Restore {
            Restore() = default;
            Restore(const Restore&) = delete;
            Restore& operator=(const Restore&) = delete;
            ~Restore() { allocations_left_elsewhere = -1; }
        };
        const Restore restore;
        co_return co_await large(1);
    };
    EXPECT_THROW(static_cast<void>(owner.handle().spawn_pinned(0, std::move(starving)).get()), std::bad_alloc);
    EXPECT_EQ(do_some_of_everything(owner), everything);
}

SPARGIO_ON_BOTH_BACKENDS(BadAlloc);

}  // namespace
}  // namespace spargio::test

#endif

int main(int argc, char** argv) {
#if !SPARGIO_ASAN && !SPARGIO_TSAN
    is_main_thread = true;
#endif
    ::testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
