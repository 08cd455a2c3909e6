// SPDX-License-Identifier: MIT
// when_all: tasks that interleave on one shard, until all have ended.
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/sends_when_stopped.hpp"
#include "support/shutdown_checks.hpp"
#include "support/small_tasks.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class WhenAll : public BackendTest {
protected:
    Watchdog watchdog_{"when_all"};
};
SPARGIO_ON_BOTH_BACKENDS(WhenAll);

static_assert(std::is_same_v<decltype(when_all()), Task<std::tuple<>>>);
static_assert(
    std::is_same_v<decltype(when_all(std::declval<Task<int>>(), std::declval<Task<>>(), std::declval<Task<int&>>())),
                   Task<std::tuple<int, std::monostate, int&>>>);
static_assert(std::is_same_v<decltype(when_all(std::declval<std::vector<Task<int>>>())), Task<std::vector<int>>>);
static_assert(
    std::is_same_v<decltype(when_all(std::declval<std::vector<Task<>>>())), Task<std::vector<std::monostate>>>);

Task<int> value(int of) {
    co_return of;
}
Task<int&> refers(int& to) {
    co_await yield();
    co_return to;
}
Task<int> fails(std::string text, int yields) {
    for (int i = 0; i < yields; ++i) {
        co_await yield();
    }
    throw std::runtime_error(text);
}

TEST_P(WhenAll, GivesAllValuesInTheirOrder) {
    auto one = runtime(1);
    auto task = one.handle().spawn_pinned(0, []() -> Task<int> {
        int local = 8;
        co_await when_all();
        auto [a, b, c, d, e] = co_await when_all(value(1), boxed(2), nothing(), refers(local), value(3));
        static_cast<void>(c);
        EXPECT_EQ(&d, &local);
        co_return a * 100 + *b * 10 + e;
    });
    EXPECT_EQ(task.get(), 123);
    EXPECT_EQ(one.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(WhenAll, OfAVectorGivesAVector) {
    auto one = runtime(1);
    auto task = one.handle().spawn_pinned(0, []() -> Task<int> {
        auto none = co_await when_all(std::vector<Task<int>>());
        EXPECT_TRUE(none.empty());
        std::vector<Task<std::unique_ptr<int>>> boxes;
        std::vector<Task<>> voids;
        std::vector<Task<int&>> references;
        std::vector<Task<bool>> bools;
        int local = 0;
        int sum = 0;
        for (int i = 0; i < 10; ++i) {
            boxes.push_back(boxed(i));
            voids.push_back(nothing());
            references.push_back(refers(local));
            bools.push_back([](bool odd) -> Task<bool> { co_return odd; }(i % 2 != 0));
        }
        auto values = co_await when_all(std::move(boxes));
        for (std::size_t i = 0; i < values.size(); ++i) {
            sum += *values[i] == static_cast<int>(i) ? 1 : 100;
        }
        const auto empty = co_await when_all(std::move(voids));
        EXPECT_EQ(empty.size(), 10U);
        const auto locals = co_await when_all(std::move(references));
        EXPECT_EQ(&locals.back().get(), &local);
        const auto odd = co_await when_all(std::move(bools));
        EXPECT_TRUE(odd.at(1) && !odd.at(2));
        co_return sum;
    });
    EXPECT_EQ(task.get(), 10);
}

TEST_P(WhenAll, InterleavesAtAwaitsInTheirOrder) {
    auto two = runtime(2);
    std::string order;
    auto task = two.handle().spawn_pinned(0, [&]() -> Task<> {
        const auto writes = [&](char name) -> Task<> {
            for (int i = 0; i < 3; ++i) {
                order += name;
                co_await yield();
            }
        };
        co_await when_all(writes('a'), writes('b'), writes('c'));
    });
    task.get();
    EXPECT_EQ(order, "abcabcabc");
}

// Nothing but the shard keeps the children from the counter: a thread sanitizer would see it, and so would the sum.
TEST_P(WhenAll, RunsOnTheCallersShardAloneAlsoIfThatIsStealable) {
    auto two = runtime(2);
    std::vector<JoinHandle<bool>> tasks;
    for (int i = 0; i < 8; ++i) {
        tasks.push_back(two.handle().spawn_stealable([]() -> Task<bool> {
            const auto home = ShardCtx::current()->shard_id();
            int counter = 0;
            bool here = true;
            const auto counts = [&]() -> Task<> {
                for (int step = 0; step < 200; ++step) {
                    const int seen = counter;
                    here = here && ShardCtx::current()->shard_id() == home;
                    counter = seen + 1;
                    if (step % 50 == 0) {
                        static_cast<void>(co_await sleep_for(std::chrono::microseconds(10)));
                    } else {
                        co_await yield();
                    }
                }
                const auto moved = co_await resume_on(static_cast<ShardId>(1 - home));
                here = here && moved.error() == RuntimeError::InvalidShard;
            };
            co_await when_all(counts(), counts(), counts());
            co_return here&& counter == 600 && ShardCtx::current()->shard_id() == home;
        }));
    }
    for (auto& task : tasks) {
        EXPECT_TRUE(task.get());
    }
}

TEST_P(WhenAll, TheFirstExceptionInTimeStopsTheOthersAndIsRethrownWhenTheyHaveEnded) {
    auto one = runtime(1);
    EndLog log;
    auto task = one.handle().spawn_pinned(0, [&]() -> Task<std::string> {
        const auto sleeps = [&]() -> Task<> {
            const Tracker local(log, "sleeper");
            const auto slept = co_await sleep_for(never);
            EXPECT_EQ(slept.error(), std::errc::operation_canceled);
            co_await yield();
            throw std::runtime_error("dropped");
        };
        try {
            co_await when_all(fails("late", 5), sleeps(), fails("first", 2), sleeps());
        } catch (const std::runtime_error& error) {
            const bool ended = log.size() == 2;
            co_return ended ? error.what() : "too early";
        }
        co_return "no exception";
    });
    EXPECT_EQ(task.get(), "first");
    EXPECT_EQ(one.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(WhenAll, OfAVectorRethrowsTheFirstInTime) {
    auto one = runtime(1);
    auto task = one.handle().spawn_pinned(0, []() -> Task<std::string> {
        std::vector<Task<int>> tasks;
        tasks.push_back(fails("late", 4));
        tasks.push_back(value(1));
        tasks.push_back(fails("first", 1));
        try {
            co_await when_all(std::move(tasks));
        } catch (const std::runtime_error& error) {
            co_return error.what();
        }
        co_return "no exception";
    });
    EXPECT_EQ(task.get(), "first");
}

// A later one that has not begun when the first throws: it is stopped, and still has its first step.
TEST_P(WhenAll, ATaskThatIsStoppedBeforeItsFirstStepStillRuns) {
    auto one = runtime(1);
    auto task = one.handle().spawn_pinned(0, []() -> Task<int> {
        int ran = 0;
        const auto later = [&]() -> Task<> {
            const auto token = co_await this_task::stop_token();
            ran += token.stop_requested() ? 1 : 100;
        };
        try {
            co_await when_all(fails("at once", 0), later(), later());
        } catch (const std::runtime_error&) {
            co_return ran;
        }
        co_return -1;
    });
    EXPECT_EQ(task.get(), 2);
}

TEST_P(WhenAll, CountsItsTasksAsOnesOfTheShard) {
    auto one = runtime(1);
    const auto handle = one.handle();
    auto task = handle.spawn_pinned(0, [&]() -> Task<std::uint64_t> {
        const auto looks = [&]() -> Task<std::uint64_t> {
            co_await yield();
            co_return handle.stats_snapshot().tasks_live;
        };
        const auto yields = []() -> Task<> { co_await yield(); };
        auto [live, other] = co_await when_all(looks(), yields());
        static_cast<void>(other);
        co_return live;
    });
    EXPECT_EQ(task.get(), 3U);
    EXPECT_EQ(handle.stats_snapshot().spawn_pinned_submitted, 3U);
    EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
}

TEST_P(WhenAll, PassesAStopOfTheCallerOn) {
    auto two = runtime(2);
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        Latch asleep(4);
        auto task = two.handle().spawn_with_placement(placement, [&]() -> Task<int> {
            const auto forks = [&]() -> Task<int> {
                auto [first, second] = co_await fork_join(sleeper(asleep), sleeper(asleep));
                co_return first + second;
            };
            const auto nests = [&]() -> Task<int> {
                auto [only] = co_await when_all(sleeper(asleep));
                co_return only;
            };
            auto [a, b, c, d] = co_await when_all(forks(), sleeper(asleep), nests(), value(10));
            co_return a + b + c + d;
        });
        asleep.wait();
        task.request_stop();
        EXPECT_EQ(task.get(), 14);
    }
}

// A child that has forked is in its shard's list already when it lies down: what is above it must be armed by then.
TEST_P(WhenAll, AStopReachesAChildThatSleepsAfterItHasForked) {
    auto two = runtime(2);
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        Latch asleep(1);
        auto task = two.handle().spawn_with_placement(placement, [&]() -> Task<int> {
            const auto child = [&]() -> Task<int> {
                co_await fork_join(value(1), value(2));
                co_return co_await sleeper(asleep);
            };
            auto [only, other] = co_await when_all(child(), value(0));
            co_return only + other;
        });
        asleep.wait();
        task.request_stop();
        EXPECT_EQ(task.get(), 1);
    }
}

TEST_P(WhenAll, AfterAStopStartsChildrenThatAreStopped) {
    auto two = runtime(2);
    Event stopped;
    Latch asleep(2);
    auto task = two.handle().spawn_pinned(0, [&]() -> Task<int> {
        stopped.wait();
        auto [a, b] = co_await when_all(sleeper(asleep), sleeper(asleep));
        co_return a + b;
    });
    task.request_stop();
    stopped.set();
    EXPECT_EQ(task.get(), 2);
}

TEST_P(WhenAll, IsATaskThatCanBeSpawnedAndNested) {
    auto two = runtime(2);
    auto task = two.handle().spawn_stealable(when_all(when_all(value(1), value(2)), when_all(value(3))));
    const auto [first, second] = task.get();
    EXPECT_EQ(std::get<0>(first) * 100 + std::get<1>(first) * 10 + std::get<0>(second), 123);
}

Task<int> nest(int depth) {
    if (depth == 0) {
        co_await yield();
        co_return 1;
    }
    auto [below, beside] = co_await when_all(nest(depth - 1), value(1));
    co_return below + beside;
}

TEST_P(WhenAll, TakesTenThousandAtATimeAndDeep) {
    auto one = runtime(1);
    const int many = static_cast<int>(scaled(10'000, 2'000));
    auto wide = one.handle().spawn_pinned(0, [&]() -> Task<std::size_t> {
        std::vector<Task<std::unique_ptr<int>>> tasks;
        for (int i = 0; i < many; ++i) {
            tasks.push_back(boxed(i));
        }
        const auto values = co_await when_all(std::move(tasks));
        co_return values.size();
    });
    EXPECT_EQ(wide.get(), static_cast<std::size_t>(many));
    EXPECT_EQ(one.handle().spawn_pinned(0, nest(many)).get(), many + 1);
    EXPECT_EQ(one.handle().spawn_stealable(nest(many)).get(), many + 1);
    EXPECT_EQ(one.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(WhenAll, AStopReachesTheSleeperUnderADeepNest) {
    struct Nest {
        static Task<int> down(Latch& asleep, int depth) {
            if (depth == 0) {
                co_return co_await sleeper(asleep);
            }
            auto [below] = co_await when_all(down(asleep, depth - 1));
            co_return below;
        }
    };
    auto one = runtime(1);
    Latch asleep(1);
    auto task = one.handle().spawn_stealable(Nest::down(asleep, static_cast<int>(scaled(10'000, 2'000))));
    asleep.wait();
    task.request_stop();
    EXPECT_EQ(task.get(), 1);
}

TEST_P(WhenAll, InAShutdownChildrenGoBeforeTheParent) {
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        EndLog log;
        Latch asleep(2);
        auto two = runtime(2);
        const auto child = [&](const char* name) -> Task<> {
            const Tracker local(log, name);
            static_cast<void>(co_await sleeper(asleep));
        };
        two.handle()
            .spawn_with_placement(placement,
                                  [&]() -> Task<> {
                                      const Tracker local(log, "outer");
                                      co_await when_all(child("a"), child("b"));
                                      ADD_FAILURE() << "resumed by a shutdown";
                                  })
            .detach();
        asleep.wait();
        two.shutdown();
        const auto names = log.names();
        ASSERT_EQ(names.size(), 3U);
        EXPECT_EQ(names.back(), "outer");
        EXPECT_EQ(log.on_shard(external_sender), 0U);
        expect_nothing_left(two.handle());
    }
}

TEST_P(WhenAll, ChildrenThatNeverBeganGoWithTheirParent) {
    for (const auto placement : {TaskPlacement::pinned(0), TaskPlacement::stealable()}) {
        EndLog log;
        Event begun;
        auto one = runtime(1);
        const auto shuts = [&]() -> Task<> {
            one.shutdown();
            begun.set();
            co_return;
        };
        const auto never_runs = [&]() -> Task<> {
            ADD_FAILURE() << "it ran";
            co_return;
        };
        one.handle()
            .spawn_with_placement(placement,
                                  [&]() -> Task<> {
                                      const Tracker local(log, "outer");
                                      co_await when_all(shuts(), never_runs(), never_runs());
                                      ADD_FAILURE() << "resumed by a shutdown";
                                  })
            .detach();
        begun.wait();
        one.shutdown();
        EXPECT_EQ(log.size(), 1U);
        expect_nothing_left(one.handle());
    }
}

TEST_P(WhenAll, StopsRaceWithEndsAndExceptions) {
    Random random(stress_seed());
    auto two = runtime(2);
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    for (unsigned round = 0; round < scaled(2'000, 400); ++round) {
        watchdog_.progress("round " + std::to_string(round));
        const auto work = std::chrono::nanoseconds(random.below(30'000));
        const auto delay = std::chrono::nanoseconds(random.below(40'000));
        const bool throws = random.one_in(3);
        const bool forks = random.one_in(2);
        const auto leaf = [&](bool fail) -> Task<int> {
            static_cast<void>(co_await sleep_for(work));
            if (fail) {
                throw std::runtime_error("leaf");
            }
            co_return 1;
        };
        const auto above = [&](bool fail) -> Task<int> {
            if (forks) {
                auto [first, second] = co_await fork_join(leaf(false), leaf(fail));
                co_return first + second;
            }
            auto [first, second] = co_await when_all(leaf(fail), leaf(false));
            co_return first + second;
        };
        const auto body = [&]() -> Task<int> {
            auto [first, second, third] = co_await when_all(above(false), above(throws), without_stop(above(false)));
            co_return first + second + third;
        };
        auto task = random.one_in(2) ? handle.spawn_pinned(0, body) : handle.spawn_stealable(body);
        spin_for(delay);
        task.request_stop();
        if (throws) {
            ASSERT_THROW(static_cast<void>(task.get()), std::runtime_error);
        } else {
            ASSERT_EQ(task.get(), 6);
        }
    }
    EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
}

TEST_P(WhenAll, PublishesWhatACallbackOfAStopSends) {
    auto two = runtime(2);
    const auto handle = two.handle();
    const NoLateWakes all_woken(handle);
    Event received;
    auto receiver = handle.spawn_pinned(1, receives(received));
    auto sender = handle.spawn_pinned(
        0, [&]() -> Task<> { static_cast<void>(co_await when_all(sends_when_stopped(received), fails("first", 1))); });
    EXPECT_EQ(receiver.get(), 42U);
    EXPECT_THROW(sender.get(), std::runtime_error);
}

}  // namespace
}  // namespace spargio::test
