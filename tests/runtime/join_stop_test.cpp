// SPDX-License-Identifier: MIT
// Stopping a task while it joins another one: it gets operation_canceled, the child runs on.
#include <atomic>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/small_tasks.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

class JoinStop : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(JoinStop);

/// What a joiner saw, and the child's handle, if the joiner still had it.
struct Seen {
    Seen(std::error_code code, JoinHandle<int> handle) : error(code), child(std::move(handle)) {}
    std::error_code error;
    JoinHandle<int> child;
};

// join(): a joiner that hands back the child.
Task<Seen> join_once(JoinHandle<int> child, Event& joining) {
    joining.set();
    const auto joined = co_await child.join();
    co_return Seen(joined.error(), std::move(child));
}

// The first form: what it throws.
Task<std::error_code> await_once(JoinHandle<int> child, Event& joining) {
    joining.set();
    try {
        static_cast<void>(co_await std::move(child));
    } catch (const std::system_error& error) {
        co_return error.code();
    }
    co_return std::error_code();
}

// Stops a joiner on shard 0 that is suspended in its join: the step in which it went there has ended.
template <class T>
T stop_suspended(const RuntimeHandle& handle, JoinHandle<T> joiner, Event& joining) {
    joining.wait();
    finish_step(handle, 0);
    joiner.request_stop();
    return joiner.get();
}

TEST_P(JoinStop, JoinGivesOperationCanceledAndTheHandleStaysValid) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (const ShardId child_shard : {ShardId{0}, ShardId{1}}) {
        Event go;
        Event joining;
        auto joiner = handle.spawn_pinned(0, join_once(handle.spawn_pinned(child_shard, number_after(go, 7)), joining));
        auto seen = stop_suspended(handle, std::move(joiner), joining);
        EXPECT_EQ(seen.error, std::errc::operation_canceled);
        ASSERT_TRUE(seen.child.valid());
        EXPECT_FALSE(seen.child.done());
        go.set();
        EXPECT_EQ(seen.child.get(), 7) << "the child was not stopped";
    }
}

TEST_P(JoinStop, AnotherTaskJoinsTheChildLater) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    Event go;
    Event joining;
    auto joiner = handle.spawn_pinned(0, join_once(handle.spawn_pinned(1, number_after(go, 7)), joining));
    auto seen = stop_suspended(handle, std::move(joiner), joining);
    Event joining_again;
    auto second = handle.spawn_pinned(0, join_once(std::move(seen.child), joining_again));
    joining_again.wait();
    finish_step(handle, 0);
    go.set();
    EXPECT_FALSE(second.get().error);
}

TEST_P(JoinStop, AwaitThrowsOperationCanceledAndTheChildRunsOn) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (const ShardId child_shard : {ShardId{0}, ShardId{1}}) {
        Event go;
        Event child_ended;
        auto child = handle.spawn_pinned(child_shard, [&]() -> Task<int> {
            const auto token = co_await this_task::stop_token();
            co_await go.async_wait();
            EXPECT_FALSE(token.stop_requested());
            child_ended.set();
            co_return 7;
        });
        Event joining;
        auto joiner = handle.spawn_pinned(0, await_once(std::move(child), joining));
        EXPECT_EQ(stop_suspended(handle, std::move(joiner), joining), std::errc::operation_canceled);
        EXPECT_FALSE(child_ended.is_set());
        go.set();
        child_ended.wait();
    }
}

TEST_P(JoinStop, AJoinerThatWasStoppedBeforeDoesNotWait) {
    Event never;
    Event stopped;
    Event stopped_too;
    Event joining;
    Event go;
    auto one = runtime(1);
    const auto handle = one.handle();
    const NoLateWakes all_woken(handle);
    auto joiner = handle.spawn_pinned(0, [&]() -> Task<Seen> {
        stopped.wait();  // Blocks its shard, so that the stop surely comes before the join.
        auto child = handle.spawn_pinned(0, number_after(never, 7));
        const auto joined = co_await child.join();
        co_return Seen(joined.error(), std::move(child));
    });
    joiner.request_stop();
    stopped.set();
    auto seen = joiner.get();
    EXPECT_EQ(seen.error, std::errc::operation_canceled);
    EXPECT_TRUE(seen.child.valid());
    EXPECT_FALSE(seen.child.done());
    never.set();
    EXPECT_EQ(seen.child.get(), 7);

    auto awaiter = handle.spawn_pinned(0, [&]() -> Task<std::error_code> {
        stopped_too.wait();
        auto waits = await_once(handle.spawn_pinned(0, number_after(go, 7)), joining);
        co_return co_await std::move(waits);
    });
    awaiter.request_stop();
    stopped_too.set();
    EXPECT_EQ(awaiter.get(), std::errc::operation_canceled);
    go.set();
}

TEST_P(JoinStop, AResultThatIsThereWinsOverTheStop) {
    auto one = runtime(1);
    const auto handle = one.handle();
    const NoLateWakes all_woken(handle);
    auto first = handle.spawn_pinned(0, [] { return 1; });
    auto second = handle.spawn_pinned(0, [] { return 2; });
    ASSERT_TRUE(second.wait_for(std::chrono::seconds(60)));
    Event stopped;
    auto joiner = handle.spawn_pinned(0, [&]() -> Task<int> {
        stopped.wait();
        const auto joined = co_await first.join();
        const auto awaited = co_await std::move(second);
        co_return joined.value() * 10 + awaited;
    });
    joiner.request_stop();
    stopped.set();
    EXPECT_EQ(joiner.get(), 12);
}

TEST_P(JoinStop, AStoppedJoinerOfARefusedSpawnGetsTheReason) {
    auto one = runtime(1);
    const auto handle = one.handle();
    const NoLateWakes all_woken(handle);
    Event stopped;
    auto joiner = handle.spawn_pinned(0, [&]() -> Task<std::error_code> {
        stopped.wait();
        auto refused = handle.spawn_pinned(9, [] { return 1; });
        const auto joined = co_await refused.join();
        co_return joined.error();
    });
    joiner.request_stop();
    stopped.set();
    EXPECT_EQ(joiner.get(), RuntimeError::InvalidShard);
}

TEST_P(JoinStop, AStopReachesTheJoinOfAnAwaitedTask) {
    Event go;
    Event joining;
    auto one = runtime(1);
    const auto handle = one.handle();
    const NoLateWakes all_woken(handle);
    auto joiner = handle.spawn_pinned(0, [&]() -> Task<std::error_code> {
        auto inner = await_once(handle.spawn_pinned(0, number_after(go, 1)), joining);
        co_return co_await std::move(inner);
    });
    EXPECT_EQ(stop_suspended(handle, std::move(joiner), joining), std::errc::operation_canceled);
    go.set();
}

TEST_P(JoinStop, StoppingTwiceIsStoppingOnce) {
    auto one = runtime(1);
    const auto handle = one.handle();
    const NoLateWakes all_woken(handle);
    Event go;
    Event joining;
    auto joiner = handle.spawn_pinned(0, join_once(handle.spawn_pinned(0, number_after(go, 1)), joining));
    joining.wait();
    finish_step(handle, 0);
    joiner.request_stop();
    joiner.request_stop();
    ASSERT_TRUE(joiner.wait_for(std::chrono::seconds(60)));
    joiner.request_stop();  // It has ended: nothing to stop.
    auto seen = joiner.get();
    EXPECT_EQ(seen.error, std::errc::operation_canceled);
    go.set();
    EXPECT_EQ(seen.child.get(), 1);
}

TEST_P(JoinStop, ATaskMayStopTheOneThatJoinsIt) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (const ShardId child_shard : {ShardId{0}, ShardId{1}}) {
        Event published;
        Event joining;
        JoinHandle<Seen>* joiner_handle = nullptr;
        auto child = handle.spawn_pinned(child_shard, [&]() -> Task<int> {
            co_await published.async_wait();
            joiner_handle->request_stop();
            co_return 5;
        });
        auto joiner = handle.spawn_pinned(0, join_once(std::move(child), joining));
        joiner_handle = &joiner;
        joining.wait();
        finish_step(handle, 0);
        published.set();
        // The stop came before the value: the join is canceled, and the value waits.
        auto seen = joiner.get();
        EXPECT_EQ(seen.error, std::errc::operation_canceled);
        EXPECT_EQ(seen.child.get(), 5);
    }
}

TEST_P(JoinStop, AnExceptionOfTheChildOfAStoppedAwaiterGoesToTheHook) {
    std::atomic<int> reported{0};
    Event hook_ran;
    auto one = builder(1)
                   .on_unhandled_exception([&](const std::exception_ptr&) {
                       reported.fetch_add(1);
                       hook_ran.set();
                   })
                   .build();
    const auto handle = one.handle();
    const NoLateWakes all_woken(handle);
    Event go;
    Event joining;
    auto child = handle.spawn_pinned(0, [&]() -> Task<int> {
        co_await go.async_wait();
        throw std::runtime_error("nobody joins me any more");
    });
    auto joiner = handle.spawn_pinned(0, await_once(std::move(child), joining));
    EXPECT_EQ(stop_suspended(handle, std::move(joiner), joining), std::errc::operation_canceled);
    EXPECT_EQ(reported.load(), 0);
    go.set();
    hook_ran.wait();
    EXPECT_EQ(reported.load(), 1);
}

// The child's end and the stop at the same time, on three threads: one of the two wins, and no value is ever lost.
TEST_P(JoinStop, TheChildsEndAndTheStopRace) {
    Random random(stress_seed());
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    int values = 0;
    int canceled = 0;
    for (unsigned round = 0; round < scaled(3000, 500); ++round) {
        Event joining;
        std::atomic<bool> go{false};
        const auto child_delay = std::chrono::nanoseconds(random.below(20'000));
        const auto stop_delay = std::chrono::nanoseconds(random.below(20'000));
        auto child = handle.spawn_pinned(1, [&]() -> Task<int> {
            while (!go.load(std::memory_order_acquire)) {
                co_await yield();
            }
            spin_for(child_delay);
            co_return 7;
        });
        auto joiner = handle.spawn_pinned(0, join_once(std::move(child), joining));
        joining.wait();
        go.store(true, std::memory_order_release);
        spin_for(stop_delay);
        joiner.request_stop();
        auto seen = joiner.get();
        if (seen.error) {
            ++canceled;
            ASSERT_EQ(seen.error, std::errc::operation_canceled);
            ASSERT_EQ(seen.child.get(), 7);
        } else {
            ++values;
            ASSERT_TRUE(seen.child.done());
        }
    }
    RecordProperty("values", values);
    RecordProperty("canceled", canceled);
}

}  // namespace
}  // namespace spargio::test
