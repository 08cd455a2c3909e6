// SPDX-License-Identifier: MIT
// A shutdown at any moment of nested groups, when_all, when_any, timeout and without_stop: children first, all of them.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/shutdown_checks.hpp"
#include "support/small_tasks.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class StructureShutdown : public BackendTest {
protected:
    Watchdog watchdog_{"structure shutdown"};
};
SPARGIO_ON_BOTH_BACKENDS(StructureShutdown);

/// A local of a parent. Children that outlive it have broken the order.
class Scope {
public:
    explicit Scope(std::atomic<int>& wrong) noexcept : wrong_(wrong) {}
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() {
        if (inside_.load() != 0) {
            ++wrong_;
        }
    }

    class Member {
    public:
        explicit Member(Scope& scope) noexcept : scope_(scope) { ++scope_.inside_; }
        Member(const Member&) = delete;
        Member& operator=(const Member&) = delete;
        ~Member() { --scope_.inside_; }

    private:
        Scope& scope_;
    };

private:
    std::atomic<int>& wrong_;
    std::atomic<int> inside_{0};
};

/// A random tree of all the structures, whose leaves end, sleep, yield or throw.
class Trees {
public:
    explicit Trees(std::uint64_t seed) : seed_(seed) {}

    Task<int> grow(Scope& above, int depth, std::uint64_t salt) {
        const Scope::Member member(above);
        ++begun_;
        Random random(seed_ ^ (salt * 0x9E3779B97F4A7C15ULL));
        Scope mine(wrong);
        if (depth == 0 || random.one_in(8)) {
            co_return co_await leaf(random.below(8), std::chrono::nanoseconds(random.below(30'000)));
        }
        const auto limit = std::chrono::nanoseconds(random.below(60'000));
        const auto next = salt * 4 + 1;
        switch (random.below(6)) {
        case 0: {
            const auto all = co_await when_all(grow(mine, depth - 1, next), grow(mine, depth - 1, next + 1));
            co_return std::get<0>(all);
        }
        case 1: {
            const auto any = co_await when_any(grow(mine, depth - 1, next), grow(mine, depth - 1, next + 1));
            co_return static_cast<int>(any.index);
        }
        case 2: {
            const auto limited = co_await timeout(limit, grow(mine, depth - 1, next));
            co_return limited.value_or(0);
        }
        case 3:
            co_return co_await without_stop(grow(mine, depth - 1, next));
        case 4: {
            const auto both = co_await fork_join(grow(mine, depth - 1, next), grow(mine, depth - 1, next + 1));
            co_return std::get<0>(both);
        }
        default: {
            const auto body = [&](TaskGroup& group) -> Task<int> {
                const Scope::Member inner(mine);
                group.spawn(TaskPlacement::round_robin(), grow(mine, depth - 1, next));
                group.spawn(TaskPlacement::stealable(), grow(mine, depth - 1, next + 1));
                if (limit.count() % 2 == 0) {
                    co_await group.join();
                }
                co_return co_await grow(mine, depth - 1, next + 2);
            };
            co_return co_await with_group(body);
        }
        }
    }

    [[nodiscard]] int begun() const { return begun_; }

    std::atomic<int> wrong{0};

private:
    static Task<int> leaf(std::uint32_t kind, std::chrono::nanoseconds work) {
        if (kind == 0) {
            throw std::runtime_error("leaf");
        }
        if (kind == 1) {
            const auto token = co_await this_task::stop_token();
            static_cast<void>(co_await sleep_for(work * 4));
            co_return token.stop_requested() ? 1 : 0;
        }
        if (kind < 4) {
            static_cast<void>(co_await sleep_for(std::chrono::milliseconds(1)));
        } else if (kind < 6) {
            static_cast<void>(co_await sleep_for(work));
        } else {
            co_await yield();
        }
        co_return 0;
    }

    const std::uint64_t seed_;
    std::atomic<int> begun_{0};
};

TEST_P(StructureShutdown, AtARandomMomentOfRandomTrees) {
    const auto base = stress_seed();
    long begun = 0;
    for (unsigned run = 0; run < scaled(600, 120); ++run) {
        const auto seed = base + run;
        watchdog_.progress("run with seed " + std::to_string(seed));
        Random random(seed);
        std::atomic<int> wrong{0};
        Scope top(wrong);
        std::vector<std::unique_ptr<Trees>> trees;
        std::vector<JoinHandle<int>> tasks;
        // Some end with an exception before the end, and nobody asks them.
        const auto ignore = [](const std::exception_ptr&) {};
        auto three = builder(1 + random.below(3)).on_unhandled_exception(ignore).build();
        for (int i = 0; i < 6; ++i) {
            trees.push_back(std::make_unique<Trees>(random.next()));
            auto placement = random.one_in(2) ? TaskPlacement::round_robin() : TaskPlacement::stealable();
            tasks.push_back(three.handle().spawn_with_placement(placement, trees.back()->grow(top, 5, 1)));
        }
        // A moment is so many tasks begun, and a little more.
        const int enough = static_cast<int>(random.below(60));
        const auto all_done = [&] {
            return std::all_of(tasks.begin(), tasks.end(), [](const auto& task) { return task.done(); });
        };
        const auto sum = [&] {
            int count = 0;
            for (const auto& tree : trees) {
                count += tree->begun();
            }
            return count;
        };
        while (sum() < enough && !all_done()) {
            std::this_thread::yield();
        }
        spin_for(std::chrono::nanoseconds(random.below(20'000)));
        for (auto& task : tasks) {
            if (random.one_in(4)) {
                task.request_stop();
            }
        }
        if (random.one_in(3)) {
            std::thread stopper([&] {
                for (auto& task : tasks) {
                    task.request_stop();
                }
            });
            three.shutdown();
            stopper.join();
        } else {
            three.shutdown();
        }
        for (auto& tree : trees) {
            ASSERT_EQ(tree->wrong, 0) << "SPARGIO_TEST_SEED=" << seed << " repeats this run as the first";
            begun += tree->begun();
        }
        ASSERT_TRUE(all_done());
        ASSERT_EQ(three.handle().stats_snapshot().tasks_live, 0U);
    }
    EXPECT_GT(begun, 10 * static_cast<long>(scaled(600, 120)));
}

// The same trees, left to end: no value hangs, and nothing is left.
TEST_P(StructureShutdown, RandomTreesEndByThemselvesAndByStops) {
    const auto base = stress_seed();
    auto two = runtime(2);
    const NoLateWakes all_woken(two.handle());
    for (unsigned run = 0; run < scaled(600, 120); ++run) {
        const auto seed = base + run;
        watchdog_.progress("run with seed " + std::to_string(seed));
        Random random(seed);
        Trees trees(seed);
        std::atomic<int> wrong{0};
        Scope top(wrong);
        auto task = random.one_in(2) ? two.handle().spawn_pinned(1, trees.grow(top, 5, 1))
                                     : two.handle().spawn_stealable(trees.grow(top, 5, 1));
        spin_for(std::chrono::nanoseconds(random.below(100'000)));
        if (random.one_in(2)) {
            task.request_stop();
        }
        try {
            static_cast<void>(task.get());
        } catch (const std::runtime_error&) {}
        ASSERT_EQ(trees.wrong, 0) << "SPARGIO_TEST_SEED=" << seed << " repeats this run as the first";
    }
    EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
}

TEST_P(StructureShutdown, AGroupsChildrenGoBeforeTheTaskThatWaits) {
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        for (const bool body_sleeps : {false, true}) {
            EndLog log;
            Latch asleep(body_sleeps ? 5 : 4);
            auto two = runtime(2);
            const auto child = [&]() -> Task<> {
                const Tracker local(log, "child");
                asleep.arrive();
                static_cast<void>(co_await sleep_for(never));
            };
            const auto body = [&](TaskGroup& group) -> Task<> {
                for (int i = 0; i < 4; ++i) {
                    group.spawn(TaskPlacement::round_robin(), child);
                }
                if (body_sleeps) {
                    co_await child();
                } else {
                    co_await group.join();
                }
            };
            two.handle()
                .spawn_with_placement(placement,
                                      [&]() -> Task<> {
                                          const Tracker local(log, "outer");
                                          co_await with_group(body);
                                          ADD_FAILURE() << "resumed by a shutdown";
                                      })
                .detach();
            asleep.wait();
            two.shutdown();
            const auto names = log.names();
            ASSERT_EQ(names.size(), body_sleeps ? 6U : 5U);
            EXPECT_EQ(names.back(), "outer");
            expect_nothing_left(two.handle());
        }
    }
}

// Destroying a group that nobody has joined is no failure here: nobody can be waited for.
TEST_P(StructureShutdown, AnUnjoinedGroupIsNoFailure) {
    EndLog log;
    Latch asleep(3);
    auto two = runtime(2);
    two.handle()
        .spawn_pinned(0,
                      [&]() -> Task<> {
                          TaskGroup group;
                          const auto child = [&]() -> Task<> {
                              asleep.arrive();
                              static_cast<void>(co_await sleep_for(never));
                          };
                          auto owned = [&asleep, tracker = Tracker(log, "callable")]() -> Task<> {
                              asleep.arrive();
                              static_cast<void>(co_await sleep_for(never));
                          };
                          group.spawn(TaskPlacement::pinned(1), std::move(owned));
                          group.spawn(TaskPlacement::stealable(), child);
                          asleep.arrive();
                          static_cast<void>(co_await sleep_for(never));
                          co_await group.join();
                      })
        .detach();
    asleep.wait();
    two.shutdown();
    EXPECT_EQ(log.size(), 1U);
    expect_nothing_left(two.handle());
}

// One of when_any's tasks is destroyed; that stops none of the others, whose waits are to last to their ends: here that
// of a job that runs, and may use its joiner's frame.
TEST_P(StructureShutdown, StopsNobody) {
    for (const auto placement : {TaskPlacement::pinned(0), TaskPlacement::stealable()}) {
        EndLog log;
        Latch inside(3);  // The job among them: one that has not begun is dropped.
        bool joiner_was_there = false;
        auto one = runtime(1);
        const auto sleeps = [&]() -> Task<> {
            const Tracker local(log, "sleeper");
            inside.arrive();
            static_cast<void>(co_await sleep_for(never));
        };
        const auto job = [&] {
            inside.arrive();
            while (log.size() == 0) {
                std::this_thread::yield();
            }
            for (const auto due = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
                 log.size() == 1 && std::chrono::steady_clock::now() < due;) {
                std::this_thread::yield();
            }
            joiner_was_there = log.size() == 1;
        };
        const auto joins = [&]() -> Task<> {
            const Tracker local(log, "joiner");
            auto handle = ShardCtx::current()->handle().spawn_blocking(job);
            inside.arrive();
            static_cast<void>(co_await handle.join());
        };
        one.handle()
            .spawn_with_placement(placement,
                                  [&]() -> Task<> { static_cast<void>(co_await when_any(sleeps(), joins())); })
            .detach();
        inside.wait();
        finish_step(one.handle(), 0);
        one.shutdown();
        EXPECT_TRUE(joiner_was_there);
        expect_nothing_left(one.handle());
    }
}

// A child that joins the handle of the task that waits for it: a program error, but a shutdown still ends.
TEST_P(StructureShutdown, OpensARingOfAGroupAndAJoin) {
    for (int kind = 0; kind < 3; ++kind) {
        auto two = runtime(2);
        Event has_handle;
        Event joins;
        auto taken = std::make_shared<JoinHandle<void>>();
        const auto child = [&]() -> Task<> {
            has_handle.wait();
            joins.set();
            static_cast<void>(co_await taken->join());
        };
        *taken = two.handle().spawn_pinned(0, [&]() -> Task<> {
            if (kind == 0) {
                TaskGroup group;
                group.spawn(TaskPlacement::pinned(1), child);
                co_await group.join();
            } else if (kind == 1) {
                co_await when_all(child());
            } else {
                co_await without_stop(child());
            }
        });
        has_handle.set();
        joins.wait();
        finish_step(two.handle(), 0);
        finish_step(two.handle(), 1);
        two.shutdown();
        EXPECT_TRUE(taken->done());
        expect_nothing_left(two.handle());
    }
}

// Threads spawn in a group while the runtime ends: refused ones are its errors, which nobody hears of any more.
TEST_P(StructureShutdown, RacesWithSpawnsOfThreads) {
    for (unsigned run = 0; run < scaled(200, 40); ++run) {
        watchdog_.progress("run " + std::to_string(run));
        const auto ignore = [](const std::exception_ptr&) {};
        auto two = builder(2).on_unhandled_exception(ignore).build();
        TaskGroup group(two.handle());
        Event begun;
        auto task = two.handle().spawn_pinned(0, [&]() -> Task<> {
            group.spawn(TaskPlacement::pinned(1), []() -> Task<> { static_cast<void>(co_await sleep_for(never)); });
            begun.set();
            co_await group.join();
        });
        begun.wait();
        std::atomic<bool> enough{false};
        std::thread spawner([&] {
            while (!enough.load()) {
                group.spawn(TaskPlacement::round_robin(), []() -> Task<> { co_await yield(); });
            }
        });
        spin_for(std::chrono::microseconds(run));
        two.shutdown();
        enough = true;
        spawner.join();
        EXPECT_TRUE(task.done());
        EXPECT_EQ(two.handle().stats_snapshot().tasks_live, 0U);
    }
}

}  // namespace
}  // namespace spargio::test
