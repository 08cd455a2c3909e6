// SPDX-License-Identifier: MIT
// What a shutdown does to tasks that join each other: in a chain, in a ring, and one itself.
#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/shutdown_checks.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class ShutdownJoins : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(ShutdownJoins);

// Each link is a task of its own that joins the next one, on alternating shards.
TEST_P(ShutdownJoins, JoinedTasksAreDestroyedBeforeThoseThatJoinThem) {
    EndLog log;
    Event never;
    Event suspended;
    struct Chain {
        static Task<> link(RuntimeHandle handle, int depth, EndLog& log, Event& suspended, Event& never) {
            const Tracker local(log, std::to_string(depth));
            if (depth == 6) {
                suspended.set();
                co_await never.async_wait();
            } else {
                auto next = handle.spawn_pinned(static_cast<ShardId>(depth % 2),
                                                link(handle, depth + 1, log, suspended, never));
                if (depth % 3 == 0) {
                    co_await std::move(next);
                } else {
                    static_cast<void>(co_await next.join());
                }
            }
        }
    };
    {
        auto two = runtime(2);
        two.handle().spawn_pinned(0, Chain::link(two.handle(), 1, log, suspended, never)).detach();
        suspended.wait();
        for (ShardId shard = 0; shard < 2; ++shard) {
            finish_step(two.handle(), shard);
        }
    }
    EXPECT_EQ(log.names(), (std::vector<std::string>{"6", "5", "4", "3", "2", "1"}));
}

TEST_P(ShutdownJoins, ALongChainOfJoinsIsDestroyedWithoutRecursion) {
    const int depth = static_cast<int>(scaled(50'000, 10'000));
    Event never;
    Event suspended;
    std::atomic<int> ended{0};
    struct Chain {
        static Task<> link(RuntimeHandle handle, int left, std::atomic<int>& ended, Event& suspended, Event& never) {
            struct Guard {
                explicit Guard(std::atomic<int>& c) : count(c) {}
                Guard(const Guard&) = delete;
                Guard& operator=(const Guard&) = delete;
                ~Guard() { count.fetch_add(1, std::memory_order_relaxed); }
                std::atomic<int>& count;
            };
            const Guard guard(ended);
            if (left == 0) {
                suspended.set();
                co_await never.async_wait();
            } else {
                auto next = handle.spawn_pinned(static_cast<ShardId>(left % 2),
                                                link(handle, left - 1, ended, suspended, never));
                co_await std::move(next);
            }
        }
    };
    {
        auto two = runtime(2);
        two.handle().spawn_pinned(0, Chain::link(two.handle(), depth, ended, suspended, never)).detach();
        suspended.wait();
    }
    EXPECT_EQ(ended.load(), depth + 1);
}

TEST_P(ShutdownJoins, TasksThatJoinEachOtherInARingAreDestroyed) {
    for (const ShardId second_shard : {ShardId{0}, ShardId{1}}) {
        EndLog log;
        Event published;
        std::optional<JoinHandle<void>> first;
        std::optional<JoinHandle<void>> second;
        {
            auto two = runtime(2);
            const auto handle = two.handle();
            Latch joining(2);
            const auto join_it = [&](std::optional<JoinHandle<void>>& other) {
                return [&, t = Tracker(log)]() -> Task<> {
                    co_await published.async_wait();
                    joining.arrive();
                    static_cast<void>(co_await other->join());
                };
            };
            first.emplace(handle.spawn_pinned(0, join_it(second)));
            second.emplace(handle.spawn_pinned(second_shard, join_it(first)));
            published.set();
            joining.wait();
        }
        EXPECT_EQ(log.size(), 2U);
        EXPECT_EQ(code_of(*first), JoinError::Canceled);
        EXPECT_EQ(code_of(*second), JoinError::Canceled);
    }
}

// A joins B, B joins C, C joins A: after the one where the ring is opened, each goes before the one that awaits it.
TEST_P(ShutdownJoins, ARingOfJoinsIsOpenedAtOnePlaceOnly) {
    EndLog log;
    Event published;
    std::array<std::optional<JoinHandle<void>>, 3> tasks;
    {
        auto one = runtime(1);
        Latch joining(tasks.size());
        const auto join_next = [&](std::size_t mine) {
            return [&, mine, t = Tracker(log, std::to_string(mine))]() -> Task<> {
                co_await published.async_wait();
                joining.arrive();
                static_cast<void>(co_await tasks[(mine + 1) % tasks.size()]->join());
            };
        };
        for (std::size_t i = 0; i < tasks.size(); ++i) {
            tasks[i].emplace(one.handle().spawn_pinned(0, join_next(i)));
        }
        published.set();
        joining.wait();
    }
    const auto order = log.names();
    ASSERT_EQ(order.size(), tasks.size());
    for (std::size_t i = 1; i < order.size(); ++i) {
        EXPECT_EQ((std::stoul(order[i]) + 1) % tasks.size(), std::stoul(order[i - 1]))
            << "the next to go is the one that awaits the last";
    }
}

TEST_P(ShutdownJoins, NoJoinerIsResumedOnceTheShutdownHasBegun) {
    auto owner = std::make_optional(runtime(1));
    const auto handle = owner->handle();
    std::atomic<int> resumed{0};
    Event begun;
    auto joins = [&](auto child) {
        return [&, child = std::move(child)]() mutable -> Task<> {
            co_await std::move(child);
            resumed.fetch_add(1);
        };
    };
    auto child = handle.spawn_pinned(0, [&]() -> Task<> {
        co_await begun.async_wait();
        owner->shutdown();
    });
    auto parent = handle.spawn_pinned(0, joins(std::move(child)));
    auto grandparent = handle.spawn_pinned(0, joins(std::move(parent)));
    finish_step(handle, 0);
    begun.set();
    EXPECT_EQ(code_of(grandparent), JoinError::Canceled);
    owner.reset();
    EXPECT_EQ(resumed.load(), 0);
}

TEST_P(ShutdownJoins, ATaskThatJoinsItselfIsDestroyed) {
    std::optional<JoinHandle<void>> self;
    Event published;
    EndLog log;
    {
        auto one = runtime(1);
        Event joining;
        self.emplace(one.handle().spawn_pinned(0, [&, t = Tracker(log)]() -> Task<> {
            co_await published.async_wait();
            joining.set();
            static_cast<void>(co_await self->join());
        }));
        published.set();
        joining.wait();
    }
    EXPECT_EQ(log.size(), 1U);
}

}  // namespace
}  // namespace spargio::test
