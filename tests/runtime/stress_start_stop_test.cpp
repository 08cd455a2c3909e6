// SPDX-License-Identifier: MIT
// Runtimes that come and go by the thousand leave nothing behind: no descriptor, no thread, no memory.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

constexpr std::size_t mebibyte = std::size_t{1024} * 1024;

/// A little of everything, and some of it unfinished when the runtime goes.
void live_a_little(Runtime runtime) {
    EndLog log;
    const auto handle = runtime.handle();
    auto sum = [handle]() -> Task<int> {
        auto there = handle.spawn_pinned(1, [] { return 1; });
        auto anywhere = handle.spawn_stealable([] { return 2; });
        auto blocking = handle.spawn_blocking([] { return 4; });
        co_await yield();
        int total = co_await std::move(there);
        total += co_await std::move(anywhere);
        total += co_await std::move(blocking);
        co_return total;
    };
    ASSERT_EQ(runtime.block_on(std::move(sum)), 7);
    auto sleeper = [tracker = Tracker(log)]() -> Task<> {
        static_cast<void>(co_await sleep_for(std::chrono::hours(1)));
    };
    for (int i = 0; i < 4; ++i) {
        auto another = [tracker = Tracker(log)]() -> Task<> {
            static_cast<void>(co_await sleep_for(std::chrono::hours(1)));
        };
        handle.spawn_round_robin(std::move(another)).detach();
    }
    auto last = handle.spawn_stealable(std::move(sleeper));
    runtime.shutdown();
    ASSERT_TRUE(last.done());
    ASSERT_EQ(log.size(), 5U);
}

class StressStartStop : public BackendTest {
protected:
    Watchdog watchdog_{"start and stop"};
};

TEST_P(StressStartStop, AThousandRuntimesLeaveNothingBehind) {
    const unsigned warm = scaled(100, 20);
    const unsigned rounds = scaled(1000, 200);
    for (unsigned i = 0; i < warm; ++i) {
        live_a_little(runtime(2));
    }
    const auto descriptors = open_descriptors();
    const auto threads = thread_count();
    const auto memory = resident_bytes();
    for (unsigned i = 0; i < rounds; ++i) {
        live_a_little(runtime(2));
        ASSERT_FALSE(HasFailure());
        watchdog_.progress("round " + std::to_string(i));
    }
    EXPECT_EQ(open_descriptors(), descriptors);
    EXPECT_TRUE(threads_fall_to(threads)) << thread_count() << " threads instead of " << threads;
    if (!sanitized) {
        EXPECT_LE(resident_bytes(), memory + 4 * mebibyte);
    }
}

TEST_P(StressStartStop, RuntimesBuiltAndDestroyedByManyThreadsAtOnceDoNotMeet) {
    const unsigned rounds = scaled(100, 20);
    live_a_little(runtime(2));
    const auto descriptors = open_descriptors();
    const auto threads_before = thread_count();
    std::vector<std::thread> builders;
    for (int i = 0; i < 4; ++i) {
        builders.emplace_back([rounds] {
            for (unsigned round = 0; round < rounds; ++round) {
                live_a_little(runtime(2));
            }
        });
    }
    for (auto& builder : builders) {
        builder.join();
    }
    EXPECT_EQ(open_descriptors(), descriptors);
    EXPECT_TRUE(threads_fall_to(threads_before));
}

TEST_P(StressStartStop, TheLastOwnerGoesAwayInATaskOfItsOwnRuntime) {
    const unsigned rounds = scaled(200, 50);
    live_a_little(runtime(2));
    const auto descriptors = open_descriptors();
    const auto threads = thread_count();
    for (unsigned i = 0; i < rounds; ++i) {
        auto owner = std::make_shared<Runtime>(runtime(2));
        const auto handle = owner->handle();
        Event gone;
        auto drop = [owner = std::move(owner), &gone]() mutable {
            owner.reset();
            gone.set();  // The step that shuts its own runtime down is finished.
        };
        auto dropped = handle.spawn_pinned(static_cast<ShardId>(i % 2), std::move(drop));
        gone.wait();
        dropped.get();
        EXPECT_EQ(handle.spawn_stealable([] {}).spawn_error(), RuntimeError::Closed);
        watchdog_.progress("round " + std::to_string(i));
    }
    EXPECT_TRUE(threads_fall_to(threads)) << thread_count() << " threads instead of " << threads;
    EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_P(StressStartStop, AnIdleRuntimeStartsAndStopsBeforeItsShardsEverSlept) {
    const unsigned rounds = scaled(500, 100);
    for (unsigned i = 0; i < rounds; ++i) {
        Runtime idle = builder(1 + i % 3).idle_spin(std::chrono::microseconds(i % 2 == 0 ? 0 : 50)).build();
        idle.shutdown();
        idle.shutdown();
        watchdog_.progress("round " + std::to_string(i));
    }
}

TEST_P(StressStartStop, ManyThreadsShutOneRuntimeDownTogether) {
    const unsigned rounds = scaled(200, 50);
    for (unsigned i = 0; i < rounds; ++i) {
        Runtime owner = runtime(2);
        std::atomic<int> early{0};
        auto endless = []() -> Task<> {
            for (;;) {
                co_await yield();
            }
        };
        auto running = owner.handle().spawn_stealable(std::move(endless));
        std::array<std::thread, 3> closers;
        for (auto& closer : closers) {
            closer = std::thread([&] {
                owner.shutdown();
                // Every call of shutdown() returns when all is over, not only the first.
                early += running.done() ? 0 : 1;
            });
        }
        for (auto& closer : closers) {
            closer.join();
        }
        EXPECT_EQ(early, 0);
        watchdog_.progress("round " + std::to_string(i));
    }
}

SPARGIO_ON_BOTH_BACKENDS(StressStartStop);

}  // namespace
}  // namespace spargio::test
