// SPDX-License-Identifier: MIT
// Who may call shutdown(), how often and from where, and what a handle says afterwards.
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
#include "support/process_gauges.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class Shutdown : public BackendTest {
protected:
    void SetUp() override {
        BackendTest::SetUp();
        if (!IsSkipped() && !HasFatalFailure()) {
            runtime(2).block_on([] {});
            ASSERT_TRUE(threads_fall_to(threads_of_a_test)) << "somebody else's threads";
            descriptors_ = open_descriptors();
        }
    }

    /// A shutdown that was started inside the runtime has ended: no thread, no descriptor.
    void expect_gone() const {
        EXPECT_TRUE(threads_fall_to(threads_of_a_test));
        EXPECT_EQ(open_descriptors(), descriptors_);
    }

    /// Runs `f` a number of times, each of which has to end within five seconds.
    template <class F>
    static void repeat_without_deadlock(const char* what, F f) {
        Watchdog watchdog(what, std::chrono::seconds(scaled(5, 30)));
        for (int round = 0; round < 20; ++round) {
            f();
            watchdog.progress("round " + std::to_string(round));
        }
    }

    std::size_t descriptors_ = 0;
};
SPARGIO_ON_BOTH_BACKENDS(Shutdown);

void expect_closed(const RuntimeHandle& handle) {
    EXPECT_EQ(handle.spawn_pinned(0, [] {}).spawn_error(), RuntimeError::Closed);
    EXPECT_EQ(handle.spawn_stealable([] {}).spawn_error(), RuntimeError::Closed);
    EXPECT_EQ(handle.spawn_blocking([] {}).spawn_error(), RuntimeError::Closed);
}

TEST_P(Shutdown, IsIdempotent) {
    auto two = runtime(2);
    two.shutdown();
    two.shutdown();
    expect_closed(two.handle());
    two.shutdown();
}  // And the destructor once more.

TEST_P(Shutdown, OfARuntimeThatNeverRanAnything) {
    for (int round = 0; round < 50; ++round) {
        auto two = runtime(2);
        if (round % 2 == 0) {
            two.shutdown();
        }
    }
    expect_gone();
}

TEST_P(Shutdown, ConcurrentCallsAllReturnWhenItIsDone) {
    for (int round = 0; round < 20; ++round) {
        auto two = runtime(2);
        const auto handle = two.handle();
        Event never;
        EndLog log;
        for (int i = 0; i < 10; ++i) {
            handle.spawn_round_robin([&, t = Tracker(log)]() -> Task<> { co_await never.async_wait(); }).detach();
        }
        Latch together(6);
        std::vector<std::thread> callers;
        for (int i = 0; i < 6; ++i) {
            callers.emplace_back([&] {
                together.arrive_and_wait();
                two.shutdown();
                EXPECT_EQ(log.size(), 10U) << "returned before the end";
                expect_closed(handle);
            });
        }
        for (auto& caller : callers) {
            caller.join();
        }
        expect_gone();
    }
}

TEST_P(Shutdown, MovingARuntimeKeepsItAndAssigningOverOneEndsIt) {
    auto first = builder(1).thread_prefix("one").build();
    auto second = builder(1).thread_prefix("two").build();
    const auto first_handle = first.handle();
    const auto second_handle = second.handle();
    Runtime moved = std::move(first);
    EXPECT_EQ(moved.block_on(thread_name), "one-0");
    second = std::move(moved);
    EXPECT_EQ(second.block_on(thread_name), "one-0");
    expect_closed(second_handle);
    EXPECT_EQ(first_handle.spawn_pinned(0, thread_name).get(), "one-0");
}

TEST_P(Shutdown, FromItsOwnShardReturnsAndTheStepFinishes) {
    for (ShardId shard = 0; shard < 2; ++shard) {
        auto two = runtime(2);
        Event step_finished;
        auto caller = two.handle().spawn_pinned(shard, [&] {
            two.shutdown();
            two.shutdown();
            step_finished.set();
            return 7;
        });
        EXPECT_EQ(caller.get(), 7) << "the step ended the task";
        EXPECT_TRUE(step_finished.is_set());
        two.shutdown();  // Waits for the rest.
        expect_gone();
    }
}

TEST_P(Shutdown, ATaskThatShutsDownAndThenSuspendsIsDestroyed) {
    Event never;
    EndLog log;
    auto two = runtime(2);
    auto caller = two.handle().spawn_pinned(1, [&, t = Tracker(log)]() -> Task<> {
        two.shutdown();
        co_await yield();
        ADD_FAILURE() << "a task was resumed after the shutdown";
    });
    std::error_code code;
    try {
        caller.get();
    } catch (const std::system_error& error) {
        code = error.code();
    }
    EXPECT_EQ(code, JoinError::Canceled);
    EXPECT_EQ(log.on_shard(1), 1U);
    two.shutdown();
    expect_gone();
}

// A pointer to the last owner: the runtime ends while one of its own tasks runs.
TEST_P(Shutdown, TheLastOwnerDestroyedInsideATaskDoesNotDeadlock) {
    for (const auto place : {TaskPlacement::pinned(0), TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        repeat_without_deadlock("destroying the last owner inside a task", [place] {
            auto owner = std::make_unique<Runtime>(runtime(2));
            const auto handle = owner->handle();
            auto child = handle.spawn_with_placement(place, [mine = std::move(owner)]() mutable {
                mine.reset();
                return 7;
            });
            ASSERT_EQ(child.get(), 7);
        });
    }
    expect_gone();
}

TEST_P(Shutdown, TheLastOwnerInAFrameThatIsDestroyedDoesNotDeadlock) {
    repeat_without_deadlock("a frame that owns its runtime", [] {
        auto owner = std::make_unique<Runtime>(runtime(2));
        const auto handle = owner->handle();
        // It ends by itself, and the runtime with it, in the destructor of the frame.
        auto child = handle.spawn_pinned(1, [mine = std::move(owner)]() -> Task<> { co_await yield(); });
        child.get();
    });
    expect_gone();
}

TEST_P(Shutdown, TheLastOwnerInAFrameThatItsOwnShutdownDestroysDoesNotDeadlock) {
    repeat_without_deadlock("a suspended frame that owns its runtime", [] {
        Event never;
        auto owner = std::make_unique<Runtime>(runtime(2));
        Runtime* const runtime_itself = owner.get();
        const auto handle = owner->handle();
        auto keeper = handle.spawn_pinned(1, [&, mine = std::move(owner)]() -> Task<> {
            co_await never.async_wait();
            static_cast<void>(mine->shard_count());
        });
        finish_step(handle, 1);
        handle.spawn_pinned(0, [&] { runtime_itself->shutdown(); }).get();
        EXPECT_THROW(keeper.get(), std::system_error);
    });
    expect_gone();
}

TEST_P(Shutdown, FromAThreadOfTheBlockingPoolReturns) {
    repeat_without_deadlock("shutdown on the blocking pool", [] {
        auto two = runtime(2);
        auto job = two.handle().spawn_blocking([&] {
            two.shutdown();
            return 7;
        });
        EXPECT_EQ(job.get(), 7);
        two.shutdown();
        auto owner = std::make_unique<Runtime>(runtime(1));
        const auto handle = owner->handle();
        auto last = handle.spawn_blocking([mine = std::move(owner)]() mutable { mine.reset(); });
        last.get();
    });
    expect_gone();
}

TEST_P(Shutdown, FromAShardOfAnotherRuntimeWaits) {
    auto outer = runtime(1);
    auto inner = runtime(2);
    Event never;
    EndLog log;
    inner.handle().spawn_pinned(1, [&, t = Tracker(log)]() -> Task<> { co_await never.async_wait(); }).detach();
    auto caller = outer.handle().spawn_pinned(0, [&] {
        inner.shutdown();
        return log.size();
    });
    EXPECT_EQ(caller.get(), 1U);
    EXPECT_EQ(outer.block_on([] { return 7; }), 7);
}

TEST_P(Shutdown, ARuntimeOwnedByAnotherRuntimesTaskEndsWithIt) {
    repeat_without_deadlock("a runtime inside a runtime", [] {
        Event never;
        Event started;
        auto outer = runtime(1);
        outer.handle()
            .spawn_pinned(0,
                          [&, inner = runtime(2)]() -> Task<> {
                              started.set();
                              co_await never.async_wait();
                              static_cast<void>(inner.shard_count());
                          })
            .detach();
        started.wait();
    });
    expect_gone();
}

TEST_P(Shutdown, AHandleThatOutlivesTheRuntimeSaysClosed) {
    std::optional<RuntimeHandle> handle;
    std::optional<JoinHandle<int>> finished;
    std::optional<JoinHandle<int>> canceled;
    Event never;
    {
        auto two = runtime(2);
        handle.emplace(two.handle());
        finished.emplace(handle->spawn_pinned(0, [] { return 7; }));
        canceled.emplace(handle->spawn_pinned(1, [&]() -> Task<int> {
            co_await never.async_wait();
            co_return 8;
        }));
        ASSERT_TRUE(finished->wait_for(std::chrono::seconds(60)));
    }
    const RuntimeHandle copy = *handle;  // NOLINT(performance-unnecessary-copy-initialization)
    expect_closed(copy);
    EXPECT_EQ(copy.shard_count(), 2U);
    EXPECT_EQ(copy.backend(), GetParam());
    EXPECT_EQ(copy.capabilities().backend, GetParam());
    EXPECT_EQ(copy.stats_snapshot().tasks_live, 0U);
    EXPECT_EQ(finished->get(), 7);
    EXPECT_TRUE(canceled->done());
    canceled->request_stop();
    EXPECT_THROW(static_cast<void>(canceled->get()), std::system_error);
    expect_gone();
}

TEST_P(Shutdown, AJoinedHandleMayBeTheLastThingThatIsLeft) {
    for (const bool stop : {false, true}) {
        Event never;
        std::optional<JoinHandle<bool>> child;
        {
            auto one = runtime(1);
            child.emplace(one.handle().spawn_pinned(0, [&]() -> Task<bool> { co_return co_await never.async_wait(); }));
        }
        if (stop) {
            child->request_stop();
        }
        EXPECT_TRUE(child->done());
        child.reset();
    }
}

TEST_P(Shutdown, ForeignSpawnsDuringTheShutdownRunOrAreClosedOrCanceled) {
    for (int round = 0; round < 50; ++round) {
        auto two = runtime(2);
        const auto handle = two.handle();
        std::atomic<bool> enough{false};
        std::vector<std::thread> spawners;
        Latch started(3);
        for (int i = 0; i < 3; ++i) {
            spawners.emplace_back([&, i] {
                started.arrive();
                while (!enough.load()) {
                    auto spawned = i == 0   ? handle.spawn_round_robin([] { return 7; })
                                   : i == 1 ? handle.spawn_stealable([] { return 7; })
                                            : handle.spawn_blocking([] { return 7; });
                    try {
                        ASSERT_EQ(spawned.get(), 7);
                    } catch (const std::system_error& error) {
                        ASSERT_TRUE(error.code() == RuntimeError::Closed || error.code() == JoinError::Canceled ||
                                    error.code() == RuntimeError::Overloaded)
                            << error.what();
                        if (error.code() == RuntimeError::Closed) {
                            return;
                        }
                    }
                }
            });
        }
        started.wait();
        two.shutdown();
        enough.store(true);
        for (auto& spawner : spawners) {
            spawner.join();
        }
    }
    expect_gone();
}

}  // namespace
}  // namespace spargio::test
