// SPDX-License-Identifier: MIT
// Trees of forks: where parents and children run, children that suspend and move, depth.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/small_tasks.hpp"
#include "support/stack_span.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

class ForkTree : public BackendTest {
protected:
    Watchdog watchdog_{"fork tree"};
};
SPARGIO_ON_BOTH_BACKENDS(ForkTree);

TEST_P(ForkTree, GivesTheSameOnAnyNumberOfShards) {
    for (const std::size_t shards : {1U, 2U, 3U}) {
        auto owner = builder(shards).stealable_queue_capacity(1).build();
        const NoLateWakes all_woken(owner.handle());
        const auto handle = owner.handle();
        for (int round = 0; round < 3; ++round) {
            EXPECT_EQ(owner.block_on(fib(16)), 987U);
            EXPECT_EQ(handle.spawn_stealable(fib(16)).get(), 987U);
            EXPECT_EQ(handle.spawn_sticky(7, fib(16)).get(), 987U);
            auto local = [] { return ShardCtx::current()->spawn_local(fib(16)); };
            auto inner = handle.spawn_pinned(0, std::move(local)).get();
            EXPECT_EQ(inner.get(), 987U);
        }
        EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
    }
    EXPECT_EQ(run_with(builder(2), [](const RuntimeHandle&) { return fib(10); }), 55U);
}

TEST_P(ForkTree, APinnedParentGoesOnOnItsShardWhereverItsChildrenRan) {
    auto two = runtime(2);
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    for (const ShardId shard : {ShardId{0}, ShardId{1}}) {
        auto parent = handle.spawn_pinned(shard, [&]() -> Task<bool> {
            bool at_home = true;
            bool children_went = true;
            for (unsigned round = 0; round < scaled(300, 50); ++round) {
                Event stolen;
                const auto stays = [&] { stolen.wait(); };
                const auto goes = [&]() -> Task<ShardId> {
                    const auto here = shard_here();
                    stolen.set();
                    co_return here;
                };
                auto [nothing, where] = co_await fork_join(stays, goes);
                at_home = at_home && shard_here() == shard;
                children_went = children_went && where != shard;
            }
            co_return at_home&& children_went;
        });
        EXPECT_TRUE(parent.get());
    }
}

TEST_P(ForkTree, AStealableParentGoesOnWhereItsLastChildEnded) {
    auto two = runtime(2);
    two.block_on([&]() -> Task<> {
        auto parent = two.handle().spawn_stealable([]() -> Task<> {
            Event stolen;
            std::atomic<ShardId> last{external_sender};
            std::atomic<bool> first_ended{false};
            struct Note {
                explicit Note(std::atomic<bool>& f) : flag(f) {}
                Note(const Note&) = delete;
                Note& operator=(const Note&) = delete;
                ~Note() { flag = true; }
                std::atomic<bool>& flag;
            };
            const auto first = [&]() -> Task<> {
                const Note note(first_ended);
                stolen.wait();
                co_return;
            };
            const auto second = [&]() -> Task<> {
                stolen.set();
                while (!first_ended.load()) {}
                spin_for(std::chrono::milliseconds(1));  // Until the first has counted itself out, most likely.
                last = shard_here();
                co_return;
            };
            co_await fork_join(first, second);
            EXPECT_NE(last.load(), external_sender);
            co_return;
        });
        co_await std::move(parent);
    });
}

TEST_P(ForkTree, ChildrenMaySuspendInEveryWayAndMove) {
    auto two = runtime(2);
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    const auto sleeps = []() -> Task<int> {
        EXPECT_TRUE((co_await sleep_for(std::chrono::microseconds(50))).has_value());
        co_return 1;
    };
    const auto moves = []() -> Task<int> {
        for (ShardId target = 0; target < 2; ++target) {
            EXPECT_TRUE((co_await resume_on(target)).has_value());
            EXPECT_EQ(shard_here(), target);
        }
        co_return 2;
    };
    const auto joins = [&]() -> Task<int> {
        auto own = handle.spawn_pinned(1, fib(5));
        auto other = handle.spawn_stealable(fib(6));
        const auto first = co_await std::move(own);
        co_return static_cast<int>(first + co_await std::move(other));
    };
    const auto blocks = [&]() -> Task<int> {
        auto job = handle.spawn_blocking([] { return 4; });
        co_return co_await std::move(job);
    };
    const auto sends = [&]() -> Task<int> {
        const auto sent = ShardCtx::current()->send_raw(1, 1, 1);
        EXPECT_TRUE(sent.has_value());
        const auto seen = co_await *sent;
        co_return seen.has_value() ? 5 : 0;
    };
    for (const auto placement : {TaskPlacement::pinned(0), TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        auto parent = handle.spawn_with_placement(placement, [&]() -> Task<int> {
            int sum = 0;
            for (unsigned round = 0; round < scaled(200, 50); ++round) {
                auto [a, b, c, d, e, f] = co_await fork_join(sleeps, moves, joins, blocks, sends, fib(4));
                sum += a + b + c + d + e + static_cast<int>(f);
            }
            co_return sum;
        });
        EXPECT_EQ(parent.get(), static_cast<int>(scaled(200, 50)) * (1 + 2 + 13 + 4 + 5 + 3));
    }
    EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
}

TEST_P(ForkTree, AChildMayJoinAHandleThatAnotherChildEnds) {
    auto two = runtime(2);
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    for (unsigned round = 0; round < scaled(500, 100); ++round) {
        Event go;
        auto awaited = handle.spawn_stealable([&]() -> Task<int> {
            co_await go.async_wait();
            co_return 3;
        });
        auto parent = handle.spawn_stealable([&]() -> Task<int> {
            const auto joins = [&]() -> Task<int> {
                const auto joined = co_await awaited.join();
                co_return joined.value();
            };
            const auto sets = [&] { go.set(); };
            auto [value, nothing] = co_await fork_join(joins, sets);
            co_return value;
        });
        ASSERT_EQ(parent.get(), 3);
    }
}

// A shard that gives up its first child at once still has the others run.
TEST_P(ForkTree, ChildrenOfSuspendedParentsFillIdleShards) {
    auto three = runtime(3);
    const NoLateWakes all_woken(three.handle());
    for (unsigned round = 0; round < scaled(300, 60); ++round) {
        watchdog_.progress("round " + std::to_string(round));
        Latch all(3);
        auto parent = three.handle().spawn_stealable([&]() -> Task<> {
            const auto meets = [&] { all.arrive_and_wait(); };  // Ends when all three run at a time.
            co_await fork_join(meets, meets, meets);
        });
        parent.get();
    }
}

struct Deep {
    StackSpan span;
    std::atomic<int> alive{0};
    std::atomic<int> out_of_order{0};
    Event arrived;
    bool stays = false;
};

struct Level {
    Level(Deep& d, int n) : deep(d), number(n) { ++deep.alive; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() {
        deep.span.note();
        deep.out_of_order += deep.alive-- != number ? 1 : 0;
    }
    Deep& deep;
    const int number;
};

Task<int> fork_deeper(Deep& deep, int level, int bottom) {
    const Level here(deep, level);
    if (level < bottom) {
        auto [below] = co_await fork_join(fork_deeper(deep, level + 1, bottom));
        co_return below + 1;
    }
    if (deep.stays) {
        deep.arrived.set();
        static_cast<void>(co_await sleep_for(std::chrono::hours(1)));
    }
    co_return 1;
}

TEST_P(ForkTree, AChainOfForksUsesConstantStack) {
    const int bottom = static_cast<int>(scaled(100'000, 20'000));
    for (const std::size_t shards : {1U, 2U}) {
        auto owner = runtime(shards);
        Deep deep;
        EXPECT_EQ(owner.block_on(fork_deeper(deep, 1, bottom)), bottom);
        EXPECT_EQ(deep.alive, 0);
        EXPECT_EQ(deep.out_of_order, 0);
        EXPECT_LE(deep.span.bytes(), bounded_stack);
    }
}

TEST_P(ForkTree, AChainOfForksIsDestroyedChildrenFirstWithoutRecursion) {
    const int bottom = static_cast<int>(scaled(100'000, 20'000));
    for (const bool stopped : {false, true}) {
        auto owner = runtime(2);
        Deep deep;
        deep.stays = true;
        auto handle = owner.handle().spawn_stealable(fork_deeper(deep, 1, bottom));
        deep.arrived.wait();
        if (stopped) {
            handle.request_stop();
        }
        owner.shutdown();
        EXPECT_EQ(deep.alive, 0);
        EXPECT_EQ(deep.out_of_order, 0);
        EXPECT_LE(deep.span.bytes(), bounded_stack);
        EXPECT_EQ(owner.handle().stats_snapshot().tasks_live, 0U);
    }
}

}  // namespace
}  // namespace spargio::test
