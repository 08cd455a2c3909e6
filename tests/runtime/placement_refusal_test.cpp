// SPDX-License-Identifier: MIT
// Refused spawns: unknown shards, closed runtimes, full queues; what becomes of the frame, and what is counted.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class Refusal : public BackendTest {
protected:
    /// Holds a shard in a step until release().
    class Stall {
    public:
        Stall(const RuntimeHandle& handle, ShardId shard) {
            Event stalled;
            blocker_.emplace(handle.spawn_pinned(shard, [&stalled, this] {
                stalled.set();
                release_.wait();
            }));
            stalled.wait();
        }
        Stall(const Stall&) = delete;
        Stall& operator=(const Stall&) = delete;
        ~Stall() { release(); }
        void release() {
            if (blocker_) {
                release_.set();
                blocker_->get();
                blocker_.reset();
            }
        }

    private:
        Event release_;
        std::optional<JoinHandle<void>> blocker_;
    };
};
SPARGIO_ON_BOTH_BACKENDS(Refusal);

/// Every way to spawn, by name.
using Spawn = std::function<JoinHandle<void>(const RuntimeHandle&, Tracker)>;
std::vector<std::pair<std::string, Spawn>> all_spawns() {
    const auto body = [](Tracker tracker) { return [tracker = std::move(tracker)] {}; };
    return {
        {"pinned", [=](const RuntimeHandle& h, Tracker t) { return h.spawn_pinned(0, body(std::move(t))); }},
        {"round_robin", [=](const RuntimeHandle& h, Tracker t) { return h.spawn_round_robin(body(std::move(t))); }},
        {"sticky", [=](const RuntimeHandle& h, Tracker t) { return h.spawn_sticky(5, body(std::move(t))); }},
        {"stealable", [=](const RuntimeHandle& h, Tracker t) { return h.spawn_stealable(body(std::move(t))); }},
        {"stealable_on",
         [=](const RuntimeHandle& h, Tracker t) { return h.spawn_stealable_on(0, body(std::move(t))); }},
        {"with_placement",
         [=](const RuntimeHandle& h, Tracker t) {
             return h.spawn_with_placement(TaskPlacement::stealable_preferred(0), body(std::move(t)));
         }},
        {"blocking", [=](const RuntimeHandle& h, Tracker t) { return h.spawn_blocking(body(std::move(t))); }},
    };
}

/// The frame ended during the call, on the calling thread, and the handle tells why.
void expect_refused(JoinHandle<void> handle, const EndLog& log, RuntimeError reason) {
    ASSERT_EQ(log.size(), 1U) << "a refused task's frame is destroyed at once";
    EXPECT_EQ(log.all()[0].thread, std::this_thread::get_id());
    EXPECT_TRUE(handle.done());
    EXPECT_EQ(handle.spawn_error(), reason);
    EXPECT_TRUE(handle.wait_for(std::chrono::seconds(0)));
    handle.request_stop();
    try {
        handle.get();
        ADD_FAILURE() << "a refused task has no result";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), reason);
    }
}

TEST_P(Refusal, AnUnknownShardIsInvalidShard) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (const ShardId shard : {ShardId{2}, ShardId{3}, ShardId{0xFFFE}, external_sender}) {
        {
            EndLog log;
            expect_refused(handle.spawn_pinned(shard, [t = Tracker(log)] {}), log, RuntimeError::InvalidShard);
        }
        {
            EndLog log;
            expect_refused(handle.spawn_stealable_on(shard, [t = Tracker(log)] {}), log, RuntimeError::InvalidShard);
        }
        for (const auto place : {TaskPlacement::pinned(shard), TaskPlacement::stealable_preferred(shard)}) {
            EndLog log;
            expect_refused(handle.spawn_with_placement(place, [t = Tracker(log)] {}), log, RuntimeError::InvalidShard);
        }
    }
}

TEST_P(Refusal, AnUnknownShardIsInvalidShardForATaskToo) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    two_shards.block_on([&] {
        EndLog log;
        auto refused = handle.spawn_pinned(2, [t = Tracker(log)] {});
        EXPECT_EQ(log.on_shard(shard_here()), 1U);
        EXPECT_EQ(refused.spawn_error(), RuntimeError::InvalidShard);
        auto preferred = handle.spawn_stealable_on(2, [t = Tracker(log)] {});
        EXPECT_EQ(preferred.spawn_error(), RuntimeError::InvalidShard);
        EXPECT_EQ(log.size(), 2U);
    });
}

TEST_P(Refusal, AfterShutdownEverySpawnIsClosed) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    two_shards.shutdown();
    for (const auto& [name, spawn] : all_spawns()) {
        SCOPED_TRACE(name);
        EndLog log;
        expect_refused(spawn(handle, Tracker(log)), log, RuntimeError::Closed);
    }
    EndLog log;
    try {
        two_shards.block_on([t = Tracker(log)] {});
        ADD_FAILURE() << "block_on after shutdown";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), RuntimeError::Closed);
    }
    EXPECT_EQ(log.size(), 1U);
}

TEST_P(Refusal, AfterItsOwnShutdownATaskGetsClosedForEverySpawn) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    auto caller = handle.spawn_pinned(0, [&] {
        two_shards.shutdown();
        for (const auto& [name, spawn] : all_spawns()) {
            SCOPED_TRACE(name);
            EndLog log;
            const auto refused = spawn(handle, Tracker(log));
            EXPECT_EQ(refused.spawn_error(), RuntimeError::Closed);
            EXPECT_EQ(log.size(), 1U);
        }
        EndLog log;
        const auto local = ShardCtx::current()->spawn_local([t = Tracker(log)] {});
        EXPECT_EQ(local.spawn_error(), RuntimeError::Closed);
        EXPECT_EQ(log.size(), 1U);
    });
    caller.get();
}

TEST_P(Refusal, AFullQueueIsOverloadedFromOutside) {
    constexpr std::size_t kCapacity = 4;
    auto one = builder(1).stealable_queue_capacity(kCapacity).build();
    const auto handle = one.handle();
    const NoLateWakes all_woken(handle);
    Stall stall(handle, 0);
    std::atomic<int> ran{0};
    std::vector<JoinHandle<void>> accepted;
    for (std::size_t i = 0; i < kCapacity; ++i) {
        auto spawned = i % 2 == 0 ? handle.spawn_stealable([&] { ran.fetch_add(1); })
                                  : handle.spawn_stealable_on(0, [&] { ran.fetch_add(1); });
        ASSERT_FALSE(spawned.spawn_error());
        accepted.push_back(std::move(spawned));
    }
    for (int i = 0; i < 3; ++i) {
        EndLog log;
        expect_refused(handle.spawn_stealable([t = Tracker(log)] {}), log, RuntimeError::Overloaded);
        EndLog other_log;
        expect_refused(handle.spawn_stealable_on(0, [t = Tracker(other_log)] {}), other_log, RuntimeError::Overloaded);
    }
    // Pinned work has no bound of its own.
    auto pinned = handle.spawn_pinned(0, [&] { ran.fetch_add(1); });
    EXPECT_FALSE(pinned.spawn_error());
    stall.release();
    for (auto& task : accepted) {
        task.get();
    }
    pinned.get();
    EXPECT_EQ(ran.load(), static_cast<int>(kCapacity) + 1);
    EXPECT_FALSE(handle.spawn_stealable([] {}).spawn_error()) << "there is room again";
}

TEST_P(Refusal, ThePreferredQueueHasTheCapacity) {
    constexpr std::size_t kCapacity = 8;
    auto two_shards = builder(2).stealable_queue_capacity(kCapacity).build();
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    Stall first(handle, 0);
    Stall second(handle, 1);
    std::vector<JoinHandle<void>> accepted;
    for (ShardId shard = 0; shard < 2; ++shard) {
        for (std::size_t i = 0; i < kCapacity; ++i) {
            accepted.push_back(handle.spawn_stealable_on(shard, [] {}));
            ASSERT_FALSE(accepted.back().spawn_error());
        }
        EXPECT_EQ(handle.spawn_stealable_on(shard, [] {}).spawn_error(), RuntimeError::Overloaded);
    }
    EXPECT_EQ(handle.spawn_stealable([] {}).spawn_error(), RuntimeError::Overloaded);
    first.release();
    second.release();
    for (auto& task : accepted) {
        task.get();
    }
}

TEST_P(Refusal, OverloadedOnlyWhenEveryQueueIsFull) {
    constexpr std::size_t kCapacity = 8;
    auto two_shards = builder(2).stealable_queue_capacity(kCapacity).build();
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    Stall first(handle, 0);
    Stall second(handle, 1);
    std::vector<JoinHandle<void>> accepted;
    for (std::size_t i = 0; i < 2 * kCapacity; ++i) {
        accepted.push_back(handle.spawn_stealable([] {}));
        ASSERT_FALSE(accepted.back().spawn_error()) << i;
    }
    EXPECT_EQ(handle.spawn_stealable([] {}).spawn_error(), RuntimeError::Overloaded);
    first.release();
    second.release();
    for (auto& task : accepted) {
        task.get();
    }
}

TEST_P(Refusal, ATasksOwnSpawnIsNeverRefusedAndAllRun) {
    for (const std::size_t shards : {1U, 2U}) {
        auto small = builder(shards).stealable_queue_capacity(4).build();
        const auto handle = small.handle();
        constexpr int kTasks = 5000;
        std::atomic<int> ran{0};
        auto spawner = handle.spawn_pinned(0, [&]() -> Task<int> {
            std::vector<JoinHandle<void>> children;
            int refused = 0;
            for (int i = 0; i < kTasks; ++i) {
                auto child = i % 2 == 0 ? handle.spawn_stealable([&] { ran.fetch_add(1); })
                                        : handle.spawn_stealable_on(0, [&] { ran.fetch_add(1); });
                refused += child.spawn_error() ? 1 : 0;
                children.push_back(std::move(child));
            }
            for (auto& child : children) {
                co_await std::move(child);
            }
            co_return refused;
        });
        EXPECT_EQ(spawner.get(), 0);
        EXPECT_EQ(ran.load(), kTasks);
    }
}

TEST_P(Refusal, AStealableTaskThatSpawnsIsNeverRefusedEither) {
    auto small = builder(2).stealable_queue_capacity(1).build();
    const auto handle = small.handle();
    const NoLateWakes all_woken(handle);
    struct Tree {
        static Task<int> grow(RuntimeHandle handle, int depth) {
            if (depth == 0) {
                co_return 1;
            }
            auto left = handle.spawn_stealable(grow(handle, depth - 1));
            auto right = handle.spawn_stealable(grow(handle, depth - 1));
            const int left_leaves = co_await std::move(left);
            const int right_leaves = co_await std::move(right);
            co_return left_leaves + right_leaves;
        }
    };
    EXPECT_EQ(handle.spawn_stealable(Tree::grow(handle, 10)).get(), 1024);
}

// A task that was accepted is queued again at each wait, whatever the capacity.
TEST_P(Refusal, AcceptedTasksAreNeverRefusedLater) {
    auto small = builder(1).stealable_queue_capacity(2).build();
    const auto handle = small.handle();
    const NoLateWakes all_woken(handle);
    auto spawner = handle.spawn_pinned(0, [&]() -> Task<int> {
        std::vector<JoinHandle<int>> children;
        for (int i = 0; i < 200; ++i) {
            children.push_back(handle.spawn_stealable([]() -> Task<int> {
                for (int step = 0; step < 20; ++step) {
                    co_await yield();
                }
                static_cast<void>(co_await sleep_for(std::chrono::microseconds(100)));
                co_return 1;
            }));
        }
        int sum = 0;
        for (auto& child : children) {
            const int one = co_await std::move(child);
            sum += one;
        }
        co_return sum;
    });
    EXPECT_EQ(spawner.get(), 200);
}

TEST_P(Refusal, CountersCountOnlyWhatWasAccepted) {
    auto small = builder(1).stealable_queue_capacity(2).build();
    const auto handle = small.handle();
    const NoLateWakes all_woken(handle);
    {
        Stall stall(handle, 0);
        const auto before = handle.stats_snapshot();
        std::vector<JoinHandle<void>> handles;
        for (int i = 0; i < 5; ++i) {
            handles.push_back(handle.spawn_stealable([] {}));        // two are accepted
            handles.push_back(handle.spawn_stealable_on(9, [] {}));  // none
            handles.push_back(handle.spawn_pinned(9, [] {}));        // none
            handles.push_back(handle.spawn_pinned(0, [] {}));        // all
            handles.push_back(handle.spawn_round_robin([] {}));      // all
            handles.push_back(handle.spawn_sticky(1, [] {}));        // all
        }
        const auto after = handle.stats_snapshot();
        EXPECT_EQ(after.spawn_stealable_submitted - before.spawn_stealable_submitted, 2U);
        EXPECT_EQ(after.spawn_pinned_submitted - before.spawn_pinned_submitted, 15U);
        EXPECT_EQ(after.tasks_live - before.tasks_live, 17U);
        stall.release();
    }
    finish_step(handle, 0);
    // Totals may lag a turn behind a join.
    while (handle.stats_snapshot().tasks_live != 0 || handle.stats_snapshot().stealable_executed != 2) {
        std::this_thread::yield();
    }
    const auto at_rest = handle.stats_snapshot();
    small.shutdown();
    static_cast<void>(handle.spawn_pinned(0, [] {}).spawn_error());
    static_cast<void>(handle.spawn_stealable([] {}).spawn_error());
    const auto closed = handle.stats_snapshot();
    EXPECT_EQ(closed.spawn_pinned_submitted, at_rest.spawn_pinned_submitted);
    EXPECT_EQ(closed.spawn_stealable_submitted, at_rest.spawn_stealable_submitted);
    EXPECT_EQ(closed.tasks_live, 0U);
}

TEST_P(Refusal, AFullBlockingQueueDestroysTheFrameAtOnce) {
    auto one = builder(1).blocking_threads(1).blocking_queue_capacity(1).build();
    const auto handle = one.handle();
    const NoLateWakes all_woken(handle);
    Event running;
    Event release;
    auto runs = handle.spawn_blocking([&] {
        running.set();
        release.wait();
    });
    running.wait();
    auto waits = handle.spawn_blocking([] {});
    EndLog log;
    expect_refused(handle.spawn_blocking([t = Tracker(log)] {}), log, RuntimeError::Overloaded);
    release.set();
    runs.get();
    waits.get();
}

}  // namespace
}  // namespace spargio::test
