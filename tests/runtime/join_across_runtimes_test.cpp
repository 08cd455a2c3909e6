// SPDX-License-Identifier: MIT
// A task of one runtime that joins a task of another one: safe when either runtime goes first.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/small_tasks.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class JoinAcrossRuntimes : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(JoinAcrossRuntimes);

TEST_P(JoinAcrossRuntimes, TheValueArrivesAndTheJoinerStaysOnItsShard) {
    auto ours = runtime(2);
    auto theirs = runtime(2);
    for (ShardId our_shard = 0; our_shard < 2; ++our_shard) {
        for (ShardId their_shard = 0; their_shard < 2; ++their_shard) {
            Event go;
            Event joining;
            auto joiner = ours.handle().spawn_pinned(our_shard, [&]() -> Task<int> {
                const auto thread = std::this_thread::get_id();
                auto child = theirs.handle().spawn_pinned(their_shard, number_after(go, 7));
                joining.set();
                const int value = co_await std::move(child);
                EXPECT_EQ(std::this_thread::get_id(), thread);
                EXPECT_EQ(shard_here(), our_shard);
                co_return value;
            });
            joining.wait();
            go.set();
            EXPECT_EQ(joiner.get(), 7);
        }
    }
}

TEST_P(JoinAcrossRuntimes, AStealableJoinerStaysInItsRuntime) {
    auto ours = runtime(1);
    auto theirs = runtime(1);
    for (int round = 0; round < 100; ++round) {
        Event go;
        auto joiner = ours.handle().spawn_stealable([&]() -> Task<bool> {
            const auto thread = std::this_thread::get_id();  // The only shard there is.
            auto child = theirs.handle().spawn_stealable(number_after(go, 7));
            go.set();
            static_cast<void>(co_await std::move(child));
            co_return thread == std::this_thread::get_id();
        });
        ASSERT_TRUE(joiner.get());
    }
}

TEST_P(JoinAcrossRuntimes, TheExceptionArrives) {
    auto ours = runtime(1);
    auto theirs = runtime(1);
    ours.block_on([&]() -> Task<> {
        auto child = theirs.handle().spawn_pinned(0, []() -> Task<int> {
            co_await yield();
            throw std::out_of_range("from the other runtime");
        });
        bool caught = false;
        try {
            static_cast<void>(co_await std::move(child));
        } catch (const std::out_of_range&) {
            caught = true;
        }
        EXPECT_TRUE(caught);
    });
}

TEST_P(JoinAcrossRuntimes, TheChildsRuntimeGoesFirstAndTheJoinerGetsCanceled) {
    auto ours = runtime(2);
    for (int round = 0; round < 20; ++round) {
        auto theirs = runtime(2);
        Event never;
        Latch joining(2);
        auto by_result = ours.handle().spawn_pinned(0, [&]() -> Task<std::error_code> {
            auto child = theirs.handle().spawn_pinned(1, number_after(never, 7));
            joining.arrive();
            const auto joined = co_await child.join();
            co_return joined.error();
        });
        auto by_await = ours.handle().spawn_stealable([&]() -> Task<std::error_code> {
            auto child = theirs.handle().spawn_stealable(number_after(never, 7));
            joining.arrive();
            try {
                static_cast<void>(co_await std::move(child));
            } catch (const std::system_error& error) {
                co_return error.code();
            }
            co_return std::error_code();
        });
        joining.wait();
        theirs.shutdown();
        ASSERT_EQ(by_result.get(), JoinError::Canceled);
        ASSERT_EQ(by_await.get(), JoinError::Canceled);
    }
    EXPECT_EQ(ours.block_on([] { return 1; }), 1) << "our runtime lives on";
}

TEST_P(JoinAcrossRuntimes, TheJoinersRuntimeGoesFirstAndTheChildRunsOn) {
    auto theirs = runtime(2);
    for (int round = 0; round < 20; ++round) {
        Event go;
        Latch joining(2);
        Latch children_ended(2);
        EndLog log;
        const auto child = [&]() -> Task<int> {
            co_await go.async_wait();
            children_ended.arrive();
            co_return 7;
        };
        {
            auto ours = runtime(2);
            ours.handle()
                .spawn_pinned(0,
                              [&]() -> Task<> {
                                  const Tracker local(log);
                                  auto handle = theirs.handle().spawn_pinned(1, child);
                                  joining.arrive();
                                  static_cast<void>(co_await handle.join());
                                  ADD_FAILURE() << "a task was resumed by a shutdown";
                              })
                .detach();
            ours.handle()
                .spawn_stealable([&]() -> Task<> {
                    const Tracker local(log);
                    auto handle = theirs.handle().spawn_stealable(child);
                    joining.arrive();
                    static_cast<void>(co_await std::move(handle));
                    ADD_FAILURE() << "a task was resumed by a shutdown";
                })
                .detach();
            joining.wait();
        }  // Returns although the children have not ended.
        EXPECT_EQ(log.size(), 2U);
        EXPECT_FALSE(children_ended.is_open());
        go.set();
        children_ended.wait();
    }
}

TEST_P(JoinAcrossRuntimes, AStoppedJoinerLetsTheOtherRuntimesChildRunOn) {
    auto ours = runtime(1);
    auto theirs = runtime(1);
    Event go;
    Event joining;
    auto joiner = ours.handle().spawn_pinned(0, [&]() -> Task<JoinHandle<int>> {
        auto child = theirs.handle().spawn_pinned(0, number_after(go, 7));
        joining.set();
        const auto joined = co_await child.join();
        EXPECT_EQ(joined.error(), std::errc::operation_canceled);
        co_return std::move(child);
    });
    joining.wait();
    finish_step(ours.handle(), 0);
    joiner.request_stop();
    auto child = joiner.get();
    go.set();
    EXPECT_EQ(child.get(), 7);
}

TEST_P(JoinAcrossRuntimes, ARefusalOfTheOtherRuntimeArrives) {
    auto ours = runtime(1);
    auto theirs = runtime(1);
    const auto their_handle = theirs.handle();
    theirs.shutdown();
    ours.block_on([&]() -> Task<> {
        auto child = their_handle.spawn_pinned(0, [] { return 1; });
        const auto joined = co_await child.join();
        EXPECT_EQ(joined.error(), RuntimeError::Closed);
    });
}

TEST_P(JoinAcrossRuntimes, RuntimesThatJoinEachOtherEndInEitherOrder) {
    for (const bool first_goes_first : {true, false}) {
        std::optional<Runtime> first(runtime(1));
        std::optional<Runtime> second(runtime(1));
        Event never;
        Latch joining(2);
        const auto join_there = [&](const RuntimeHandle& there) {
            return [&, there]() -> Task<> {
                auto child = there.spawn_pinned(0, number_after(never, 1));
                joining.arrive();
                static_cast<void>(co_await child.join());
            };
        };
        first->handle().spawn_pinned(0, join_there(second->handle())).detach();
        second->handle().spawn_pinned(0, join_there(first->handle())).detach();
        joining.wait();
        if (first_goes_first) {
            first.reset();
            second.reset();
        } else {
            second.reset();
            first.reset();
        }
    }
}

TEST_P(JoinAcrossRuntimes, BothGoAtOnce) {
    Random random(stress_seed());
    for (unsigned round = 0; round < scaled(100, 30); ++round) {
        std::optional<Runtime> first(runtime(2));
        std::optional<Runtime> second(runtime(2));
        Event some_day;
        EndLog log;
        std::atomic<int> joining{0};
        const auto join_there = [&](const RuntimeHandle& there, ShardId shard) {
            return [&, there, shard, t = Tracker(log)]() -> Task<> {
                auto child = there.spawn_pinned(shard, number_after(some_day, 1));
                joining.fetch_add(1);
                static_cast<void>(co_await child.join());
            };
        };
        for (ShardId shard = 0; shard < 2; ++shard) {
            first->handle().spawn_pinned(shard, join_there(second->handle(), shard)).detach();
            second->handle().spawn_stealable(join_there(first->handle(), shard)).detach();
        }
        if (random.one_in(2)) {
            while (joining.load() < 4) {
                std::this_thread::yield();
            }
        }
        std::thread destroyer([&] { first.reset(); });
        spin_for(std::chrono::nanoseconds(random.below(30'000)));
        if (random.one_in(4)) {
            some_day.set();
        }
        second.reset();
        destroyer.join();
        EXPECT_EQ(log.size(), 4U) << "each of the four frames has ended, and once";
    }
}

}  // namespace
}  // namespace spargio::test
