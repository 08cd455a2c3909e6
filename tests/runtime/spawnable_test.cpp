// SPDX-License-Identifier: MIT
// What can be spawned: tasks, callables that return tasks, plain callables; and how long the callable lives.
#include <array>
#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class Spawnables : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(Spawnables);

Task<int> seven() {
    co_return 7;
}
int eight() {
    return 8;
}

struct Functor {
    int operator()() const { return 9; }
};

static_assert(Spawnable<Task<int>>);
static_assert(!Spawnable<Task<int>&>, "a task is awaited once: it has to be moved in");
static_assert(!Spawnable<const Task<int>>);
static_assert(Spawnable<int (&)()>);
static_assert(Spawnable<Task<int> (*)()>);
static_assert(Spawnable<Functor> && Spawnable<Functor&> && Spawnable<const Functor&>);
static_assert(Spawnable<std::function<void()>>);
static_assert(!Spawnable<int>);
static_assert(!Spawnable<void (*)(int)>);
static_assert(std::same_as<SpawnValue<Task<std::string>>, std::string>);
static_assert(std::same_as<SpawnValue<Task<int> (*)()>, int>);
static_assert(std::same_as<SpawnValue<Task<> (*)()>, void>);
static_assert(std::same_as<SpawnValue<Functor>, int>);

TEST_P(Spawnables, EveryKindRuns) {
    auto one = runtime(1);
    const auto handle = one.handle();
    EXPECT_EQ(handle.spawn_pinned(0, seven()).get(), 7);
    EXPECT_EQ(handle.spawn_pinned(0, seven).get(), 7);
    EXPECT_EQ(handle.spawn_pinned(0, &seven).get(), 7);
    EXPECT_EQ(handle.spawn_pinned(0, eight).get(), 8);
    EXPECT_EQ(handle.spawn_pinned(0, Functor()).get(), 9);
    const Functor named;
    EXPECT_EQ(handle.spawn_pinned(0, named).get(), 9);
    EXPECT_EQ(handle.spawn_pinned(0, std::function<int()>(eight)).get(), 8);
    auto task = seven();
    EXPECT_EQ(handle.spawn_pinned(0, std::move(task)).get(), 7);
    EXPECT_FALSE(task.valid());
}

TEST_P(Spawnables, MoveOnlyCallables) {
    auto one = runtime(1);
    const auto handle = one.handle();
    auto plain = [p = std::make_unique<int>(1)] { return *p; };
    EXPECT_EQ(handle.spawn_pinned(0, std::move(plain)).get(), 1);
    auto coroutine = [p = std::make_unique<int>(2)]() -> Task<int> {
        co_await yield();
        co_return *p;
    };
    EXPECT_EQ(handle.spawn_stealable(std::move(coroutine)).get(), 2);
    auto changes_itself = [n = 3]() mutable { return ++n; };
    EXPECT_EQ(handle.spawn_pinned(0, changes_itself).get(), 4);
    EXPECT_EQ(handle.spawn_pinned(0, changes_itself).get(), 4) << "it was copied, not used";
}

// A coroutine lambda uses its captures after its first suspension: the callable has to live as long as the task.
TEST_P(Spawnables, ACapturingCoroutineLambdaIsSafe) {
    auto two = runtime(2);
    const auto handle = two.handle();
    std::vector<JoinHandle<std::string>> tasks;
    for (int i = 0; i < 50; ++i) {
        const auto body = [text = std::string(200, static_cast<char>('a' + i % 26))]() -> Task<std::string> {
            co_await yield();
            static_cast<void>(co_await sleep_for(std::chrono::microseconds(50)));
            co_return text;
        };
        tasks.push_back(i % 2 == 0 ? handle.spawn_stealable(body) : handle.spawn_round_robin(body));
    }
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(tasks[static_cast<std::size_t>(i)].get(), std::string(200, static_cast<char>('a' + i % 26)));
    }
}

TEST_P(Spawnables, TheCallableLivesUntilTheTaskEnds) {
    auto one = runtime(1);
    EndLog log;
    Event go;
    auto task = one.handle().spawn_pinned(0, [t = Tracker(log), &go]() -> Task<> { co_await go.async_wait(); });
    finish_step(one.handle(), 0);
    EXPECT_EQ(log.size(), 0U);
    go.set();
    task.get();
    EXPECT_EQ(log.size(), 1U);
}

TEST_P(Spawnables, LargeCallablesAndFrames) {
    auto one = runtime(1);
    const auto handle = one.handle();
    std::array<int, 5000> large{};
    large.back() = 7;
    EXPECT_EQ(handle.spawn_pinned(0, [large] { return large.back(); }).get(), 7);
    auto task = handle.spawn_stealable([large]() -> Task<int> {
        std::array<int, 20'000> local{};
        local.front() = large.back();
        co_await yield();
        co_return local.front() + local.back();
    });
    EXPECT_EQ(task.get(), 7);
}

TEST_P(Spawnables, ACallableThatThrowsBeforeItsTaskExists) {
    auto one = runtime(1);
    auto task = one.handle().spawn_pinned(0, []() -> Task<int> {
        if (shard_here() == 0) {
            throw 42;  // NOLINT(hicpp-exception-baseclass)
        }
        co_return 1;
    });
    EXPECT_THROW(static_cast<void>(task.get()), int);
    const auto throws_without_a_frame = [](bool really) -> Task<int> {
        return really ? throw 43 : seven();  // NOLINT(hicpp-exception-baseclass)
    };
    auto plain = one.handle().spawn_pinned(0, [=] { return throws_without_a_frame(true); });
    EXPECT_THROW(static_cast<void>(plain.get()), int);
}

TEST_P(Spawnables, ACopyThatThrowsLeavesNothingBehind) {
    struct ThrowsOnCopy {
        ThrowsOnCopy() = default;
        ThrowsOnCopy(const ThrowsOnCopy&) { throw 42; }  // NOLINT(hicpp-exception-baseclass)
        ThrowsOnCopy& operator=(const ThrowsOnCopy&) = delete;
        ~ThrowsOnCopy() = default;
        void operator()() const {}
    };
    auto one = runtime(1);
    const ThrowsOnCopy callable;
    EXPECT_THROW(one.handle().spawn_pinned(0, callable).detach(), int);
    EXPECT_EQ(one.handle().stats_snapshot().spawn_pinned_submitted, 0U);
    EXPECT_EQ(one.block_on(eight), 8);
}

TEST_P(Spawnables, ATaskMadeOnOneThreadRunsOnAnother) {
    auto two = runtime(2);
    const auto handle = two.handle();
    auto outer = handle.spawn_pinned(0, [&]() -> Task<int> {
        auto made_here = seven();
        auto child = handle.spawn_pinned(1, std::move(made_here));
        co_return co_await std::move(child);
    });
    EXPECT_EQ(outer.get(), 7);
}

TEST_P(Spawnables, ManyFramesFreedOnAnotherThread) {
    auto two = runtime(2);
    const auto handle = two.handle();
    for (int round = 0; round < 50; ++round) {
        std::vector<JoinHandle<int>> tasks;
        for (int i = 0; i < 200; ++i) {
            tasks.push_back(handle.spawn_round_robin([i] { return i; }));
        }
        auto freer = handle.spawn_pinned(0, [mine = std::move(tasks)]() mutable -> Task<int> {
            int sum = 0;
            for (auto& task : mine) {
                const int value = co_await std::move(task);
                sum += value;
            }
            co_return sum;
        });
        ASSERT_EQ(freer.get(), 19'900);
    }
}

}  // namespace
}  // namespace spargio::test
