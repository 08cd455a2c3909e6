// SPDX-License-Identifier: MIT
// JoinHandle as a foreign thread uses it: get, wait_for, block_on, and the shard threads that may not.
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/small_tasks.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

class JoinBlocking : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(JoinBlocking);

template <class F>
std::error_code code_thrown_by(F f) {
    try {
        f();
    } catch (const std::system_error& error) {
        return error.code();
    }
    return {};
}

TEST_P(JoinBlocking, GetWaitsForTheValue) {
    auto two_shards = runtime(2);
    for (const auto place : {TaskPlacement::pinned(0), TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        Event go;
        auto child = two_shards.handle().spawn_with_placement(place, number_after(go, 7));
        Event about_to_wait;
        std::thread waiter([&] {
            about_to_wait.set();
            EXPECT_EQ(child.get(), 7);
            EXPECT_THROW(child.get(), std::logic_error) << "it was taken";
        });
        about_to_wait.wait();
        go.set();
        waiter.join();
    }
}

TEST_P(JoinBlocking, GetOfAFinishedTaskDoesNotWait) {
    auto one = runtime(1);
    auto child = one.handle().spawn_pinned(0, [] { return std::string("there"); });
    while (!child.done()) {
        std::this_thread::yield();
    }
    EXPECT_EQ(child.get(), "there");
}

TEST_P(JoinBlocking, GetRethrowsTheException) {
    auto one = runtime(1);
    auto child = one.handle().spawn_pinned(0, []() -> Task<int> {
        co_await yield();
        throw std::out_of_range("thrown by the child");
    });
    try {
        child.get();
        ADD_FAILURE() << "nothing was thrown";
    } catch (const std::out_of_range& error) {
        EXPECT_STREQ(error.what(), "thrown by the child");
    }
    EXPECT_THROW(child.get(), std::logic_error) << "it was taken";
}

// As a program does that waits on one thread and gives up on another.
TEST_P(JoinBlocking, AnotherThreadMayStopTheTaskThatIsWaitedFor) {
    auto two_shards = runtime(2);
    for (unsigned round = 0; round < 200; ++round) {
        auto child = two_shards.handle().spawn_pinned(round % 2, []() -> Task<bool> {
            co_return (co_await sleep_for(std::chrono::hours(1))).error() == std::errc::operation_canceled;
        });
        std::thread stopper([&] {
            while (!child.done()) {
                child.request_stop();
            }
            child.request_stop();
            EXPECT_FALSE(child.spawn_error());
        });
        EXPECT_TRUE(child.get());
        stopper.join();
    }
}

TEST_P(JoinBlocking, GetOfARefusedSpawnThrowsTheReason) {
    auto one = runtime(1);
    auto refused = one.handle().spawn_pinned(1, [] { return 1; });
    EXPECT_TRUE(refused.wait_for(0s));
    EXPECT_EQ(code_thrown_by([&] { refused.get(); }), RuntimeError::InvalidShard);
}

TEST_P(JoinBlocking, GetThrowsCanceledWhenTheTaskIsDestroyedByAShutdown) {
    Event never;
    auto one = runtime(1);
    auto child = one.handle().spawn_pinned(0, number_after(never, 1));
    Event about_to_wait;
    std::thread waiter([&] {
        about_to_wait.set();
        EXPECT_EQ(code_thrown_by([&] { child.get(); }), JoinError::Canceled);
    });
    about_to_wait.wait();
    one.shutdown();
    waiter.join();
}

TEST_P(JoinBlocking, WaitForIsFalseThenTrueThenTheValueIsThere) {
    auto one = runtime(1);
    for (const bool awaited : {false, true}) {
        Event go;
        auto child = one.handle().spawn_pinned(0, number_after(go, 7));
        EXPECT_FALSE(child.wait_for(1ms));
        EXPECT_FALSE(child.wait_for(0s));
        EXPECT_FALSE(child.wait_for(-1h));
        go.set();
        EXPECT_TRUE(child.wait_for(60s));
        EXPECT_TRUE(child.wait_for(0s));
        EXPECT_TRUE(child.valid());
        if (awaited) {
            one.block_on([&]() -> Task<> {
                const int value = co_await std::move(child);
                EXPECT_EQ(value, 7);
            });
        } else {
            EXPECT_EQ(child.get(), 7);
        }
    }
}

TEST_P(JoinBlocking, AfterWaitForWasFalseATaskMayJoin) {
    auto one = runtime(1);
    Event go;
    auto child = one.handle().spawn_pinned(0, number_after(go, 7));
    EXPECT_FALSE(child.wait_for(1ms));
    Event joining;
    auto joiner = one.handle().spawn_pinned(0, [&]() -> Task<int> {
        joining.set();
        co_return co_await std::move(child);
    });
    joining.wait();
    go.set();
    EXPECT_EQ(joiner.get(), 7);
}

TEST_P(JoinBlocking, WaitForTakesAnyDuration) {
    auto one = runtime(1);
    Event go;
    auto child = one.handle().spawn_pinned(0, number_after(go, 7));
    EXPECT_FALSE(child.wait_for(std::chrono::nanoseconds::min()));
    EXPECT_FALSE(child.wait_for(std::chrono::hours::min()));
    EXPECT_FALSE(child.wait_for(std::chrono::duration<double>(-1e300)));
    EXPECT_FALSE(child.wait_for(std::chrono::duration<float, std::milli>(0.5F)));
    std::thread opener([&] { go.set(); });
    EXPECT_TRUE(child.wait_for(std::chrono::hours::max()));
    EXPECT_TRUE(child.wait_for(std::chrono::nanoseconds::max()));
    EXPECT_TRUE(child.wait_for(std::chrono::duration<double>(1e300)));
    opener.join();
}

TEST_P(JoinBlocking, WaitForGivesUpAfterItsDurationTiming) {
    Event never;
    auto one = runtime(1);
    auto child = one.handle().spawn_pinned(0, number_after(never, 7));
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(child.wait_for(30ms));
    const auto waited = std::chrono::steady_clock::now() - start;
    EXPECT_GE(waited, 30ms);
    EXPECT_LT(waited, 5s);
}

TEST_P(JoinBlocking, AnyThreadMayGetAHandle) {
    auto two_shards = runtime(2);
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        auto child = two_shards.handle().spawn_round_robin([i]() -> Task<int> {
            co_await yield();
            co_return i;
        });
        threads.emplace_back([i, mine = std::move(child)]() mutable { EXPECT_EQ(mine.get(), i); });
    }
    for (auto& thread : threads) {
        thread.join();
    }
}

TEST_P(JoinBlocking, BlockingOnAShardOfTheSameRuntimeIsALogicErrorEvenWhenFinished) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    Event go;
    auto finished = handle.spawn_pinned(1, [] { return 1; });
    auto unfinished = handle.spawn_pinned(1, number_after(go, 2));
    ASSERT_TRUE(finished.wait_for(60s));
    for (const ShardId shard : {ShardId{0}, ShardId{1}}) {
        auto asker = handle.spawn_pinned(shard, [&]() -> Task<> {
            EXPECT_THROW(static_cast<void>(finished.get()), std::logic_error);
            EXPECT_THROW(static_cast<void>(finished.wait_for(0s)), std::logic_error);
            EXPECT_THROW(static_cast<void>(unfinished.get()), std::logic_error);
            EXPECT_THROW(static_cast<void>(unfinished.wait_for(0s)), std::logic_error);
            co_return;
        });
        asker.get();
    }
    // Nothing was lost: both can still be joined.
    go.set();
    two_shards.block_on([&]() -> Task<> {
        const int first = co_await std::move(finished);
        const int second = co_await std::move(unfinished);
        EXPECT_EQ(first, 1);
        EXPECT_EQ(second, 2);
    });
}

TEST_P(JoinBlocking, BlockOnOnAShardOfTheSameRuntimeIsALogicErrorAndRunsNothing) {
    auto two_shards = runtime(2);
    std::atomic<int> ran{0};
    for (ShardId shard = 0; shard < 2; ++shard) {
        auto asker = two_shards.handle().spawn_pinned(
            shard, [&] { EXPECT_THROW(two_shards.block_on([&] { ran.fetch_add(1); }), std::logic_error); });
        asker.get();
    }
    finish_step(two_shards.handle(), 0);
    finish_step(two_shards.handle(), 1);
    EXPECT_EQ(ran.load(), 0) << "the caller was told that it failed";
}

TEST_P(JoinBlocking, AShardOfAnotherRuntimeIsAForeignThread) {
    auto ours = runtime(2);
    auto theirs = runtime(1);
    Event go;
    auto child = theirs.handle().spawn_pinned(0, number_after(go, 7));
    auto other = theirs.handle().spawn_pinned(0, number_after(go, 8));
    auto asker = ours.handle().spawn_pinned(0, [&] {
        EXPECT_FALSE(child.wait_for(0s));
        go.set();
        EXPECT_TRUE(child.wait_for(60s));
        EXPECT_EQ(other.get(), 8);
        EXPECT_EQ(theirs.block_on([] { return 9; }), 9);
        return child.get();
    });
    EXPECT_EQ(asker.get(), 7);
}

TEST_P(JoinBlocking, AThreadOfTheBlockingPoolMayBlock) {
    auto one = runtime(1);
    Event go;
    auto child = one.handle().spawn_pinned(0, number_after(go, 7));
    auto job = one.handle().spawn_blocking([&] {
        go.set();
        const int value = child.get();
        return value + one.block_on([] { return 1; });
    });
    EXPECT_EQ(job.get(), 8);
}

TEST_P(JoinBlocking, ManyThreadsGetWhileTasksEnd) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&] {
            for (int i = 0; i < 500; ++i) {
                ASSERT_EQ(handle.spawn_round_robin([i] { return i; }).get(), i);
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
}

}  // namespace
}  // namespace spargio::test
