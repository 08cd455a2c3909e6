// SPDX-License-Identifier: MIT
// async_spawn: values, exceptions, refusals, stops, shutdowns, contexts that go.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/deferred.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include "spargio/asio.hpp"
#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

constexpr auto never = std::chrono::hours(1000);

/// The code of a std::system_error; empty for no exception.
[[nodiscard]] std::error_code code_of(const std::exception_ptr& exception) {
    if (!exception) {
        return {};
    }
    try {
        std::rethrow_exception(exception);
    } catch (const std::system_error& error) {
        return error.code();
    }
}

struct Outcome {
    int calls = 0;
    std::exception_ptr exception;
    int value = 0;
    std::thread::id thread;

    [[nodiscard]] auto handler() {
        return [this](std::exception_ptr with, int result) {
            ++calls;
            exception = std::move(with);
            value = result;
            thread = std::this_thread::get_id();
        };
    }
};

class AsioSpawn : public BackendTest {
protected:
    [[nodiscard]] auto on_io(Outcome& outcome) { return asio::bind_executor(io_, outcome.handler()); }

    Watchdog watchdog_{"asio spawn"};
    asio::io_context io_;
};
SPARGIO_ON_BOTH_BACKENDS(AsioSpawn);

Task<int> sleeps_until_stopped(Event& began) {
    began.set();
    static_cast<void>(co_await sleep_for(never));
    const auto token = co_await this_task::stop_token();
    co_return token.stop_requested() ? 1 : 0;
}

TEST_P(AsioSpawn, EveryTokenGetsTheValue) {
    auto two = runtime(2);
    const auto handle = two.handle();
    const auto coroutine = [&]() -> asio::awaitable<int> {
        auto seven = [] { return 7; };
        int sum = co_await async_spawn(handle, TaskPlacement::pinned(1), seven, asio::use_awaitable);
        auto eight = []() -> Task<int> { co_return 8; };
        sum += co_await async_spawn(handle, TaskPlacement::stealable(), eight,
                                    asio::experimental::deferred)(asio::use_awaitable);
        auto box = [owned = std::make_unique<int>(9)]() mutable { return std::move(owned); };
        auto nine = co_await async_spawn(handle, TaskPlacement::sticky(5), std::move(box), asio::use_awaitable);
        sum += *nine;
        auto nothing = [] {};
        co_await async_spawn(handle, TaskPlacement::round_robin(), nothing, asio::use_awaitable);
        co_return sum;
    };
    auto sum = asio::co_spawn(io_, coroutine, asio::use_future);
    Outcome callback;
    async_spawn(
        handle, TaskPlacement::stealable(), [] { return 5; }, on_io(callback));
    async_spawn(
        handle, TaskPlacement::stealable(), [] { return 5; }, asio::bind_executor(io_, asio::detached));
    auto future = async_spawn(
        handle, TaskPlacement::stealable(), [] { return 6; }, asio::use_future);
    EXPECT_EQ(callback.calls, 0);
    io_.run();
    EXPECT_EQ(sum.get(), 24);
    EXPECT_EQ(future.get(), 6);
    EXPECT_EQ(callback.calls, 1);
    EXPECT_EQ(callback.value, 5);
    EXPECT_EQ(callback.thread, std::this_thread::get_id());
}

TEST_P(AsioSpawn, AnExceptionIsTheTasksOwn) {
    auto one = runtime(1);
    const auto coroutine = [&]() -> asio::awaitable<std::string> {
        auto throws = []() -> Task<int> {
            co_await yield();
            throw std::runtime_error("from the task");
        };
        try {
            co_await async_spawn(one.handle(), TaskPlacement::stealable(), throws, asio::use_awaitable);
        } catch (const std::runtime_error& error) {
            co_return error.what();
        }
        co_return "nothing thrown";
    };
    auto text = asio::co_spawn(io_, coroutine, asio::use_future);
    io_.run();
    EXPECT_EQ(text.get(), "from the task");
}

TEST_P(AsioSpawn, ARefusedSpawnSaysWhy) {
    auto one = runtime(1);
    EndLog log;
    Outcome invalid;
    async_spawn(
        one.handle(), TaskPlacement::pinned(9), [tracker = Tracker(log)] { return 1; }, on_io(invalid));
    EXPECT_EQ(log.size(), 1U);
    EXPECT_EQ(invalid.calls, 0);
    one.shutdown();
    Outcome closed;
    async_spawn(
        one.handle(), TaskPlacement::stealable(), [] { return 1; }, on_io(closed));
    io_.run();
    EXPECT_EQ(code_of(invalid.exception), RuntimeError::InvalidShard);
    EXPECT_EQ(code_of(closed.exception), RuntimeError::Closed);
    EXPECT_EQ(invalid.calls + closed.calls, 2);
}

TEST_P(AsioSpawn, AShutdownEndsItAsCanceled) {
    auto one = runtime(1);
    Event began;
    Outcome waiting;
    Outcome not_begun;
    async_spawn(one.handle(), TaskPlacement::pinned(0), sleeps_until_stopped(began), on_io(waiting));
    began.wait();
    StalledShard stalled(one.handle(), 0);
    async_spawn(
        one.handle(), TaskPlacement::pinned(0), [] { return 1; }, on_io(not_begun));
    stalled.shut_down(one);
    io_.run();
    EXPECT_EQ(code_of(waiting.exception), JoinError::Canceled);
    EXPECT_EQ(code_of(not_begun.exception), JoinError::Canceled);
    EXPECT_EQ(waiting.calls + not_begun.calls, 2);
}

TEST_P(AsioSpawn, CancellationAsksTheTaskToStop) {
    auto one = runtime(1);
    asio::cancellation_signal signal;
    Event began;
    Outcome outcome;
    async_spawn(one.handle(), TaskPlacement::pinned(0), sleeps_until_stopped(began),
                asio::bind_cancellation_slot(signal.slot(), on_io(outcome)));
    began.wait();
    signal.emit(asio::cancellation_type::total);
    signal.emit(asio::cancellation_type::terminal);
    io_.run();
    EXPECT_EQ(outcome.calls, 1);
    EXPECT_FALSE(outcome.exception);
    EXPECT_EQ(outcome.value, 1);
    signal.emit(asio::cancellation_type::terminal);
}

TEST_P(AsioSpawn, TheFrameIsGoneBeforeTheHandlerIsCalled) {
    auto one = runtime(1);
    EndLog log;
    std::size_t ended = 0;
    auto spawned = [tracker = Tracker(log, "callable"), &log]() -> Task<> {
        const Tracker local(log, "local");
        co_await yield();
    };
    async_spawn(one.handle(), TaskPlacement::pinned(0), std::move(spawned),
                asio::bind_executor(io_, [&](const std::exception_ptr&) { ended = log.size(); }));
    io_.run();
    EXPECT_EQ(ended, 2U);
    EXPECT_EQ(log.on_shard(0), 2U);
}

TEST_P(AsioSpawn, AContextThatGoesStopsItsTasks) {
    auto one = runtime(1);
    auto io = std::make_unique<asio::io_context>();
    EndLog log;
    Event began;
    Event stopped;
    auto task = [&]() -> Task<int> {
        began.set();
        static_cast<void>(co_await sleep_for(never));
        stopped.set();
        co_return 1;
    };
    auto called = [tracker = Tracker(log)](const std::exception_ptr&, int) { ADD_FAILURE() << "called"; };
    async_spawn(one.handle(), TaskPlacement::pinned(0), std::move(task), asio::bind_executor(*io, std::move(called)));
    began.wait();
    io.reset();
    EXPECT_EQ(log.size(), 1U);
    stopped.wait();
    finish_step(one.handle(), 0);
}

TEST_P(AsioSpawn, ATaskMayBeginAnOperation) {
    auto two = runtime(2);
    Outcome outcome;
    auto begin = [&] {
        async_spawn(
            ShardCtx::current()->handle(), TaskPlacement::pinned(1), [] { return 3; }, on_io(outcome));
    };
    two.handle().spawn_pinned(0, std::move(begin)).get();
    io_.run();
    EXPECT_EQ(outcome.value, 3);
}

// Ends of tasks, cancellations, shutdowns and ends of contexts, all at once.
TEST_P(AsioSpawn, StressOfEndsThatMeet) {
    Random random(stress_seed());
    const unsigned rounds = scaled(300, 60);
    for (unsigned round = 0; round < rounds; ++round) {
        auto two = runtime(2);
        constexpr int spawns = 6;
        std::atomic<int> called{0};
        EndLog log;
        auto io = std::make_unique<asio::io_context>();
        asio::cancellation_signal signals[spawns];
        Latch start(3);
        const auto spins = [&random] { return std::chrono::nanoseconds(random.below(20'000)); };
        const auto shut_after = spins();
        const auto cancel_after = spins();
        const auto end_after = spins();
        const bool ends = random.below(2) == 0;
        for (int i = 0; i < spawns; ++i) {
            auto handler = asio::bind_executor(
                *io, [&called, tracker = Tracker(log)](const std::exception_ptr&, int) { ++called; });
            auto task = [i]() -> Task<int> {
                if (i % 2 == 0) {
                    static_cast<void>(co_await sleep_for(never));
                } else {
                    co_await yield();
                }
                co_return i;
            };
            async_spawn(two.handle(), TaskPlacement::stealable(), std::move(task),
                        asio::bind_cancellation_slot(signals[i].slot(), std::move(handler)));
        }
        std::thread shutting([&] {
            start.arrive_and_wait();
            spin_for(shut_after);
            two.shutdown();
        });
        std::thread cancelling([&] {
            start.arrive_and_wait();
            spin_for(cancel_after);
            for (auto& signal : signals) {
                signal.emit(asio::cancellation_type::terminal);
            }
        });
        start.arrive_and_wait();
        if (ends) {
            spin_for(end_after);
            io->poll();
            io.reset();
        }
        shutting.join();
        cancelling.join();
        if (!ends) {
            io->run();
            EXPECT_EQ(called, spawns);
        }
        EXPECT_EQ(log.size(), static_cast<std::size_t>(spawns));
        watchdog_.progress(std::to_string(round));
    }
}

}  // namespace
}  // namespace spargio::test
