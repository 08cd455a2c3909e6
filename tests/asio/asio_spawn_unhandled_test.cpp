// SPDX-License-Identifier: MIT
// Exceptions of async_spawn's tasks: to the handler, or, where that is never called, to the runtime's hook. Once.
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include "spargio/asio.hpp"
#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

/// What the hook was called with.
struct HookCall {
    std::string what;
    ShardId shard;
    std::thread::id thread;
};

class AsioSpawnUnhandled : public BackendTest {
protected:
    [[nodiscard]] Runtime hooked(std::size_t shards) {
        const auto hook = [this](const std::exception_ptr& error) {
            HookCall call{"", shard_here(), std::this_thread::get_id()};
            try {
                std::rethrow_exception(error);
            } catch (const std::exception& known) {
                call.what = known.what();
            }
            const std::lock_guard lock(mutex_);
            calls_.push_back(std::move(call));
        };
        return builder(shards).on_unhandled_exception(hook).build();
    }

    [[nodiscard]] std::vector<HookCall> hook_calls() const {
        const std::lock_guard lock(mutex_);
        return calls_;
    }

    /// A task of shard 0 has thrown, and its completion is posted, when this returns.
    template <class Token>
    static void spawn_that_throws(const RuntimeHandle& handle, Token&& token) {
        auto throws = [] { throw std::runtime_error("thrown"); };
        async_spawn(handle, TaskPlacement::pinned(0), std::move(throws), std::forward<Token>(token));
        finish_step(handle, 0);
    }

    Watchdog watchdog_{"unhandled exceptions of asio spawns"};

private:
    mutable std::mutex mutex_;
    std::vector<HookCall> calls_;
};
SPARGIO_ON_BOTH_BACKENDS(AsioSpawnUnhandled);

/// A handler that must not be called.
constexpr auto uncalled = [](const std::exception_ptr&) { ADD_FAILURE() << "called"; };

Task<> throws_when_stopped(Event& began) {
    began.set();
    static_cast<void>(co_await sleep_for(1h));
    throw std::runtime_error("stopped");
}

TEST_P(AsioSpawnUnhandled, ThrownAfterTheContextIsGoneIsReportedOnTheTasksShard) {
    auto two = hooked(2);
    Event began;
    {
        asio::io_context io;
        async_spawn(two.handle(), TaskPlacement::pinned(1), throws_when_stopped(began),
                    asio::bind_executor(io, uncalled));
        began.wait();
    }
    finish_step(two.handle(), 1);
    finish_step(two.handle(), 1);
    const auto calls = hook_calls();
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_EQ(calls[0].what, "stopped");
    EXPECT_EQ(calls[0].shard, 1);
}

// Else no program with the default hook, which ends it, could destroy a context.
TEST_P(AsioSpawnUnhandled, TheEffectOfTheStopThatTheContextsEndAsksForIsNot) {
    auto one = hooked(1);
    Event began;
    {
        asio::io_context io;
        async_spawn(
            one.handle(), TaskPlacement::pinned(0),
            [&began]() -> Task<> {
                began.set();
                static_cast<void>(co_await ShardCtx::current()->next_event());
            },
            asio::bind_executor(io, uncalled));
        began.wait();
    }
    finish_step(one.handle(), 0);
    finish_step(one.handle(), 0);
    EXPECT_TRUE(hook_calls().empty());
}

TEST_P(AsioSpawnUnhandled, PostedToAContextThatGoesIsReportedByWhoDestroysIt) {
    auto one = hooked(1);
    asio::cancellation_signal signal;  // What stands in its slot outlives the operation.
    {
        asio::io_context io;
        spawn_that_throws(one.handle(), asio::bind_executor(io, uncalled));
        spawn_that_throws(one.handle(), asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(io, uncalled)));
        EXPECT_TRUE(hook_calls().empty()) << "the handlers may still be called";
    }
    const auto calls = hook_calls();
    ASSERT_EQ(calls.size(), 2U);
    for (const auto& call : calls) {
        EXPECT_EQ(call.what, "thrown");
        EXPECT_EQ(call.thread, std::this_thread::get_id());
    }
}

TEST_P(AsioSpawnUnhandled, OfACoroutineThatGoesWithItsContextIsReported) {
    auto one = hooked(1);
    Event goes_on;  // Else poll() may find the end and resume the coroutine, which then has the exception.
    {
        asio::io_context io;
        const auto coroutine = [&]() -> asio::awaitable<void> {
            auto throws = [&goes_on]() -> int {
                goes_on.wait();
                throw std::runtime_error("thrown");
            };
            co_await async_spawn(one.handle(), TaskPlacement::pinned(0), throws, asio::use_awaitable);
        };
        asio::co_spawn(io, coroutine, asio::detached);
        io.poll();
        goes_on.set();
        finish_step(one.handle(), 0);
    }
    EXPECT_EQ(hook_calls().size(), 1U);
}

TEST_P(AsioSpawnUnhandled, AHandlerThatIsCalledHasTheException) {
    int called = 0;
    asio::io_context io;
    {
        auto one = hooked(1);
        const auto handle = one.handle();
        spawn_that_throws(handle, asio::bind_executor(io, [&](const std::exception_ptr& exception) {
                              ++called;
                              EXPECT_THROW(std::rethrow_exception(exception), std::runtime_error);
                          }));
        spawn_that_throws(handle, asio::bind_executor(io, [&](const std::exception_ptr&) { ++called; }));
        spawn_that_throws(handle, asio::bind_executor(io, asio::detached));
        io.run();
        auto throws = [] { throw std::runtime_error("thrown"); };
        auto future = async_spawn(handle, TaskPlacement::pinned(0), throws, asio::use_future);
        EXPECT_THROW(future.get(), std::runtime_error);
    }
    EXPECT_EQ(called, 2);
    EXPECT_TRUE(hook_calls().empty());
}

// Where it ends before the operation has begun, as where it ends after.
TEST_P(AsioSpawnUnhandled, OfAnOperationThatIsBegunWhileItsContextGoesIsReported) {
    auto one = hooked(1);
    const auto handle = one.handle();
    const unsigned rounds = scaled(500, 100);
    for (unsigned round = 0; round < rounds; ++round) {
        auto ends = boundary::channel<int, int>(1);
        auto io = std::make_unique<asio::io_context>();
        const auto begin = [&, executor = io->get_executor()](void*) {
            auto throws = [] { throw std::runtime_error("thrown"); };
            async_spawn(handle, TaskPlacement::pinned(0), throws, asio::bind_executor(executor, uncalled));
        };
        std::unique_ptr<void, std::decay_t<decltype(begin)>> at_end(io.get(), begin);
        async_call(ends.first, 1, asio::bind_executor(*io, [at_end = std::move(at_end)](std::error_code, int) {}));
        io.reset();
        finish_step(handle, 0);
        ASSERT_EQ(hook_calls().size(), round + 1);
    }
}

TEST_P(AsioSpawnUnhandled, AShutdownReportsNothing) {
    auto one = hooked(1);
    Event began;
    Event goes_on;
    {
        asio::io_context io;
        auto task = [&] {
            began.set();
            goes_on.wait();
            throw std::runtime_error("thrown");
        };
        async_spawn(one.handle(), TaskPlacement::pinned(0), std::move(task), asio::bind_executor(io, uncalled));
        began.wait();
    }
    std::thread ending([&] { one.shutdown(); });
    while (one.handle().spawn_pinned(0, [] {}).spawn_error() != RuntimeError::Closed) {
        std::this_thread::yield();
    }
    goes_on.set();
    ending.join();
    EXPECT_TRUE(hook_calls().empty());
}

// Tasks that throw, handlers that run on a pool, the pool's end: each exception is a handler's or the hook's.
TEST_P(AsioSpawnUnhandled, StressOfEndsThatMeet) {
    Random random(stress_seed());
    auto two = hooked(2);
    const unsigned rounds = scaled(300, 60);
    constexpr unsigned spawns = 8;
    std::atomic<unsigned> called{0};
    for (unsigned round = 0; round < rounds; ++round) {
        asio::cancellation_signal signals[spawns];
        {
            asio::thread_pool pool(1);
            for (unsigned i = 0; i < spawns; ++i) {
                auto task = [i]() -> Task<> {
                    if (i % 2 == 0) {
                        static_cast<void>(co_await sleep_for(i % 4 == 0 ? 1h : 10us));
                    }
                    throw std::runtime_error("thrown");
                };
                auto handler = asio::bind_executor(pool, [&](const std::exception_ptr& exception) {
                    EXPECT_TRUE(exception != nullptr);
                    ++called;
                });
                async_spawn(two.handle(), TaskPlacement::stealable(), std::move(task),
                            asio::bind_cancellation_slot(signals[i].slot(), std::move(handler)));
            }
            for (unsigned i = 0; i < spawns; i += 8) {
                signals[i].emit(asio::cancellation_type::terminal);
            }
            spin_for(std::chrono::nanoseconds(random.below(50'000)));
            pool.stop();
        }
        const auto all = (round + 1) * spawns;
        while (called + hook_calls().size() < all) {
            std::this_thread::yield();
        }
        ASSERT_EQ(called + hook_calls().size(), all);
        watchdog_.progress(std::to_string(round));
    }
}

}  // namespace
}  // namespace spargio::test
