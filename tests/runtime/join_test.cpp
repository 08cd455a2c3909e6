// SPDX-License-Identifier: MIT
// JoinHandle as a task uses it: both ways to await it, and the questions anybody may ask.
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"

namespace spargio::test {
namespace {

class Join : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(Join);

struct Oops : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Where a joiner and its child can be, on two shards.
const std::vector<TaskPlacement> kPlaces = {TaskPlacement::pinned(0), TaskPlacement::pinned(1),
                                            TaskPlacement::stealable()};

enum class When { ChildIsDone, ChildStillRuns };

// Runs `join(handle of the child)` as a task, for every placement of both, with a child that is done and with one that
// is not. `child(event)` makes the child, which ends when the event is set.
template <class MakeChild, class JoinIt>
void for_each_pair(Runtime& runtime, MakeChild make_child, JoinIt join) {
    const auto handle = runtime.handle();
    const NoLateWakes all_woken(handle);
    for (const auto joiner_place : kPlaces) {
        for (const auto child_place : kPlaces) {
            for (const auto when : {When::ChildIsDone, When::ChildStillRuns}) {
                Event go;
                auto child = handle.spawn_with_placement(child_place, make_child(go));
                if (when == When::ChildIsDone) {
                    go.set();
                    ASSERT_TRUE(child.wait_for(std::chrono::seconds(60)));
                }
                Event joining;
                auto joiner = handle.spawn_with_placement(joiner_place, [&]() -> Task<> {
                    joining.set();
                    co_await join(std::move(child));
                });
                joining.wait();
                go.set();
                joiner.get();
            }
        }
    }
}

Task<std::string> word_after(Event& go) {
    co_await go.async_wait();
    co_return "value";
}

Task<std::string> throw_after(Event& go) {
    co_await go.async_wait();
    throw Oops("thrown by the child");
}

Task<> void_after(Event& go) {
    co_await go.async_wait();
}

TEST_P(Join, AwaitGivesTheValue) {
    auto two_shards = runtime(2);
    for_each_pair(two_shards, word_after, [](JoinHandle<std::string> child) -> Task<> {
        const auto word = co_await std::move(child);
        EXPECT_EQ(word, "value");
    });
}

TEST_P(Join, AwaitRethrowsTheExceptionUnchanged) {
    auto two_shards = runtime(2);
    for_each_pair(two_shards, throw_after, [](JoinHandle<std::string> child) -> Task<> {
        std::string caught;
        try {
            co_await std::move(child);
        } catch (const Oops& oops) {
            caught = oops.what();
        }
        EXPECT_EQ(caught, "thrown by the child");
    });
}

TEST_P(Join, JoinGivesTheValueAsAResult) {
    auto two_shards = runtime(2);
    for_each_pair(two_shards, word_after, [](JoinHandle<std::string> child) -> Task<> {
        const auto word = co_await child.join();
        EXPECT_TRUE(word.has_value());
        EXPECT_EQ(*word, "value");
        EXPECT_TRUE(child.done());
    });
}

TEST_P(Join, JoinOfAVoidTaskGivesSuccess) {
    auto two_shards = runtime(2);
    for_each_pair(two_shards, void_after, [](JoinHandle<void> child) -> Task<> {
        const Result<void> ended = co_await child.join();
        EXPECT_TRUE(ended.has_value());
    });
}

TEST_P(Join, JoinRethrowsTheTasksOwnException) {
    auto two_shards = runtime(2);
    for_each_pair(two_shards, throw_after, [](JoinHandle<std::string> child) -> Task<> {
        std::string caught;
        try {
            static_cast<void>(co_await child.join());
        } catch (const Oops& oops) {
            caught = oops.what();
        }
        EXPECT_EQ(caught, "thrown by the child");
    });
}

TEST_P(Join, AnExceptionThatIsNoStdExceptionArrivesToo) {
    auto two_shards = runtime(2);
    auto child = two_shards.handle().spawn_pinned(1, []() -> int { throw 42; });
    two_shards.block_on([&]() -> Task<> {
        int caught = 0;
        try {
            co_await std::move(child);
        } catch (int number) {
            caught = number;
        }
        EXPECT_EQ(caught, 42);
    });
}

TEST_P(Join, APinnedJoinerGoesOnOnItsOwnShard) {
    auto three = runtime(3);
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < 50; ++round) {
        for (ShardId child_shard = 0; child_shard < 3; ++child_shard) {
            auto joiner = handle.spawn_pinned(1, [&]() -> Task<> {
                auto first = handle.spawn_pinned(child_shard, []() -> Task<> { co_await yield(); });
                co_await std::move(first);
                EXPECT_EQ(shard_here(), 1);
                auto second = handle.spawn_stealable([]() -> Task<> { co_await yield(); });
                static_cast<void>(co_await second.join());
                EXPECT_EQ(shard_here(), 1);
            });
            joiner.get();
        }
    }
}

TEST_P(Join, ARefusedSpawnJoinsWithItsReason) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    two_shards.block_on([&]() -> Task<> {
        auto refused = handle.spawn_pinned(2, [] { return 1; });
        EXPECT_TRUE(refused.done());
        EXPECT_EQ(refused.spawn_error(), RuntimeError::InvalidShard);
        const auto joined = co_await refused.join();
        EXPECT_EQ(joined.error(), RuntimeError::InvalidShard);
        std::error_code thrown;
        try {
            co_await std::move(refused);
        } catch (const std::system_error& error) {
            thrown = error.code();
        }
        EXPECT_EQ(thrown, RuntimeError::InvalidShard);
    });
}

TEST_P(Join, ATaskThatAShutdownDestroyedJoinsAsCanceled) {
    auto ours = runtime(1);
    Event never;
    auto theirs = runtime(1);
    auto first = theirs.handle().spawn_pinned(0, word_after(never));
    auto second = theirs.handle().spawn_pinned(0, word_after(never));
    theirs.shutdown();
    EXPECT_TRUE(first.done());
    EXPECT_FALSE(first.spawn_error());
    ours.block_on([&]() -> Task<> {
        const auto joined = co_await first.join();
        EXPECT_EQ(joined.error(), JoinError::Canceled);
        std::error_code thrown;
        try {
            co_await std::move(second);
        } catch (const std::system_error& error) {
            thrown = error.code();
        }
        EXPECT_EQ(thrown, JoinError::Canceled);
    });
}

TEST_P(Join, DoneTurnsTrueWhenTheTaskHasEnded) {
    auto one = runtime(1);
    Event go;
    auto child = one.handle().spawn_pinned(0, void_after(go));
    finish_step(one.handle(), 0);
    EXPECT_FALSE(child.done());
    go.set();
    EXPECT_TRUE(child.wait_for(std::chrono::seconds(60)));
    EXPECT_TRUE(child.done());
    EXPECT_FALSE(child.spawn_error());
}

TEST_P(Join, DoneSeesTheEndWithoutAnyWait) {
    auto one = runtime(1);
    Event go;
    auto child = one.handle().spawn_pinned(0, word_after(go));
    go.set();
    while (!child.done()) {
        std::this_thread::yield();
    }
    EXPECT_EQ(child.get(), "value");
}

TEST_P(Join, DetachLetsTheTaskRunOn) {
    auto two_shards = runtime(2);
    for (const auto place : kPlaces) {
        Event go;
        Event ended;
        auto child = two_shards.handle().spawn_with_placement(place, [&]() -> Task<> {
            co_await go.async_wait();
            ended.set();
        });
        child.detach();
        EXPECT_FALSE(child.valid());
        go.set();
        ended.wait();
    }
}

TEST_P(Join, DestroyingTheHandleLetsTheTaskRunOn) {
    auto two_shards = runtime(2);
    for (const auto place : kPlaces) {
        Event go;
        Latch ended(2);
        const auto child = [&]() -> Task<> {
            co_await go.async_wait();
            ended.arrive();
        };
        { const auto dropped = two_shards.handle().spawn_with_placement(place, child); }
        auto assigned_over = two_shards.handle().spawn_with_placement(place, child);
        assigned_over = two_shards.handle().spawn_with_placement(place, []() -> Task<> { co_return; });
        go.set();
        ended.wait();
        assigned_over.get();
    }
}

TEST_P(Join, DetachingAnEndedTaskFreesItsResult) {
    auto one = runtime(1);
    const auto kept = std::make_shared<int>(7);
    auto child = one.handle().spawn_pinned(0, [kept] { return kept; });
    ASSERT_TRUE(child.wait_for(std::chrono::seconds(60)));
    EXPECT_EQ(kept.use_count(), 2) << "the result is kept, the callable is not";
    child.detach();
    EXPECT_EQ(kept.use_count(), 1);
}

TEST_P(Join, TheResultOfADetachedTaskIsFreedWhenItEnds) {
    auto one = runtime(1);
    const auto kept = std::make_shared<int>(7);
    Event go;
    one.handle()
        .spawn_pinned(0,
                      [kept, &go]() -> Task<std::shared_ptr<int>> {
                          co_await go.async_wait();
                          co_return kept;
                      })
        .detach();
    go.set();
    while (kept.use_count() > 1) {
        std::this_thread::yield();
    }
}

TEST_P(Join, AnEmptyHandleSaysSoInsteadOfCrashing) {
    auto one = runtime(1);
    auto handle = one.handle().spawn_pinned(0, [] { return 1; });
    EXPECT_EQ(one.block_on([&]() -> Task<int> { co_return co_await std::move(handle); }), 1);
    EXPECT_FALSE(handle.valid());
    EXPECT_THROW(handle.get(), std::logic_error);
    EXPECT_THROW(handle.done(), std::logic_error);
    EXPECT_THROW(handle.request_stop(), std::logic_error);
    handle.detach();  // Letting go of nothing is fine.
}

TEST_P(Join, AMovedHandleJoinsTheSameTask) {
    auto one = runtime(1);
    auto first = one.handle().spawn_pinned(0, [] { return 1; });
    auto second = std::move(first);
    one.block_on([&]() -> Task<> {
        const int value = co_await std::move(second);
        EXPECT_EQ(value, 1);
    });
}

TEST_P(Join, ALongChainOfJoinsEnds) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    struct Chain {
        static Task<int> link(RuntimeHandle handle, int left) {
            if (left == 0) {
                co_return 0;
            }
            auto next = handle.spawn_pinned(static_cast<ShardId>(left % 2), link(handle, left - 1));
            const int below = co_await std::move(next);
            co_return below + 1;
        }
    };
    EXPECT_EQ(two_shards.block_on(Chain::link(handle, 10'000)), 10'000);
}

}  // namespace
}  // namespace spargio::test
