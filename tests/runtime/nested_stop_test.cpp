// SPDX-License-Identifier: MIT
// A stop of what is nested deeply: it arrives before the request returns, on a stack that does not grow with the depth.
#include <atomic>
#include <cstddef>
#include <stop_token>
#include <system_error>
#include <tuple>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/small_tasks.hpp"
#include "support/stack_span.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

const auto on_any_shard = TaskPlacement::round_robin();

/// The innermost task, and what it found.
struct Bottom {
    Task<int> wait() {
        const auto token = co_await this_task::stop_token();
        const std::stop_callback noting(token, [this] {
            span.note();
            ++stops;
        });
        asleep.set();
        const auto slept = co_await sleep_for(never);
        co_return slept.error() == std::errc::operation_canceled ? 0 : -1'000'000;
    }

    StackSpan span;
    Event asleep;
    std::atomic<int> stops{0};
};

/// Each gives its depth when all below it have been stopped and have ended.
struct Nest {
    static Task<int> with_groups(Bottom& bottom, int depth) {
        if (depth == 0) {
            co_return co_await bottom.wait();
        }
        int below = 0;
        const auto child = [&]() -> Task<> { below = co_await with_groups(bottom, depth - 1); };
        const auto body = [&](TaskGroup& group) -> Task<> {
            group.spawn(on_any_shard, child);
            co_return;
        };
        co_await with_group(body);
        co_return below + 1;
    }

    static Task<int> bodies(Bottom& bottom, int depth) {
        if (depth == 0) {
            co_return co_await bottom.wait();
        }
        const auto body = [&](TaskGroup&) { return bodies(bottom, depth - 1); };
        co_return co_await with_group(body) + 1;
    }

    static Task<int> joins(Bottom& bottom, int depth) {
        if (depth == 0) {
            co_return co_await bottom.wait();
        }
        TaskGroup group;
        int below = 0;
        const auto child = [&]() -> Task<> { below = co_await joins(bottom, depth - 1); };
        group.spawn(on_any_shard, child);
        co_await group.join();
        co_return below + 1;
    }

    /// Groups in what forks, and the other way round.
    static Task<int> of_all_kinds(Bottom& bottom, int depth) {
        if (depth == 0) {
            co_return co_await bottom.wait();
        }
        if (depth % 3 == 0) {
            const auto both = co_await when_all(of_all_kinds(bottom, depth - 1), number_at_once(0));
            co_return std::get<0>(both) + 1;
        }
        if (depth % 3 == 1) {
            const auto value = co_await timeout(never, of_all_kinds(bottom, depth - 1));
            co_return value.value() + 1;
        }
        int below = 0;
        const auto child = [&]() -> Task<> { below = co_await of_all_kinds(bottom, depth - 1); };
        const auto body = [&](TaskGroup& group) -> Task<> {
            group.spawn(on_any_shard, child);
            co_return;
        };
        co_await with_group(body);
        co_return below + 1;
    }

    static Task<int> number_at_once(int number) { co_return number; }
};

class NestedStop : public BackendTest {
protected:
    void expect_a_short_way_down(Task<int> (*nest)(Bottom&, int)) {
        const int depth = static_cast<int>(scaled(1'000, 300));
        Bottom bottom;
        Runtime two = runtime(2);
        auto task = two.handle().spawn_stealable(nest(bottom, depth));
        bottom.asleep.wait();
        finish_step(two.handle(), 0);  // All above it wait.
        finish_step(two.handle(), 1);
        bottom.span.note();
        task.request_stop();
        EXPECT_EQ(bottom.stops, 1) << "before request_stop() returned";
        EXPECT_LT(bottom.span.bytes(), std::size_t{32} * 1024);
        EXPECT_EQ(task.get(), depth);
        EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
    }

    Watchdog watchdog_{"stops of nested tasks"};
};
SPARGIO_ON_BOTH_BACKENDS(NestedStop);

TEST_P(NestedStop, OfGroupsInGroups) {
    expect_a_short_way_down(&Nest::with_groups);
}

TEST_P(NestedStop, OfBodiesInBodies) {
    expect_a_short_way_down(&Nest::bodies);
}

TEST_P(NestedStop, OfTasksThatJoinGroups) {
    expect_a_short_way_down(&Nest::joins);
}

TEST_P(NestedStop, OfAllKindsOfStructure) {
    expect_a_short_way_down(&Nest::of_all_kinds);
}

// A callback of the program's own may wait for what it stops, which is on the way of the outer stop or beside it.
TEST_P(NestedStop, ACallbackMayStopAnotherNestAndWaitForIt) {
    auto two = runtime(2);
    const auto handle = two.handle();
    Bottom outer;
    Bottom inner;
    auto other = handle.spawn_stealable(Nest::with_groups(inner, 10));
    inner.asleep.wait();
    int ended = 0;
    const auto stops_it = [&]() -> Task<> {
        const auto token = co_await this_task::stop_token();
        const std::stop_callback waits(token, [&] {
            other.request_stop();
            ended = other.get();
        });
        static_cast<void>(co_await outer.wait());
    };
    const auto body = [&](TaskGroup& group) -> Task<> {
        group.spawn(on_any_shard, stops_it);
        co_return;
    };
    auto task = handle.spawn_stealable([&]() -> Task<> { co_await with_group(body); });
    outer.asleep.wait();
    task.request_stop();
    task.get();
    EXPECT_EQ(ended, 10);
}

// The last child that has begun is reached first. It is stopped then, not when the callback of another one returns.
TEST_P(NestedStop, ACallbackMayWaitForWhatTheStopHasReachedBefore) {
    auto two = runtime(2);
    Bottom reached_last;
    Bottom reached_first;
    Event ended;
    const auto waits = [&]() -> Task<> {
        const auto token = co_await this_task::stop_token();
        const std::stop_callback for_the_other(token, [&] { ended.wait(); });
        static_cast<void>(co_await reached_last.wait());
    };
    const auto nests = [&]() -> Task<> {
        static_cast<void>(co_await Nest::with_groups(reached_first, 10));
        ended.set();
    };
    const auto body = [&](TaskGroup& group) -> Task<> {
        group.spawn(on_any_shard, waits);
        while (!reached_last.asleep.is_set()) {
            co_await yield();
        }
        group.spawn(on_any_shard, nests);
    };
    auto task = two.handle().spawn_stealable([&]() -> Task<> { co_await with_group(body); });
    reached_first.asleep.wait();
    task.request_stop();
    task.get();
    EXPECT_EQ(reached_first.stops + reached_last.stops, 2);
}

}  // namespace
}  // namespace spargio::test
