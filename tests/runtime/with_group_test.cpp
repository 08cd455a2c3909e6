// SPDX-License-Identifier: MIT
// with_group: a body and the children that it spawns end together.
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/small_tasks.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class WithGroup : public BackendTest {
protected:
    Watchdog watchdog_{"with_group"};
};
SPARGIO_ON_BOTH_BACKENDS(WithGroup);

TEST_P(WithGroup, GivesTheBodysValueWhenAllHaveEnded) {
    auto two = runtime(2);
    std::atomic<int> ran{0};
    const auto slow = [&]() -> Task<> {
        static_cast<void>(co_await sleep_for(std::chrono::microseconds(300)));
        ++ran;
    };
    const auto body = [&](TaskGroup& group) -> Task<std::unique_ptr<int>> {
        for (int i = 0; i < 10; ++i) {
            group.spawn(TaskPlacement::round_robin(), slow);
        }
        co_return std::make_unique<int>(5);
    };
    const auto joins_itself = [&](TaskGroup& group) -> Task<int> {
        group.spawn(TaskPlacement::stealable(), slow);
        co_await group.join();
        group.spawn(TaskPlacement::stealable(), slow);
        co_return ran;
    };
    const auto plain = [&](TaskGroup& group) { group.spawn(TaskPlacement::stealable(), slow); };
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        ran = 0;
        auto task = two.handle().spawn_with_placement(placement, [&]() -> Task<int> {
            auto box = co_await with_group(body);
            EXPECT_EQ(ran, 10);
            const int inside = co_await with_group(joins_itself);
            EXPECT_EQ(inside, 11);
            EXPECT_EQ(ran, 12);
            co_await with_group(plain);
            EXPECT_EQ(ran, 13);
            co_return *box;
        });
        EXPECT_EQ(task.get(), 5);
    }
    EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(WithGroup, LeftByAnExceptionStopsAndAwaitsTheChildren) {
    auto two = runtime(2);
    EndLog log;
    auto task = two.handle().spawn_stealable([&]() -> Task<std::string> {
        Latch asleep(3);
        const auto child = [&]() -> Task<> {
            const Tracker local(log, "child");
            asleep.arrive();
            const auto slept = co_await sleep_for(never);
            EXPECT_EQ(slept.error(), std::errc::operation_canceled);
            co_await yield();
        };
        const auto body = [&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 3; ++i) {
                group.spawn(TaskPlacement::round_robin(), child);
            }
            static_cast<void>(co_await asleep.async_wait());
            throw std::runtime_error("body");
        };
        try {
            co_await with_group(body);
        } catch (const std::runtime_error& error) {
            const bool ended = log.size() == 3;
            co_return ended ? error.what() : "too early";
        }
        co_return "no exception";
    });
    EXPECT_EQ(task.get(), "body");
}

TEST_P(WithGroup, AChildsErrorStopsTheBodyToo) {
    auto two = runtime(2);
    auto task = two.handle().spawn_pinned(0, []() -> Task<std::string> {
        std::atomic<bool> stopped{false};
        const auto body = [&](TaskGroup& group) -> Task<int> {
            group.spawn(TaskPlacement::pinned(1), throws_after_a_yield("child"));
            const auto slept = co_await sleep_for(never);
            stopped = slept.error() == std::errc::operation_canceled;
            co_return 1;
        };
        try {
            static_cast<void>(co_await with_group(body));
        } catch (const std::runtime_error& error) {
            co_return stopped ? error.what() : "not stopped";
        }
        co_return "no exception";
    });
    EXPECT_EQ(task.get(), "child");
}

TEST_P(WithGroup, AStopReachesBodyAndChildrenAndRequestStopTheChildrenAlone) {
    auto two = runtime(2);
    for (const auto placement : {TaskPlacement::pinned(0), TaskPlacement::stealable()}) {
        std::atomic<int> stopped{0};
        Latch asleep(2);
        auto task = two.handle().spawn_with_placement(placement, [&]() -> Task<int> {
            Latch first(1);
            const auto asks = [&](TaskGroup& group) -> Task<bool> {
                group.spawn(TaskPlacement::pinned(1), sleeper(first, stopped));
                group.request_stop();
                const auto slept = co_await sleep_for(std::chrono::microseconds(50));
                co_return slept.has_value();
            };
            const bool undisturbed = co_await with_group(asks);
            EXPECT_TRUE(undisturbed);
            const auto body = [&](TaskGroup& group) -> Task<int> {
                group.spawn(TaskPlacement::pinned(1), sleeper(asleep, stopped));
                co_await sleeper(asleep, stopped);
                co_return 3;
            };
            co_return co_await with_group(body);
        });
        asleep.wait();
        task.request_stop();
        EXPECT_EQ(task.get(), 3);
        EXPECT_EQ(stopped, 3);
    }
}

}  // namespace
}  // namespace spargio::test
