// SPDX-License-Identifier: MIT
// fork_join: results of every kind, the order of the children, their exceptions and the ends of their frames.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/result_types.hpp"
#include "support/small_tasks.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class ForkJoin : public BackendTest {
protected:
    Watchdog watchdog_{"fork_join"};
};
SPARGIO_ON_BOTH_BACKENDS(ForkJoin);

Task<int> number(int value) {
    co_return value;
}

Task<int> number_after_a_yield(int value) {
    co_await yield();
    co_return value;
}

Task<int> throws(std::string what) {
    throw std::runtime_error(what);
    co_return 0;
}

Task<Aligned> aligned(int n) {
    co_return Aligned(n);
}
Task<Large> large(unsigned char n) {
    co_return Large(n);
}
Task<int&> reference(int& n) {
    co_return n;
}
Task<std::string> text(std::string value) {
    co_return value;
}
Task<ThrowingMove> moves(int n, int countdown) {
    co_return ThrowingMove(n, countdown);
}

TEST_P(ForkJoin, GivesATupleInTheOrderOfTheChildren) {
    auto two = runtime(2);
    const auto values = two.block_on([]() -> Task<std::tuple<int, int, int>> {
        co_return co_await fork_join(number(1), number_after_a_yield(2), number(3));
    });
    EXPECT_EQ(values, std::make_tuple(1, 2, 3));
}

TEST_P(ForkJoin, GivesResultsOfEveryKind) {
    auto two = runtime(2);
    int referred = 7;
    two.block_on([&]() -> Task<> {
        const auto plain = [] { return 5; };
        auto all = co_await fork_join(number(1), nothing(), boxed(2), reference(referred), aligned(3), large(4),
                                      text(std::string(100, 'x')), plain);
        static_assert(std::is_same_v<decltype(all), std::tuple<int, std::monostate, std::unique_ptr<int>, int&, Aligned,
                                                               Large, std::string, int>>);
        EXPECT_EQ(std::get<0>(all), 1);
        EXPECT_EQ(*std::get<2>(all), 2);
        EXPECT_EQ(&std::get<3>(all), &referred);
        EXPECT_EQ(std::get<4>(all).number, 3);
        EXPECT_EQ(std::get<5>(all).bytes[99'999], 4);
        EXPECT_EQ(std::get<6>(all), std::string(100, 'x'));
        EXPECT_EQ(std::get<7>(all), 5);
    });
}

TEST_P(ForkJoin, OfVoidsGivesNothing) {
    auto one = runtime(1);
    one.block_on([]() -> Task<> {
        static_assert(std::is_void_v<decltype(fork_join(nothing(), nothing()).await_resume())>);
        co_await fork_join(nothing());
        co_await fork_join(nothing(), nothing());
    });
}

TEST_P(ForkJoin, TakesCallablesThatOwnSomething) {
    EndLog log;
    auto two = runtime(2);
    two.block_on([&]() -> Task<> {
        auto coroutine = [t = Tracker(log), n = std::make_unique<int>(1)]() -> Task<int> {
            co_await yield();
            co_return *n;
        };
        auto plain = [t = Tracker(log), n = std::make_unique<int>(2)] { return *n; };
        auto [first, second] = co_await fork_join(std::move(coroutine), std::move(plain));
        EXPECT_EQ(log.size(), 2U) << "they end with their tasks";
        EXPECT_EQ(first, 1);
        EXPECT_EQ(second, 2);
    });
}

TEST_P(ForkJoin, AMoveOfAResultThatThrowsLosesNone) {
    const int before = ThrowingMove::living.load();
    auto one = runtime(1);
    for (int countdown = 2; countdown < 8; ++countdown) {
        one.block_on([&]() -> Task<> {
            try {
                auto [first, second, third] = co_await fork_join(moves(1, 100), moves(2, countdown), moves(3, 100));
                EXPECT_EQ(first.number + second.number + third.number, 6);
            } catch (const std::runtime_error&) {
                EXPECT_LT(countdown, 7);
            }
        });
        EXPECT_EQ(ThrowingMove::living.load(), before);
    }
}

TEST_P(ForkJoin, RunsTheFirstChildFirstAndTheOthersInTheirOrder) {
    auto one = runtime(1);
    std::vector<int> order;
    one.block_on([&]() -> Task<> {
        const auto note = [&](int n) -> Task<> {
            order.push_back(n);
            co_return;
        };
        co_await fork_join(note(0), note(1), note(2), note(3), note(4));
    });
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST_P(ForkJoin, RethrowsTheFirstExceptionInTheOrderOfTheChildren) {
    auto two = runtime(2);
    const auto what = two.block_on([]() -> Task<std::string> {
        Event second_threw;
        const auto late = [&]() -> Task<int> {
            co_await second_threw.async_wait();
            throw std::runtime_error("first");
        };
        const auto early = [&]() -> Task<int> {
            second_threw.set();
            throw std::runtime_error("second");
            co_return 0;
        };
        try {
            static_cast<void>(co_await fork_join(number(1), late, early, throws("third"), nothing()));
        } catch (const std::runtime_error& error) {
            co_return error.what();
        }
        co_return "none";
    });
    EXPECT_EQ(what, "first");
}

// Whichever of the children throws, on whichever shard: when it is rethrown, no frame of a child is left.
TEST_P(ForkJoin, RethrowsWhenAllChildrenHaveEnded) {
    EndLog log;
    auto two = runtime(2);
    for (std::size_t thrower = 0; thrower < 3; ++thrower) {
        const auto ended_before = log.size();
        two.block_on([&]() -> Task<> {
            Event elsewhere;
            const auto child = [&](std::size_t i) -> Task<std::unique_ptr<int>> {
                const Tracker local(log);
                if (i == 0) {
                    elsewhere.wait();  // Blocks this shard: the last child is stolen.
                }
                if (i == 2) {
                    elsewhere.set();
                }
                co_await yield();
                if (i == thrower) {
                    throw std::runtime_error("thrown");
                }
                co_return std::make_unique<int>(1);
            };
            bool thrown = false;
            try {
                static_cast<void>(co_await fork_join(child(0), child(1), child(2)));
            } catch (const std::runtime_error&) {
                thrown = true;
                EXPECT_EQ(log.size(), ended_before + 3);
            }
            EXPECT_TRUE(thrown);
        });
    }
}

TEST_P(ForkJoin, AnExceptionOfAChildThatSuspendedOutlivesTheRuntimeLikeAnyOther) {
    JoinHandle<int> handle;
    {
        auto one = runtime(1);
        handle = one.handle().spawn_stealable([]() -> Task<int> {
            const auto child = []() -> Task<int> {
                co_await yield();
                throw std::runtime_error("thrown");
            };
            auto [value, other] = co_await fork_join(child, child);
            co_return value + other;
        });
        EXPECT_TRUE(handle.wait_for(std::chrono::seconds(60)));
    }
    EXPECT_THROW(static_cast<void>(handle.get()), std::runtime_error);
}

TEST_P(ForkJoin, ChildrensFramesAreGoneBeforeTheParentGoesOn) {
    EndLog log;
    auto two = runtime(2);
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        const auto rounds = scaled(2'000, 300);
        auto parent = two.handle().spawn_with_placement(placement, [&]() -> Task<bool> {
            bool all_gone = true;
            for (unsigned round = 0; round < rounds; ++round) {
                std::atomic<int> alive{0};
                struct Alive {
                    explicit Alive(std::atomic<int>& c) : count(c) { ++count; }
                    Alive(const Alive&) = delete;
                    Alive& operator=(const Alive&) = delete;
                    ~Alive() { --count; }
                    std::atomic<int>& count;
                };
                const auto child = [&]() -> Task<int> {
                    const Alive local(alive);
                    co_await yield();
                    co_return 1;
                };
                auto [a, b, c] = co_await fork_join(child, child, child);
                all_gone = all_gone && alive.load() == 0 && a + b + c == 3;
            }
            co_return all_gone;
        });
        EXPECT_TRUE(parent.get());
    }
    EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
}

// Neither the awaiter nor a Task starts anything by itself.
TEST_P(ForkJoin, ThatIsNotAwaitedRunsNothing) {
    EndLog log;
    auto one = runtime(1);
    const auto child = [&](Tracker) -> Task<int> {
        ADD_FAILURE() << "it ran";
        co_return 1;
    };
    { const auto forked = fork_join(child(Tracker(log)), child(Tracker(log))); }
    EXPECT_EQ(log.size(), 2U);
    {
        std::vector<Task<int>> children;
        children.push_back(child(Tracker(log)));
        const auto forked = spawn_many(std::move(children));
    }
    EXPECT_EQ(log.size(), 3U);
    {
        const auto never = [&](std::size_t) { return child(Tracker(log)); };
        const auto forked = spawn_many(10, never);
    }
    EXPECT_EQ(log.size(), 3U) << "a function makes no child before it is awaited";
}

TEST_P(ForkJoin, CountsItsChildrenAsStealableTasks) {
    auto one = runtime(1);
    one.block_on(
        []() -> Task<> { static_cast<void>(co_await fork_join(number(1), number_after_a_yield(2), nothing())); });
    one.shutdown();
    const auto stats = one.handle().stats_snapshot();
    EXPECT_EQ(stats.spawn_stealable_submitted, 3U);
    EXPECT_EQ(stats.stealable_executed, 3U);
    EXPECT_EQ(stats.tasks_live, 0U);
}

TEST(ForkJoinDeathTest, AwaitedTwiceIsACheckedFailure) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(run_with(RuntimeBuilder().shards(1).backend(BackendKind::Queue),
                          [](const RuntimeHandle&) -> Task<> {
                              auto fork = fork_join(nothing(), nothing());
                              co_await fork;
                              co_await fork;
                          }),
                 "awaited a second time");
}

}  // namespace
}  // namespace spargio::test
