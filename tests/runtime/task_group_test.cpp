// SPDX-License-Identifier: MIT
// TaskGroup: children that nobody can lose.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/process_gauges.hpp"
#include "support/shutdown_checks.hpp"
#include "support/small_tasks.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

class Group : public BackendTest {
protected:
    Watchdog watchdog_{"task group"};
};
SPARGIO_ON_BOTH_BACKENDS(Group);

const auto anywhere = TaskPlacement::stealable();

TEST_P(Group, JoinsWhateverCanBeSpawnedWithEveryPlacement) {
    auto two = runtime(2);
    auto task = two.handle().spawn_pinned(0, []() -> Task<int> {
        TaskGroup group;
        std::atomic<int> ran{0};
        std::atomic<int> on_one{0};
        const auto counts = [&]() -> Task<int> {
            co_await yield();
            co_return ++ran;
        };
        for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::round_robin(), TaskPlacement::sticky(7),
                                     TaskPlacement::stealable(), TaskPlacement::stealable_preferred(1)}) {
            group.spawn(placement, counts());
            group.spawn(placement, counts);
            auto plain = [&ran, only = std::make_unique<int>(1)] { ran += *only; };
            group.spawn(placement, std::move(plain));
        }
        group.spawn(TaskPlacement::pinned(1), [&] { on_one = ShardCtx::current()->shard_id(); });
        co_await group.join();
        EXPECT_EQ(on_one, 1);
        co_await group.join();
        const int first = ran;
        group.spawn(anywhere, counts);
        co_await group.join();
        co_return ran - first;
    });
    EXPECT_EQ(task.get(), 1);
    EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(Group, TheFirstErrorStopsTheRestAndIsRethrownOnce) {
    auto two = runtime(2);
    std::atomic<int> stopped{0};
    auto task = two.handle().spawn_stealable([&]() -> Task<std::string> {
        TaskGroup group;
        Latch asleep(4);
        for (int i = 0; i < 4; ++i) {
            group.spawn(TaskPlacement::round_robin(), [&]() -> Task<> {
                co_await sleeper(asleep, stopped);
                throw std::runtime_error("later, dropped");
            });
        }
        static_cast<void>(co_await asleep.async_wait());
        group.spawn(TaskPlacement::pinned(1), throws_after_a_yield("first"));
        std::string text;
        try {
            co_await group.join();
        } catch (const std::runtime_error& error) {
            text = error.what();
        }
        EXPECT_EQ(stopped, 4);
        co_await group.join();
        // A group that was stopped stays stopped, and its children still start.
        Latch later(1);
        group.spawn(anywhere, sleeper(later, stopped));
        co_await group.join();
        EXPECT_EQ(stopped, 5);
        co_return text;
    });
    EXPECT_EQ(task.get(), "first");
}

TEST_P(Group, ARefusedSpawnIsAnError) {
    auto two = runtime(2);
    std::atomic<int> stopped{0};
    auto task = two.handle().spawn_pinned(0, [&]() -> Task<std::error_code> {
        TaskGroup group;
        Latch asleep(1);
        group.spawn(TaskPlacement::pinned(1), sleeper(asleep, stopped));
        group.spawn(TaskPlacement::pinned(2), sleeper(asleep, stopped));
        try {
            co_await group.join();
        } catch (const std::system_error& error) {
            co_return error.code();
        }
        co_return std::error_code();
    });
    EXPECT_EQ(task.get(), RuntimeError::InvalidShard);
    EXPECT_EQ(stopped, 1);
    EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(Group, RequestStopReachesAllAndThoseThatComeLater) {
    auto two = runtime(2);
    std::atomic<int> stopped{0};
    auto task = two.handle().spawn_pinned(0, [&]() -> Task<> {
        TaskGroup group;
        Latch asleep(3);
        Latch later(2);
        for (int i = 0; i < 3; ++i) {
            group.spawn(TaskPlacement::round_robin(), sleeper(asleep, stopped));
        }
        static_cast<void>(co_await asleep.async_wait());
        group.request_stop();
        group.spawn(anywhere, sleeper(later, stopped));
        group.spawn(TaskPlacement::pinned(1), [&]() -> Task<> {
            const auto token = co_await this_task::stop_token();
            stopped += token.stop_requested() ? 10 : 0;
        });
        co_await group.join();
    });
    task.get();
    EXPECT_EQ(stopped, 14);
}

TEST_P(Group, AStopOfTheJoiningTaskIsPassedOnAndTheEndsAreAwaited) {
    auto two = runtime(2);
    for (const auto placement : {TaskPlacement::pinned(0), TaskPlacement::stealable()}) {
        for (const bool before_the_join : {false, true}) {
            std::atomic<int> stopped{0};
            Latch asleep(5);
            Event was_stopped;
            auto task = two.handle().spawn_with_placement(placement, [&]() -> Task<int> {
                TaskGroup group;
                for (int i = 0; i < 4; ++i) {
                    group.spawn(TaskPlacement::round_robin(), [&]() -> Task<> {
                        co_await sleeper(asleep, stopped);
                        for (int n = 0; n < 10; ++n) {
                            co_await yield();
                        }
                        stopped += 10;
                    });
                }
                asleep.arrive();
                if (before_the_join) {
                    co_await without_stop(when_all(was_stopped.async_wait()));
                }
                co_await group.join();
                co_return stopped.load();
            });
            asleep.wait();
            task.request_stop();
            was_stopped.set();
            EXPECT_EQ(task.get(), 44);
        }
    }
}

TEST_P(Group, ChildrenAndThreadsMaySpawnAtTheSameTime) {
    auto two = runtime(2);
    std::atomic<int> ran{0};
    struct Tree {
        static Task<> grow(TaskGroup& group, std::atomic<int>& ran, int depth) {
            ++ran;
            if (depth != 0) {
                group.spawn(TaskPlacement::round_robin(), grow(group, ran, depth - 1));
                group.spawn(anywhere, grow(group, ran, depth - 1));
            }
            co_return;
        }
    };
    TaskGroup group(two.handle());
    auto task = two.handle().spawn_pinned(0, [&]() -> Task<> {
        Event spawned;
        std::atomic<int> missing{2};
        group.spawn(anywhere, [&]() -> Task<> { static_cast<void>(co_await spawned.async_wait()); });
        std::vector<std::thread> threads;
        for (int i = 0; i < 2; ++i) {
            threads.emplace_back([&] {
                for (int n = 0; n < 100; ++n) {
                    group.spawn(TaskPlacement::round_robin(), Tree::grow(group, ran, 2));
                }
                if (--missing == 0) {
                    spawned.set();
                }
            });
        }
        group.spawn(anywhere, Tree::grow(group, ran, 9));
        co_await group.join();
        for (auto& thread : threads) {
            thread.join();
        }
    });
    task.get();
    EXPECT_EQ(ran, 1023 + 1400);
}

TEST_P(Group, IsJoinedInTheRuntimeThatItSpawnsIn) {
    auto one = runtime(1);
    auto other = runtime(1);
    EXPECT_THROW(TaskGroup(), std::logic_error);
    TaskGroup group(one.handle());
    auto task = other.handle().spawn_pinned(0, [&]() -> Task<> { co_await group.join(); });
    EXPECT_THROW(task.get(), std::logic_error);
}

TEST_P(Group, KeepsNothingOfEndedChildren) {
    auto one = runtime(1);
    auto task = one.handle().spawn_pinned(0, [&]() -> Task<> {
        TaskGroup group;
        const unsigned rounds = scaled(200, 20);
        for (unsigned round = 0; round < rounds; ++round) {
            for (int i = 0; i < 1000; ++i) {
                group.spawn(TaskPlacement::pinned(0), [] {});
            }
            co_await yield();
            EXPECT_EQ(ShardCtx::current()->handle().stats_snapshot().tasks_live, 1U);
        }
        co_await group.join();
    });
    task.get();
}

TEST_P(Group, JoinCanBeGivenATimeLimit) {
    VirtualClock clock;
    auto two = runtime(2);
    std::atomic<int> stopped{0};
    auto task = two.handle().spawn_stealable([&]() -> Task<std::error_code> {
        TaskGroup group;
        Latch asleep(2);
        group.spawn(TaskPlacement::pinned(0), sleeper(asleep, stopped));
        group.spawn(TaskPlacement::pinned(1), sleeper(asleep, stopped));
        const auto joined = co_await timeout(std::chrono::milliseconds(1), group.join());
        co_return joined.error();
    });
    VirtualClock::settle(two.handle());
    EXPECT_FALSE(task.done());
    clock.advance_until_done(two.handle(), task, std::chrono::milliseconds(1));
    EXPECT_EQ(task.get(), std::errc::timed_out);
    EXPECT_EQ(stopped, 2);
}

TEST_P(Group, NestsDeeply) {
    struct Nest {
        static Task<int> down(int depth) {
            if (depth == 0) {
                static_cast<void>(co_await sleep_for(never));
                co_return 0;
            }
            int below = 0;
            const auto body = [&](TaskGroup& group) -> Task<> {
                group.spawn(TaskPlacement::round_robin(), [&]() -> Task<> { below = co_await down(depth - 1); });
                co_return;
            };
            co_await with_group(body);
            co_return below + 1;
        }
    };
    auto two = runtime(2);
    const int depth = static_cast<int>(scaled(1'000, 200));
    auto task = two.handle().spawn_stealable(Nest::down(depth));
    spin_for(std::chrono::milliseconds(1));
    task.request_stop();
    EXPECT_EQ(task.get(), depth);
    EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(Group, ErrorsStopsAndEndsRace) {
    Random random(stress_seed());
    auto two = runtime(2);
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    for (unsigned round = 0; round < scaled(2'000, 400); ++round) {
        watchdog_.progress("round " + std::to_string(round));
        const auto work = std::chrono::nanoseconds(random.below(30'000));
        const auto delay = std::chrono::nanoseconds(random.below(60'000));
        const bool throws = random.one_in(2);
        const bool asks = random.one_in(2);
        std::atomic<int> live{0};
        const auto child = [&](bool fail) -> Task<> {
            ++live;
            static_cast<void>(co_await sleep_for(work));
            --live;
            if (fail) {
                throw std::runtime_error("child");
            }
        };
        const auto inside = [&](TaskGroup& group) -> Task<int> {
            group.spawn(TaskPlacement::round_robin(), child(false));
            group.spawn(anywhere, child(throws));
            group.spawn(anywhere, [&group, &child]() -> Task<> {
                group.spawn(TaskPlacement::round_robin(), child(false));
                co_await child(false);
            });
            if (asks) {
                group.request_stop();
            }
            static_cast<void>(co_await sleep_for(work));
            co_return 1;
        };
        const auto body = [&]() -> Task<int> {
            const int value = co_await with_group(inside);
            co_return live == 0 ? value : -1;
        };
        auto task = random.one_in(2) ? handle.spawn_pinned(0, body) : handle.spawn_stealable(body);
        spin_for(delay);
        task.request_stop();
        if (throws) {
            ASSERT_THROW(static_cast<void>(task.get()), std::runtime_error);
            ASSERT_EQ(live, 0);
        } else {
            ASSERT_EQ(task.get(), 1);
        }
    }
    EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
}

TEST(TaskGroupDeathTest, DestroyedUnjoinedStopsTheProgramWithASentence) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto forgets = [] {
        Runtime one = RuntimeBuilder().shards(1).backend(BackendKind::Queue).build();
        one.handle()
            .spawn_pinned(0,
                          []() -> Task<> {
                              TaskGroup group;
                              group.spawn(TaskPlacement::pinned(0), [] {});
                              co_await yield();
                              co_await yield();
                          })
            .get();
    };
    EXPECT_DEATH(forgets(), "TaskGroup was destroyed with children that nobody has joined");
}

}  // namespace
}  // namespace spargio::test
