// SPDX-License-Identifier: MIT
// Forked children that join those above them, or each other's parents: rings that only a shutdown, or a stop, opens.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/shutdown_checks.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

class ForkRingShutdown : public BackendTest {
protected:
    Watchdog watchdog_{"shutdown of rings of forks"};
};
SPARGIO_ON_BOTH_BACKENDS(ForkRingShutdown);

using Shared = std::optional<JoinHandle<void>>;

/// What the tasks of a test share.
struct RingScene {
    explicit RingScene(std::size_t joiners) : joining(joiners) {}

    /// Joins a handle that is there once `published`.
    Task<> join_it(Shared& other, std::string name) {
        const Tracker local(log, std::move(name));
        co_await published.async_wait();
        joining.arrive();
        static_cast<void>(co_await other->join());
    }

    /// Forks one child, as deep as that.
    Task<> fork_one(int depth, Shared& other, std::string name) {
        const Tracker local(log, name);
        if (depth == 0) {
            co_await fork_join(join_it(other, name + ".child"));
        } else {
            co_await fork_join(fork_one(depth - 1, other, name + "."));
        }
    }

    Task<> sleeper() {
        const Tracker local(log, "sleeper");
        sleeping.arrive();
        static_cast<void>(co_await sleep_for(std::chrono::hours(1)));
    }

    EndLog log;
    Event published;
    Latch joining;
    Latch sleeping{2};
};

TEST_P(ForkRingShutdown, AChildThatJoinsAnAncestor) {
    for (const auto placement : {TaskPlacement::pinned(0), TaskPlacement::stealable()}) {
        for (int depth = 0; depth < 4; ++depth) {
            RingScene scene(1);
            Shared self;
            auto two = runtime(2);
            self.emplace(two.handle().spawn_with_placement(placement, scene.fork_one(depth, self, "a")));
            scene.published.set();
            scene.joining.wait();
            two.shutdown();
            const auto names = scene.log.names();
            ASSERT_EQ(names.size(), static_cast<std::size_t>(depth) + 2);
            for (std::size_t i = 1; i + 1 < names.size(); ++i) {
                EXPECT_GT(names[i].size(), names[i + 1].size()) << "children first";
            }
            EXPECT_TRUE(self->done());
            expect_nothing_left(two.handle());
        }
    }
}

// A forks, its child joins B, which forks, and its child joins A. Beside it a ring of plain joins, and one that leads
// into the first.
TEST_P(ForkRingShutdown, ParentsWhoseChildrenJoinEachOther) {
    for (int run = 0; run < 10; ++run) {
        RingScene scene(5);
        Shared a;
        Shared b;
        Shared c;
        Shared d;
        Shared e;
        auto two = runtime(2);
        const auto handle = two.handle();
        a.emplace(handle.spawn_stealable(scene.fork_one(run % 3, b, "a")));
        b.emplace(handle.spawn_pinned(static_cast<ShardId>(run % 2), scene.fork_one(1, a, "b")));
        c.emplace(handle.spawn_pinned(0, scene.join_it(d, "c")));
        d.emplace(handle.spawn_pinned(1, scene.join_it(c, "d")));
        e.emplace(handle.spawn_stealable(scene.fork_one(2, e, "e")));
        scene.published.set();
        scene.joining.wait();
        two.shutdown();
        EXPECT_EQ(scene.log.size(), static_cast<std::size_t>(run % 3) + 2 + 3 + 2 + 4);
        for (const Shared* task : {&a, &b, &c, &d, &e}) {
            EXPECT_TRUE((*task)->done());
        }
        expect_nothing_left(handle);
    }
}

TEST_P(ForkRingShutdown, AJoinerOutsideOfTheRingGoesAfterIt) {
    RingScene scene(2);
    Shared inside;
    Shared outside;
    auto two = runtime(2);
    inside.emplace(two.handle().spawn_stealable(scene.fork_one(1, inside, "inside")));
    Shared second;
    second.emplace(two.handle().spawn_pinned(1, scene.fork_one(0, second, "second")));
    outside.emplace(two.handle().spawn_pinned(0, [&]() -> Task<> {
        const Tracker local(scene.log, "outside");
        const auto sleeps = [&]() -> Task<> { return scene.sleeper(); };
        co_await fork_join(sleeps, sleeps);
    }));
    scene.published.set();
    scene.joining.wait();
    scene.sleeping.wait();
    two.shutdown();
    EXPECT_EQ(scene.log.size(), 3U + 2U + 3U);
    EXPECT_TRUE(outside->done());
    expect_nothing_left(two.handle());
}

// A stop takes the only join out of the ring while the shutdown looks at it. Many other tasks make the look long.
TEST_P(ForkRingShutdown, AStopThatOpensTheRingMeanwhile) {
    Random random(stress_seed());
    const std::size_t crowd = scaled(20'000, 2'000);
    for (unsigned round = 0; round < scaled(300, 20); ++round) {
        watchdog_.progress("round " + std::to_string(round));
        RingScene scene(1);
        Shared self;
        auto one = runtime(1);
        const auto handle = one.handle();
        std::vector<JoinHandle<void>> sleepers;
        for (std::size_t i = 0; i < crowd; ++i) {
            sleepers.push_back(handle.spawn_pinned(0, sleep_for_ever()));
        }
        self.emplace(handle.spawn_pinned(0, scene.fork_one(0, self, "a")));
        scene.published.set();
        scene.joining.wait();
        finish_step(handle, 0);
        std::atomic<bool> go{false};
        std::thread stopper([&] {
            while (!go.load(std::memory_order_acquire)) {}
            spin_for(std::chrono::microseconds(random.below(10'000)));
            self->request_stop();
        });
        go.store(true, std::memory_order_release);
        one.shutdown();
        stopper.join();
        EXPECT_EQ(scene.log.size(), 2U);
        expect_nothing_left(handle);
    }
}

}  // namespace
}  // namespace spargio::test
