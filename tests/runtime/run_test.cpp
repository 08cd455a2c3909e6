// SPDX-License-Identifier: MIT
// block_on, run and run_with: a task from a plain thread, a whole program in one call; and what capabilities() says.
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/process_gauges.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

using ::testing::HasSubstr;

class Run : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(Run);

Task<int> answer() {
    co_await yield();
    co_return 42;
}

TEST_P(Run, BlockOnTakesEverySpawnable) {
    auto two = runtime(2);
    EXPECT_EQ(two.block_on(answer()), 42);
    EXPECT_EQ(two.block_on(answer), 42);
    EXPECT_EQ(two.block_on([]() -> Task<int> { co_return co_await answer(); }), 42);
    EXPECT_EQ(two.block_on([] { return 42; }), 42);
    EXPECT_EQ(*two.block_on([p = std::make_unique<int>(42)]() mutable { return std::move(p); }), 42);
    static_assert(std::is_void_v<decltype(two.block_on([] {}))>);
    two.block_on([] {});
    int number = 1;
    static_assert(std::is_same_v<decltype(two.block_on([&]() -> int& { return number; })), int&>);
    EXPECT_EQ(&two.block_on([&]() -> int& { return number; }), &number);
}

TEST_P(Run, BlockOnRethrows) {
    auto one = runtime(1);
    EXPECT_THROW(one.block_on([] { throw std::out_of_range("from the task"); }), std::out_of_range);
    EXPECT_THROW(one.block_on([]() -> Task<> {
        co_await yield();
        throw 42;  // NOLINT(hicpp-exception-baseclass)
    }),
                 int);
    EXPECT_EQ(one.block_on(answer()), 42);
}

TEST_P(Run, BlockOnFromManyThreads) {
    auto two = runtime(2);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < 200; ++round) {
                ASSERT_EQ(two.block_on(answer()), 42);
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
}

TEST_P(Run, BlockOnThrowsCanceledWhenAShutdownEndsTheTask) {
    auto one = runtime(1);
    Event never;
    Event started;
    std::thread closer([&] {
        started.wait();
        one.shutdown();
    });
    std::error_code code;
    try {
        one.block_on([&]() -> Task<> {
            started.set();
            co_await never.async_wait();
        });
    } catch (const std::system_error& error) {
        code = error.code();
    }
    EXPECT_EQ(code, JoinError::Canceled);
    closer.join();
}

TEST_P(Run, RunWithTakesATaskOrAPlainValue) {
    EXPECT_EQ(run_with(builder(2), [](const RuntimeHandle&) { return answer(); }), 42);
    EXPECT_EQ(run_with(builder(2), [](const RuntimeHandle& handle) { return handle.shard_count(); }), 2U);
    int there = 1;
    run_with(builder(1), [&there](const RuntimeHandle&) -> Task<int&> { co_return there; }) = 2;
    run_with(builder(1), [&there](const RuntimeHandle&) -> int& { return there; }) += 1;
    EXPECT_EQ(there, 3);
    run_with(builder(1), [](const RuntimeHandle&) {});
    run_with(builder(1), [](const RuntimeHandle&) -> Task<> { co_await yield(); });
    EXPECT_EQ(*run_with(builder(1), [](const RuntimeHandle&) { return std::make_unique<int>(7); }), 7);
}

TEST_P(Run, TheFunctionStaysAliveUntilTheTaskHasEnded) {
    EndLog log;
    const auto size = run_with(
        builder(2), [t = Tracker(log), word = std::string(100, 'x')](RuntimeHandle handle) -> Task<std::size_t> {
            for (ShardId shard = 0; shard < 2; ++shard) {
                auto child = handle.spawn_pinned(shard, []() -> Task<> { co_await yield(); });
                co_await std::move(child);
            }
            co_return word.size();
        });
    EXPECT_EQ(size, 100U);
    EXPECT_EQ(log.size(), 1U);
}

TEST_P(Run, PlainFunctionsRunOnTheCallersThread) {
    const auto thread = run_with(builder(1), [](const RuntimeHandle&) { return std::this_thread::get_id(); });
    EXPECT_EQ(thread, std::this_thread::get_id());
}

TEST_P(Run, TheFunctionMaySpawnAndJoinByItself) {
    const int sum = run_with(builder(2), [](const RuntimeHandle& handle) {
        auto first = handle.spawn_stealable([] { return 1; });
        auto second = handle.spawn_pinned(1, [] { return 2; });
        return first.get() + second.get();
    });
    EXPECT_EQ(sum, 3);
}

TEST_P(Run, TheRuntimeIsGoneAfterwards) {
    const auto handle = run_with(builder(2), [](RuntimeHandle inside) -> Task<RuntimeHandle> {
        inside.spawn_pinned(1, []() -> Task<> { static_cast<void>(co_await sleep_for(std::chrono::hours(1))); })
            .detach();
        co_return inside;
    });
    EXPECT_EQ(handle.spawn_pinned(0, [] {}).spawn_error(), RuntimeError::Closed);
    EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
}

TEST_P(Run, WhatTheFunctionOrTheTaskThrowsComesOut) {
    EXPECT_THROW(run_with(builder(1), [](const RuntimeHandle&) -> int { throw std::out_of_range("f"); }),
                 std::out_of_range);
    EXPECT_THROW(run_with(builder(1),
                          [](RuntimeHandle) -> Task<> {
                              co_await yield();
                              throw std::out_of_range("task");
                          }),
                 std::out_of_range);
    EXPECT_THROW(run_with(builder(0), [](const RuntimeHandle&) {}), std::system_error);
}

TEST_P(Run, CapabilitiesTellTheBackend) {
    auto two = runtime(2);
    const auto capabilities = two.handle().capabilities();
    EXPECT_EQ(capabilities.backend, GetParam());
    EXPECT_TRUE(capabilities.fallback_reason.empty()) << "it was asked for";
    EXPECT_THAT(capabilities.to_string(), HasSubstr(std::string(to_string(GetParam()))));
    if (GetParam() == BackendKind::Queue) {
        EXPECT_EQ(capabilities.ring_entries, 0U);
        EXPECT_FALSE(capabilities.msg_ring);
        EXPECT_FALSE(capabilities.defer_taskrun);
    } else {
        EXPECT_EQ(capabilities.ring_entries, 256U);
        EXPECT_GT(capabilities.cq_entries, capabilities.ring_entries);
        EXPECT_FALSE(capabilities.sqpoll);
    }
    EXPECT_EQ(two.block_on([&] { return two.handle().capabilities() == capabilities; }), true);
    two.shutdown();
    EXPECT_EQ(two.handle().capabilities(), capabilities) << "it does not change while a handle lives";
}

TEST(RunDefault, UsesTheBestBackendThatWorks) {
    const auto capabilities = run([](const RuntimeHandle& handle) { return handle.capabilities(); });
    if (backend_unavailable(BackendKind::IoUring).empty()) {
        EXPECT_EQ(capabilities.backend, BackendKind::IoUring);
        EXPECT_TRUE(capabilities.fallback_reason.empty());
    } else {
        EXPECT_EQ(capabilities.backend, BackendKind::Queue);
        EXPECT_FALSE(capabilities.fallback_reason.empty());
    }
}

TEST(RunDefault, GivesTheValueOfATask) {
    EXPECT_EQ(run([](RuntimeHandle handle) -> Task<int> {
                  auto child = handle.spawn_stealable(answer());
                  co_return co_await std::move(child);
              }),
              42);
}

}  // namespace
}  // namespace spargio::test
