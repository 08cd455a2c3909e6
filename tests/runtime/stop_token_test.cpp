// SPDX-License-Identifier: MIT
// Stop requests and this_task::stop_token().
#include <atomic>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

class StopToken : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(StopToken);

TEST_P(StopToken, TellsOfARequest) {
    auto one = runtime(1);
    Event asked;
    auto task = one.handle().spawn_pinned(0, [&]() -> Task<> {
        const auto token = co_await this_task::stop_token();
        EXPECT_TRUE(token.stop_possible());
        EXPECT_FALSE(token.stop_requested());
        asked.set();
        while (!token.stop_requested()) {
            co_await yield();
        }
    });
    asked.wait();
    task.request_stop();
    task.get();
}

TEST_P(StopToken, OfATaskThatWasStoppedBeforeIsStopped) {
    auto one = runtime(1);
    Event stopped;
    auto task = one.handle().spawn_pinned(0, [&]() -> Task<> {
        stopped.wait();
        const auto token = co_await this_task::stop_token();
        EXPECT_TRUE(token.stop_requested());
        const auto again = co_await this_task::stop_token();
        EXPECT_EQ(again, token);
        const auto inner = co_await []() -> Task<std::stop_token> { co_return co_await this_task::stop_token(); }();
        EXPECT_EQ(inner, token);
        bool called = false;
        const std::stop_callback callback(token, [&] { called = true; });
        EXPECT_TRUE(called) << "at once";
    });
    task.request_stop();
    stopped.set();
    task.get();
}

TEST_P(StopToken, ATaskStoppedBeforeItsFirstStepStillRuns) {
    auto one = runtime(1);
    Event blocked;
    Event release;
    auto blocker = one.handle().spawn_pinned(0, [&] {
        blocked.set();
        release.wait();
    });
    blocked.wait();
    auto task = one.handle().spawn_pinned(0, []() -> Task<int> {
        const auto token = co_await this_task::stop_token();
        const auto slept = co_await sleep_for(std::chrono::hours(1));
        co_return token.stop_requested() && slept.error() == std::errc::operation_canceled ? 7 : 0;
    });
    auto plain = one.handle().spawn_pinned(0, [] { return 8; });
    task.request_stop();
    plain.request_stop();
    release.set();
    EXPECT_EQ(task.get(), 7);
    EXPECT_EQ(plain.get(), 8);
}

TEST_P(StopToken, CallbacksRunOnceInsideTheRequest) {
    auto one = runtime(1);
    Event registered;
    Event done;
    std::atomic<int> calls{0};
    std::atomic<std::thread::id> thread{};
    auto task = one.handle().spawn_pinned(0, [&]() -> Task<> {
        const auto token = co_await this_task::stop_token();
        const std::stop_callback callback(token, [&] {
            calls.fetch_add(1);
            thread.store(std::this_thread::get_id());
        });
        registered.set();
        while (!done.is_set()) {
            co_await yield();
        }
    });
    registered.wait();
    EXPECT_EQ(calls.load(), 0);
    task.request_stop();
    EXPECT_EQ(calls.load(), 1) << "before request_stop() returned";
    EXPECT_EQ(thread.load(), std::this_thread::get_id());
    task.request_stop();
    EXPECT_EQ(calls.load(), 1);
    done.set();
    task.get();
}

TEST_P(StopToken, IsTheSameEveryTime) {
    auto one = runtime(1);
    one.block_on([]() -> Task<> {
        const auto first = co_await this_task::stop_token();
        co_await yield();
        const auto second = co_await this_task::stop_token();
        EXPECT_EQ(first, second);
    });
}

TEST_P(StopToken, AnAwaitedTaskSharesItsParents) {
    auto one = runtime(1);
    Event asked;
    auto task = one.handle().spawn_pinned(0, [&]() -> Task<> {
        auto inner = []() -> Task<std::stop_token> {
            auto innermost = []() -> Task<std::stop_token> { co_return co_await this_task::stop_token(); }();
            auto token = co_await std::move(innermost);
            const auto own = co_await this_task::stop_token();
            EXPECT_EQ(token, own);
            co_return token;
        }();
        const auto inherited = co_await std::move(inner);
        const auto own = co_await this_task::stop_token();
        EXPECT_EQ(inherited, own);
        asked.set();
        while (!inherited.stop_requested()) {
            co_await yield();
        }
    });
    asked.wait();
    task.request_stop();
    task.get();
}

TEST_P(StopToken, ASpawnedTaskHasItsOwn) {
    auto one = runtime(1);
    Event child_asked;
    Event parent_stopped;
    auto parent = one.handle().spawn_pinned(0, [&]() -> Task<> {
        const auto mine = co_await this_task::stop_token();
        auto child = ShardCtx::current()->spawn_local([&, mine]() -> Task<> {
            const auto token = co_await this_task::stop_token();
            EXPECT_NE(token, mine);
            child_asked.set();
            while (!parent_stopped.is_set()) {
                co_await yield();
            }
            EXPECT_FALSE(token.stop_requested());
        });
        while (!mine.stop_requested()) {
            co_await yield();
        }
        parent_stopped.set();
        while (!child.done()) {
            co_await yield();
        }
    });
    child_asked.wait();
    parent.request_stop();
    parent.get();
}

TEST_P(StopToken, OutlivesItsTaskAndItsRuntime) {
    std::optional<std::stop_token> stopped;
    std::optional<std::stop_token> ended;
    {
        auto one = runtime(1);
        const auto give_token = []() -> Task<std::stop_token> { co_return co_await this_task::stop_token(); };
        ended.emplace(one.block_on(give_token));
        Event asked;
        auto task = one.handle().spawn_pinned(0, [&]() -> Task<std::stop_token> {
            auto token = co_await this_task::stop_token();
            asked.set();
            while (!token.stop_requested()) {
                co_await yield();
            }
            co_return token;
        });
        asked.wait();
        task.request_stop();
        stopped.emplace(task.get());
    }
    EXPECT_TRUE(stopped->stop_requested());
    EXPECT_FALSE(ended->stop_requested());
    bool called = false;
    const std::stop_callback callback(*ended, [&] { called = true; });
    EXPECT_FALSE(called);
}

TEST_P(StopToken, ARequestAfterTheEndIsHarmless) {
    auto one = runtime(1);
    auto task =
        one.handle().spawn_pinned(0, []() -> Task<std::stop_token> { co_return co_await this_task::stop_token(); });
    auto refused = one.handle().spawn_pinned(9, [] {});
    ASSERT_TRUE(task.wait_for(std::chrono::seconds(60)));
    task.request_stop();
    refused.request_stop();
    static_cast<void>(task.get());
}

TEST_P(StopToken, OfATaskOfBlockOn) {
    auto one = runtime(1);
    EXPECT_FALSE(one.block_on([]() -> Task<bool> {
        const auto token = co_await this_task::stop_token();
        co_return token.stop_requested();
    }));
}

TEST_P(StopToken, ACallbackMayStopOtherTasks) {
    auto two = runtime(2);
    const auto handle = two.handle();
    auto sleeper = handle.spawn_pinned(1, []() -> Task<std::error_code> {
        const auto slept = co_await sleep_for(std::chrono::hours(1));
        co_return slept.error();
    });
    Event registered;
    auto task = handle.spawn_pinned(0, [&]() -> Task<> {
        const auto token = co_await this_task::stop_token();
        const std::stop_callback chain(token, [&] { sleeper.request_stop(); });
        registered.set();
        static_cast<void>(co_await sleep_for(std::chrono::hours(1)));
    });
    registered.wait();
    task.request_stop();
    task.get();
    EXPECT_EQ(sleeper.get(), std::errc::operation_canceled);
}

TEST_P(StopToken, ABlockingJobIsNotInterrupted) {
    auto one = runtime(1);
    Event started;
    Event release;
    auto job = one.handle().spawn_blocking([&] {
        started.set();
        release.wait();
        return 7;
    });
    started.wait();
    job.request_stop();
    release.set();
    EXPECT_EQ(job.get(), 7);
}

TEST_P(StopToken, TheFirstRequestForItAndTheStopRace) {
    Random random(stress_seed());
    auto one = runtime(1);
    for (unsigned round = 0; round < scaled(3000, 500); ++round) {
        Event started;
        const auto delay = std::chrono::nanoseconds(random.below(3000));
        auto task = one.handle().spawn_pinned(0, [&]() -> Task<bool> {
            started.set();
            spin_for(delay);
            const auto token = co_await this_task::stop_token();
            const auto slept = co_await sleep_for(std::chrono::hours(1));
            co_return token.stop_requested() && slept.error() == std::errc::operation_canceled;
        });
        started.wait();
        spin_for(std::chrono::nanoseconds(random.below(3000)));
        task.request_stop();
        ASSERT_TRUE(task.get());
    }
}

TEST_P(StopToken, ManyThreadsStopOneTask) {
    auto one = runtime(1);
    for (unsigned round = 0; round < scaled(200, 50); ++round) {
        Event registered;
        std::atomic<int> calls{0};
        auto task = one.handle().spawn_pinned(0, [&]() -> Task<std::error_code> {
            const auto token = co_await this_task::stop_token();
            const std::stop_callback callback(token, [&] { calls.fetch_add(1); });
            registered.set();
            const auto slept = co_await sleep_for(std::chrono::hours(1));
            co_return slept.error();
        });
        registered.wait();
        std::vector<std::thread> stoppers;
        for (int i = 0; i < 4; ++i) {
            stoppers.emplace_back([&] { task.request_stop(); });
        }
        for (auto& stopper : stoppers) {
            stopper.join();
        }
        ASSERT_EQ(task.get(), std::errc::operation_canceled);
        ASSERT_EQ(calls.load(), 1);
    }
}

}  // namespace
}  // namespace spargio::test
