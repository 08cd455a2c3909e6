// SPDX-License-Identifier: MIT
// What a shutdown does to the tasks that have not ended: which step is the last, who is destroyed where, and in which
// order.
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/shutdown_checks.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class ShutdownOrder : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(ShutdownOrder);

TEST_P(ShutdownOrder, EverySuspendedTaskIsDestroyedOnItsShardAndNoneIsResumed) {
    EndLog log;
    Event never;
    std::atomic<int> resumed{0};
    auto two = runtime(2);
    const auto handle = two.handle();
    std::vector<JoinHandle<void>> joins;
    Latch suspended(8);
    for (ShardId shard = 0; shard < 2; ++shard) {
        const auto name = std::to_string(shard);
        joins.push_back(handle.spawn_pinned(shard, [&, t = Tracker(log, name)]() -> Task<> {
            suspended.arrive();
            static_cast<void>(co_await sleep_for(std::chrono::hours(1)));
            ++resumed;
        }));
        joins.push_back(handle.spawn_pinned(shard, [&, t = Tracker(log, name)]() -> Task<> {
            auto child = handle.spawn_pinned(0, [&]() -> Task<> { co_await never.async_wait(); });
            suspended.arrive();
            static_cast<void>(co_await child.join());
            ++resumed;
        }));
        joins.push_back(handle.spawn_pinned(shard, [&, t = Tracker(log, name)]() -> Task<> {
            suspended.arrive();
            co_await never.async_wait();
            ++resumed;
        }));
        joins.push_back(handle.spawn_pinned(shard, [&, t = Tracker(log, name)]() -> Task<> {
            auto job = handle.spawn_blocking([&] { suspended.wait(); });
            suspended.arrive();
            co_await std::move(job);
            co_await never.async_wait();
            ++resumed;
        }));
    }
    suspended.wait();
    two.shutdown();
    EXPECT_EQ(resumed.load(), 0);
    EXPECT_EQ(log.size(), 8U);
    for (const auto& ended : log.all()) {
        EXPECT_EQ(std::to_string(ended.shard), ended.name);
    }
    for (auto& join : joins) {
        EXPECT_EQ(code_of(join), JoinError::Canceled);
    }
}

TEST_P(ShutdownOrder, StealableTasksAreDestroyedOnSomeShard) {
    EndLog log;
    Event never;
    {
        auto three = runtime(3);
        Latch suspended(30);
        for (int i = 0; i < 30; ++i) {
            three.handle()
                .spawn_stealable([&, t = Tracker(log)]() -> Task<> {
                    suspended.arrive();
                    co_await never.async_wait();
                })
                .detach();
        }
        suspended.wait();
    }
    EXPECT_EQ(log.size(), 30U);
    EXPECT_EQ(log.on_shard(external_sender), 0U);
}

TEST_P(ShutdownOrder, TasksThatNeverStartedAreDestroyedOnTheirShard) {
    EndLog log;
    std::vector<JoinHandle<void>> joins;
    auto two = runtime(2);
    const auto handle = two.handle();
    StalledShard first(handle, 0);
    StalledShard second(handle, 1);
    for (ShardId shard = 0; shard < 2; ++shard) {
        const auto name = std::to_string(shard);
        for (int i = 0; i < 5; ++i) {
            joins.push_back(handle.spawn_pinned(shard, [t = Tracker(log, name)] { ADD_FAILURE() << "it ran"; }));
        }
        joins.push_back(handle.spawn_stealable([t = Tracker(log, "any")] { ADD_FAILURE() << "it ran"; }));
    }
    first.shut_down(two);
    second.release();
    two.shutdown();
    EXPECT_EQ(log.size(), 12U);
    for (const auto& ended : log.all()) {
        if (ended.name == "any") {
            EXPECT_NE(ended.shard, external_sender);
        } else {
            EXPECT_EQ(std::to_string(ended.shard), ended.name);
        }
    }
    for (auto& join : joins) {
        EXPECT_EQ(code_of(join), JoinError::Canceled);
    }
}

// Three tasks under one root, each awaiting the next; the innermost ends first.
TEST_P(ShutdownOrder, AwaitedTasksAreDestroyedBeforeThoseThatAwaitThem) {
    EndLog log;
    Event never;
    Event suspended;
    struct Nest {
        static Task<> level(int depth, EndLog& log, Event& suspended, Event& never) {
            const Tracker local(log, std::to_string(depth));
            if (depth == 3) {
                suspended.set();
                co_await never.async_wait();
            } else {
                auto inner = level(depth + 1, log, suspended, never);
                co_await std::move(inner);
            }
        }
    };
    {
        auto one = runtime(1);
        one.handle().spawn_pinned(0, Nest::level(1, log, suspended, never)).detach();
        suspended.wait();
    }
    EXPECT_EQ(log.names(), (std::vector<std::string>{"3", "2", "1"}));
}

TEST_P(ShutdownOrder, AChainOfManySuspendedAwaitsIsDestroyedWithoutRecursion) {
    const int depth = static_cast<int>(scaled(1'000'000, 20'000));
    Event never;
    Event suspended;
    std::atomic<int> ended{0};
    struct Guard {
        explicit Guard(std::atomic<int>& c) : count(c) {}
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;
        ~Guard() { count.fetch_add(1, std::memory_order_relaxed); }
        std::atomic<int>& count;
    };
    struct Deep {
        static Task<> level(int left, std::atomic<int>& ended, Event& suspended, Event& never) {
            const Guard guard(ended);
            if (left == 0) {
                suspended.set();
                co_await never.async_wait();
            } else {
                auto inner = level(left - 1, ended, suspended, never);
                co_await std::move(inner);
            }
        }
    };
    {
        auto one = runtime(1);
        one.handle().spawn_pinned(0, Deep::level(depth, ended, suspended, never)).detach();
        suspended.wait();
    }
    EXPECT_EQ(ended.load(), depth + 1);
}

TEST_P(ShutdownOrder, TheStepThatASchedulerIsInEndsFirst) {
    Event in_step;
    Event release;
    std::atomic<bool> step_ended{false};
    auto two = runtime(2);
    const auto handle = two.handle();
    auto running = handle.spawn_pinned(1, [&] {
        in_step.set();
        release.wait();
        step_ended.store(true);
        return 7;
    });
    in_step.wait();
    std::thread closer([&] {
        two.shutdown();
        EXPECT_TRUE(step_ended.load());
    });
    while (!handle.spawn_pinned(0, [] {}).spawn_error()) {
        std::this_thread::yield();
    }
    release.set();
    EXPECT_EQ(running.get(), 7) << "a task that ends in that step has a result";
    closer.join();
}

TEST_P(ShutdownOrder, BlockingJobsThatRunAreAwaitedAndQueuedOnesCanceled) {
    EndLog log;
    Event running;
    Event release;
    std::atomic<bool> job_ended{false};
    auto one = builder(1).blocking_threads(1).build();
    const auto handle = one.handle();
    auto runs = handle.spawn_blocking([&, t = Tracker(log, "ran")] {
        running.set();
        release.wait();
        job_ended.store(true);
        return 7;
    });
    running.wait();
    auto waits = handle.spawn_blocking([t = Tracker(log, "waited")] { ADD_FAILURE() << "it ran"; });
    std::thread closer([&] {
        one.shutdown();
        EXPECT_TRUE(job_ended.load());
    });
    EXPECT_EQ(code_of(waits), JoinError::Canceled) << "at once, not when the running one ends";
    EXPECT_FALSE(job_ended.load());
    release.set();
    closer.join();
    EXPECT_EQ(runs.get(), 7);
    EXPECT_EQ(log.names(), (std::vector<std::string>{"waited", "ran"}));
}

TEST_P(ShutdownOrder, ATaskThatWaitsForARunningBlockingJobIsDestroyedMeanwhile) {
    EndLog log;
    Event running;
    Event release;
    auto one = runtime(1);
    const auto handle = one.handle();
    handle
        .spawn_pinned(0,
                      [&, t = Tracker(log, "task")]() -> Task<> {
                          auto job = handle.spawn_blocking([&] {
                              running.set();
                              release.wait();
                          });
                          co_await std::move(job);
                          ADD_FAILURE() << "a task was resumed by a shutdown";
                      })
        .detach();
    running.wait();
    StalledShard(handle, 0).shut_down(one);
    release.set();
    one.shutdown();
    EXPECT_EQ(log.on_shard(0), 1U);
}

TEST_P(ShutdownOrder, DestructorsMayUseTheRuntime) {
    Event never;
    EndLog log;
    struct Busy {
        Busy(const RuntimeHandle& h, JoinHandle<void>& o, EndLog& l) : handle(h), other(o), log(l) {}
        Busy(const Busy&) = delete;
        Busy& operator=(const Busy&) = delete;
        ~Busy() {
            EXPECT_EQ(handle.spawn_pinned(0, [t = Tracker(log)] {}).spawn_error(), RuntimeError::Closed);
            EXPECT_EQ(handle.spawn_stealable([] {}).spawn_error(), RuntimeError::Closed);
            EXPECT_EQ(ShardCtx::current()->spawn_local([] {}).spawn_error(), RuntimeError::Closed);
            other.request_stop();
            static_cast<void>(other.done());
            static_cast<void>(handle.stats_snapshot());
        }
        const RuntimeHandle& handle;
        JoinHandle<void>& other;
        EndLog& log;
    };
    auto two = runtime(2);
    const auto handle = two.handle();
    auto other = handle.spawn_pinned(1, [&]() -> Task<> { co_await never.async_wait(); });
    Latch suspended(2);
    for (ShardId shard = 0; shard < 2; ++shard) {
        handle
            .spawn_pinned(shard,
                          [&]() -> Task<> {
                              const Busy busy(handle, other, log);
                              suspended.arrive();
                              co_await never.async_wait();
                          })
            .detach();
    }
    suspended.wait();
    two.shutdown();
    EXPECT_EQ(log.size(), 2U);
}

TEST_P(ShutdownOrder, HandlesInDestroyedFramesDetach) {
    EndLog log;
    Event never;
    {
        auto two = runtime(2);
        const auto handle = two.handle();
        Event suspended;
        handle
            .spawn_pinned(0,
                          [&, t = Tracker(log)]() -> Task<> {
                              std::vector<JoinHandle<int>> children;
                              for (int i = 0; i < 20; ++i) {
                                  children.push_back(handle.spawn_round_robin([&, t2 = Tracker(log), i]() -> Task<int> {
                                      if (i % 2 == 0) {
                                          co_await never.async_wait();
                                      }
                                      co_return i;
                                  }));
                              }
                              suspended.set();
                              co_await never.async_wait();
                          })
            .detach();
        suspended.wait();
    }
    EXPECT_EQ(log.size(), 21U);
}

}  // namespace
}  // namespace spargio::test
