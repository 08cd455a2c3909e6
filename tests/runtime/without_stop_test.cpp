// SPDX-License-Identifier: MIT
// without_stop: clean-up that a stop does not reach.
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/shutdown_checks.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class WithoutStop : public BackendTest {
protected:
    Watchdog watchdog_{"without_stop"};
};
SPARGIO_ON_BOTH_BACKENDS(WithoutStop);

constexpr auto nap = std::chrono::microseconds(200);

Task<bool> sleeps(std::chrono::nanoseconds span) {
    co_return (co_await sleep_for(span)).has_value();
}

Task<std::unique_ptr<int>> boxed_after_a_nap(int value) {
    static_cast<void>(co_await sleep_for(nap));
    co_return std::make_unique<int>(value);
}

Task<int&> refers_after_a_nap(int& to) {
    co_await yield();
    co_return to;
}

Task<> fails() {
    co_await yield();
    throw std::runtime_error("inside");
}

TEST_P(WithoutStop, GivesTheValueOrTheException) {
    auto two = runtime(2);
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        auto task = two.handle().spawn_with_placement(placement, []() -> Task<std::string> {
            int local = 1;
            auto box = co_await without_stop(boxed_after_a_nap(7));
            int& same = co_await without_stop(refers_after_a_nap(local));
            EXPECT_EQ(&same, &local);
            EXPECT_EQ(*box, 7);
            try {
                co_await without_stop(fails());
            } catch (const std::runtime_error& error) {
                co_return error.what();
            }
            co_return "nothing";
        });
        EXPECT_EQ(task.get(), "inside");
    }
    EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(WithoutStop, ShieldsFromAStopThatCameBefore) {
    auto two = runtime(2);
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        Event asleep;
        auto task = two.handle().spawn_with_placement(placement, [&]() -> Task<int> {
            asleep.set();
            const bool slept = co_await sleeps(std::chrono::hours(1));
            const bool shielded = co_await without_stop(sleeps(nap));
            const bool after = co_await sleeps(nap);
            co_return (slept ? 100 : 0) + (shielded ? 10 : 0) + (after ? 1 : 0);
        });
        asleep.wait();
        task.request_stop();
        EXPECT_EQ(task.get(), 10);
    }
}

Task<bool> outlives_the_stop(Event& inside, Event& stopped) {
    const auto token = co_await this_task::stop_token();
    inside.set();
    static_cast<void>(co_await stopped.async_wait());
    const bool slept = co_await sleeps(nap);
    co_return slept && !token.stop_requested();
}

TEST_P(WithoutStop, ShieldsFromAStopThatComesMeanwhileAndTheCallerSeesItAfterwards) {
    auto two = runtime(2);
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        Event inside;
        Event stopped;
        auto task = two.handle().spawn_with_placement(placement, [&]() -> Task<bool> {
            const bool shielded = co_await without_stop(outlives_the_stop(inside, stopped));
            const auto token = co_await this_task::stop_token();
            const bool after = co_await sleeps(std::chrono::hours(1));
            co_return shielded && !after && token.stop_requested();
        });
        inside.wait();
        task.request_stop();
        stopped.set();
        EXPECT_TRUE(task.get());
    }
}

// The shield is not for what stands beside it.
TEST_P(WithoutStop, IsForItsOwnTaskAlone) {
    auto two = runtime(2);
    Event inside;
    Event stopped;
    Event asleep;
    auto task = two.handle().spawn_stealable([&]() -> Task<int> {
        const auto plain = [&]() -> Task<int> {
            asleep.set();
            co_return co_await sleeps(std::chrono::hours(1)) ? 100 : 1;
        };
        const auto shielded = [&]() -> Task<int> {
            co_return co_await without_stop(outlives_the_stop(inside, stopped)) ? 10 : 0;
        };
        auto [first, second] = co_await fork_join(plain(), shielded());
        co_return first + second;
    });
    inside.wait();
    asleep.wait();
    task.request_stop();
    stopped.set();
    EXPECT_EQ(task.get(), 11);
}

TEST_P(WithoutStop, RunsWhereTheCallerMayRun) {
    auto two = runtime(2);
    const auto moves = []() -> Task<int> {
        const auto shard = static_cast<ShardId>(1 - ShardCtx::current()->shard_id());
        const auto moved = co_await resume_on(shard);
        co_return !moved ? -1 : ShardCtx::current()->shard_id() == shard ? 1 : 0;
    };
    const auto body = [&]() -> Task<int> { co_return co_await without_stop(moves()); };
    EXPECT_EQ(two.handle().spawn_stealable(body).get(), 1);
    EXPECT_EQ(two.handle().spawn_pinned(1, body).get(), -1);
}

TEST_P(WithoutStop, AShutdownDestroysTheInnerTaskFirst) {
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        EndLog log;
        Event asleep;
        auto two = runtime(2);
        const auto inner = [&]() -> Task<> {
            const Tracker local(log, "inner");
            asleep.set();
            static_cast<void>(co_await sleep_for(std::chrono::hours(1)));
        };
        auto task = two.handle().spawn_with_placement(placement, [&]() -> Task<> {
            const Tracker local(log, "outer");
            co_await without_stop(inner());
            ADD_FAILURE() << "resumed by a shutdown";
        });
        asleep.wait();
        task.request_stop();
        two.shutdown();
        EXPECT_EQ(log.names(), (std::vector<std::string>{"inner", "outer"}));
        expect_nothing_left(two.handle());
    }
}

TEST_P(WithoutStop, NestsDeeply) {
    struct Nest {
        static Task<int> down(int depth) {
            if (depth == 0) {
                co_await yield();
                co_return 0;
            }
            co_return co_await without_stop(down(depth - 1)) + 1;
        }
    };
    auto one = runtime(1);
    const int depth = static_cast<int>(scaled(10'000, 2'000));
    EXPECT_EQ(one.handle().spawn_pinned(0, Nest::down(depth)).get(), depth);
}

}  // namespace
}  // namespace spargio::test
