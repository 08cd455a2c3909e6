// SPDX-License-Identifier: MIT
// What a shutdown does to forked children and to the parents that wait for them: children first, everybody once.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/shutdown_checks.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class ForkShutdown : public BackendTest {
protected:
    Watchdog watchdog_{"fork shutdown"};
};
SPARGIO_ON_BOTH_BACKENDS(ForkShutdown);

/// Whether `child` ended before `parent`, and both of them once.
bool in_order(const EndLog& log, const std::string& child, const std::string& parent) {
    const auto names = log.names();
    const auto first = std::find(names.begin(), names.end(), child);
    const auto second = std::find(names.begin(), names.end(), parent);
    return std::count(names.begin(), names.end(), child) == 1 && std::count(names.begin(), names.end(), parent) == 1 &&
           first < second;
}

// A shutdown that a task has begun is under way, on every shard, when the call returns: no step begins after that one.

/// What the tasks of a test share.
struct Scene {
    explicit Scene(std::size_t sleepers) : asleep(sleepers) {}

    Task<> sleeper(std::string name) {
        const Tracker local(log, std::move(name));
        asleep.arrive();
        static_cast<void>(co_await sleep_for(std::chrono::hours(1)));
        ADD_FAILURE() << "a task was resumed by a shutdown";
    }

    EndLog log;
    Latch asleep;
};

TEST_P(ForkShutdown, SleepingChildrenGoBeforeTheirParent) {
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        Scene scene(3);
        auto two = runtime(2);
        auto parent = two.handle().spawn_with_placement(placement, [&]() -> Task<> {
            const Tracker local(scene.log, "parent");
            co_await fork_join(scene.sleeper("a"), scene.sleeper("b"), scene.sleeper("c"));
            ADD_FAILURE() << "a parent was resumed by a shutdown";
        });
        scene.asleep.wait();
        two.shutdown();
        EXPECT_EQ(code_of(parent), JoinError::Canceled);
        EXPECT_EQ(scene.log.size(), 4U);
        for (const auto* child : {"a", "b", "c"}) {
            EXPECT_TRUE(in_order(scene.log, child, "parent")) << child;
        }
        EXPECT_EQ(scene.log.on_shard(external_sender), 0U);
        expect_nothing_left(two.handle());
    }
}

Task<> nest(Scene& scene, int level) {
    const Tracker local(scene.log, "level" + std::to_string(level));
    if (level == 0) {
        co_await fork_join(scene.sleeper("leaf"), scene.sleeper("leaf too"));
    } else {
        co_await fork_join(nest(scene, level - 1));
    }
    ADD_FAILURE() << "a parent was resumed by a shutdown";
}

TEST_P(ForkShutdown, GrandparentsGoLast) {
    Scene scene(2);
    auto three = runtime(3);
    three.handle().spawn_stealable(nest(scene, 4)).detach();
    scene.asleep.wait();
    three.shutdown();
    EXPECT_EQ(scene.log.size(), 7U);
    EXPECT_TRUE(in_order(scene.log, "leaf", "level0"));
    EXPECT_TRUE(in_order(scene.log, "leaf too", "level0"));
    for (int level = 0; level < 4; ++level) {
        EXPECT_TRUE(in_order(scene.log, "level" + std::to_string(level), "level" + std::to_string(level + 1)));
    }
    expect_nothing_left(three.handle());
}

// Neither has the parent ever been suspended in another wait, nor have the children begun: only they know of it.
TEST_P(ForkShutdown, ChildrenThatNeverBeganLeadToTheirParents) {
    for (const std::size_t capacity : {std::size_t{1}, std::size_t{1024}}) {
        EndLog log;
        Event begun;
        auto one = builder(1).stealable_queue_capacity(capacity).build();
        const auto child = [&](std::string name) -> Task<> {
            const Tracker local(log, std::move(name));
            ADD_FAILURE() << "it ran";
            co_return;
        };
        auto middle = [&]() -> Task<> {
            const Tracker local(log, "middle");
            const auto first = [&]() -> Task<> {
                one.shutdown();
                begun.set();
                co_return;
            };
            std::vector<Task<>> rest;
            rest.push_back(first());
            for (int i = 0; i < 2000; ++i) {
                rest.push_back(child("child"));
            }
            co_await spawn_many(std::move(rest));
        };
        one.handle()
            .spawn_stealable([&]() -> Task<> {
                const Tracker local(log, "top");
                co_await fork_join(middle, child("never"));
            })
            .detach();
        begun.wait();
        one.shutdown();
        EXPECT_TRUE(in_order(log, "middle", "top"));
        EXPECT_EQ(log.size(), 2U) << "a body that never began has no local";
        expect_nothing_left(one.handle());
    }
}

TEST_P(ForkShutdown, AParentThatIsScheduledIsNotResumed) {
    for (const auto placement : {TaskPlacement::pinned(0), TaskPlacement::stealable()}) {
        EndLog log;
        Event begun;
        auto one = runtime(1);
        one.handle()
            .spawn_with_placement(placement,
                                  [&]() -> Task<> {
                                      const Tracker local(log, "parent");
                                      auto child = [&, t = Tracker(log, "child")] {
                                          one.shutdown();
                                          begun.set();
                                      };
                                      co_await fork_join(std::move(child));
                                      ADD_FAILURE() << "a parent was resumed by a shutdown";
                                  })
            .detach();
        begun.wait();
        one.shutdown();
        EXPECT_EQ(log.names(), (std::vector<std::string>{"child", "parent"}));
        expect_nothing_left(one.handle());
    }
}

// The same, while the parent's shard is another one than its last child's.
TEST_P(ForkShutdown, APinnedParentThatAnotherShardHasScheduledIsNotResumed) {
    EndLog log;
    Event second_runs;
    Event begun;
    auto two = runtime(2);
    two.handle()
        .spawn_pinned(0,
                      [&]() -> Task<> {
                          const Tracker local(log, "parent");
                          auto first = [&] { second_runs.wait(); };
                          auto second = [&, t = Tracker(log, "child")] {
                              second_runs.set();
                              two.shutdown();
                              begun.set();
                          };
                          co_await fork_join(std::move(first), std::move(second));
                          ADD_FAILURE() << "a parent was resumed by a shutdown";
                      })
        .detach();
    begun.wait();
    two.shutdown();
    EXPECT_EQ(log.names(), (std::vector<std::string>{"child", "parent"}));
    EXPECT_EQ(log.all().back().shard, 0U);
    expect_nothing_left(two.handle());
}

TEST_P(ForkShutdown, ChildrenInEveryKindOfWaitAreDestroyed) {
    Scene scene(1);
    Event never;
    Event foreign_release;
    Event job_release;
    auto other = runtime(1);
    auto two = runtime(2);
    const auto handle = two.handle();
    Latch inside(5);
    const auto joins = [&](auto spawned, std::string name) -> Task<> {
        const Tracker local(scene.log, std::move(name));
        inside.arrive();
        co_await std::move(spawned);
        ADD_FAILURE() << "a task was resumed by a shutdown";
    };
    const auto receives = [&]() -> Task<> {
        const Tracker local(scene.log, "message");
        inside.arrive();
        static_cast<void>(co_await ShardCtx::current()->next_event());
        ADD_FAILURE() << "a task was resumed by a shutdown";
    };
    const auto yields = [&]() -> Task<> {
        const Tracker local(scene.log, "yield");
        inside.arrive();
        for (;;) {
            co_await yield();
        }
    };
    auto job = [&] {
        job_release.wait();
        two.shutdown();
    };
    handle
        .spawn_pinned(0,
                      [&]() -> Task<> {
                          const Tracker local(scene.log, "parent");
                          auto own = handle.spawn_pinned(1, [&]() -> Task<> { co_await never.async_wait(); });
                          auto foreign = other.handle().spawn_pinned(
                              0, [&]() -> Task<> { co_await foreign_release.async_wait(); });
                          auto blocking = handle.spawn_blocking(std::move(job));
                          co_await fork_join(scene.sleeper("sleep"), joins(std::move(own), "join"),
                                             joins(std::move(foreign), "foreign"),
                                             joins(std::move(blocking), "blocking"), receives(), yields());
                      })
        .detach();
    inside.wait();
    scene.asleep.wait();
    job_release.set();
    while (!handle.spawn_pinned(0, [] {}).spawn_error()) {
        std::this_thread::yield();
    }
    two.shutdown();
    EXPECT_EQ(scene.log.size(), 7U);
    for (const auto* child : {"sleep", "join", "foreign", "blocking", "message", "yield"}) {
        EXPECT_TRUE(in_order(scene.log, child, "parent")) << child;
    }
    expect_nothing_left(handle);
    foreign_release.set();
}

// A canceller has reached for the parent, and has not let go yet. Its children have ended meanwhile, so nobody else
// knows of it.
TEST_P(ForkShutdown, AParentThatACancellerHoldsIsAwaited) {
    for (const auto placement : {TaskPlacement::pinned(0), TaskPlacement::stealable()}) {
        for (const bool on_another_shard : {false, true}) {
            EndLog log;
            std::stop_token token;
            Event token_there;
            Event leave;
            auto two = runtime(2);
            const auto handle = two.handle();
            auto parent = handle.spawn_with_placement(placement, [&]() -> Task<> {
                const Tracker local(log, "parent");
                const auto asks = [&]() -> Task<> {
                    token = co_await this_task::stop_token();
                    token_there.set();
                    leave.wait();
                };
                const auto waits = [&] {
                    if (on_another_shard) {
                        token_there.wait();
                    }
                };
                co_await fork_join(waits, asks);
                ADD_FAILURE() << "a parent was resumed by a shutdown";
            });
            token_there.wait();
            Event holds;
            Event let_go;
            const auto hold = [&] {
                holds.set();
                let_go.wait();
            };
            const std::stop_callback callback(token, hold);
            std::thread stopper([&] { parent.request_stop(); });
            holds.wait();
            leave.set();
            finish_step(handle, 0);
            finish_step(handle, 1);
            handle.spawn_pinned(0, [&] { two.shutdown(); }).get();
            Event ended;
            std::thread closer([&] {
                two.shutdown();
                ended.set();
            });
            EXPECT_FALSE(ended.wait_for(std::chrono::milliseconds(50)));
            let_go.set();
            closer.join();
            stopper.join();
            EXPECT_EQ(log.size(), 1U);
            EXPECT_EQ(code_of(parent), JoinError::Canceled);
            expect_nothing_left(handle);
        }
    }
}

}  // namespace
}  // namespace spargio::test
