// SPDX-License-Identifier: MIT
// What a shutdown does to blocking jobs: those that run are awaited, those that are queued are not begun.
#include <atomic>
#include <chrono>
#include <future>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class BlockingShutdown : public BackendTest {
protected:
    Watchdog watchdog_{"a shutdown with blocking jobs"};
};
SPARGIO_ON_BOTH_BACKENDS(BlockingShutdown);

TEST_P(BlockingShutdown, AtAShutdownQueuedJobsAreCanceledAndRunningOnesAwaited) {
    auto one = builder(1).blocking_threads(2).build();
    const auto handle = one.handle();
    Latch running(2);
    Event release;
    std::atomic<int> ended{0};
    std::vector<JoinHandle<int>> run;
    for (int i = 0; i < 2; ++i) {
        run.push_back(handle.spawn_blocking([&, i] {
            running.arrive();
            release.wait();
            ended.fetch_add(1);
            return i;
        }));
    }
    running.wait();
    EndLog log;
    std::vector<JoinHandle<void>> queued;
    for (int i = 0; i < 10; ++i) {
        queued.push_back(handle.spawn_blocking([t = Tracker(log)] { ADD_FAILURE() << "it ran"; }));
    }
    std::thread closer([&] {
        one.shutdown();
        EXPECT_EQ(ended.load(), 2);
    });
    for (auto& job : queued) {
        EXPECT_TRUE(job.wait_for(std::chrono::seconds(60)));
        EXPECT_FALSE(job.spawn_error()) << "it was accepted";
        std::error_code code;
        try {
            job.get();
        } catch (const std::system_error& error) {
            code = error.code();
        }
        EXPECT_EQ(code, JoinError::Canceled);
    }
    EXPECT_EQ(log.size(), 10U);
    EXPECT_EQ(ended.load(), 0);
    EXPECT_EQ(handle.spawn_blocking([] {}).spawn_error(), RuntimeError::Closed);
    release.set();
    closer.join();
    EXPECT_EQ(run[0].get(), 0);
    EXPECT_EQ(run[1].get(), 1);
}

// Not even while a shard is in a long step, and the shutdown waits for it.
TEST_P(BlockingShutdown, NoQueuedJobBeginsInAShutdown) {
    for (int round = 0; round < 10; ++round) {
        auto one = builder(1).blocking_threads(1).build();
        const auto handle = one.handle();
        Event release;
        Event running;
        auto job = handle.spawn_blocking([&] {
            running.set();
            release.wait();
        });
        std::vector<JoinHandle<void>> queued;
        for (int i = 0; i < 20; ++i) {
            queued.push_back(handle.spawn_blocking([] { ADD_FAILURE() << "it ran"; }));
        }
        running.wait();
        StalledShard stalled(handle, 0);
        std::thread closer([&] { one.shutdown(); });
        while (handle.spawn_round_robin([] {}).spawn_error() != RuntimeError::Closed) {
            std::this_thread::yield();
        }
        release.set();
        job.get();
        stalled.release();
        closer.join();
        for (auto& each : queued) {
            EXPECT_THROW(each.get(), std::system_error);
        }
    }
}

// The shutdown does not wait for the step first.
TEST_P(BlockingShutdown, AStepThatWaitsForAQueuedJobIsToldThatItIsDropped) {
    auto one = builder(1).blocking_threads(1).build();
    const auto handle = one.handle();
    Event running;
    Event release;
    auto job = handle.spawn_blocking([&] {
        running.set();
        release.wait();
    });
    running.wait();
    Event queued;
    auto step = handle.spawn_pinned(0, [&] {
        std::promise<void> promise;
        auto answer = promise.get_future();
        handle.spawn_blocking([kept = std::move(promise)]() mutable { kept.set_value(); }).detach();
        queued.set();
        EXPECT_THROW(answer.get(), std::future_error);
        release.set();
    });
    queued.wait();
    one.shutdown();
    step.get();
    job.get();
}

}  // namespace
}  // namespace spargio::test
