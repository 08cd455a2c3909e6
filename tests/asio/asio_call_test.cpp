// SPDX-License-Identifier: MIT
// async_call and async_call_with_timeout: tokens, executors, cancellation, deadlines, ends of everything.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_allocator.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/experimental/deferred.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include "spargio/asio.hpp"
#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

// The ends of a channel are not structured bindings here: Clang 14 cannot capture those.
using boundary::channel;
using boundary::Client;
using boundary::Server;
using namespace std::chrono_literals;

using IntClient = Client<int, int>;
using IntServer = Server<int, int>;

constexpr auto never = std::chrono::hours(1000);

/// A thread that answers each request with its double, until no client is left.
class Doubler {
public:
    explicit Doubler(IntServer server)
        : thread_([server = std::move(server)] {
              while (auto request = server.recv().get()) {
                  static_cast<void>(request->respond(request->request() * 2));
              }
          }) {}
    Doubler(const Doubler&) = delete;
    Doubler& operator=(const Doubler&) = delete;
    ~Doubler() { thread_.join(); }

private:
    std::thread thread_;
};

/// What a handler was called with, how often, and where.
struct Outcome {
    int calls = 0;
    std::error_code error;
    int reply = 0;
    std::thread::id thread;
    ShardId shard = external_sender;

    [[nodiscard]] auto handler() {
        return [this](std::error_code with, int value) {
            ++calls;
            error = with;
            reply = value;
            thread = std::this_thread::get_id();
            shard = shard_here();
        };
    }
};

class AsioCall : public ::testing::Test {
protected:
    [[nodiscard]] auto on_io(Outcome& outcome) { return asio::bind_executor(io_, outcome.handler()); }

    Watchdog watchdog_{"asio call"};
    asio::io_context io_;
};

TEST_F(AsioCall, EveryTokenGetsTheReply) {
    auto channel_ends = channel<int, int>(1);
    auto& calls = channel_ends.first;
    auto& server = channel_ends.second;
    const Doubler doubler(std::move(server));
    Outcome callback;
    async_call(calls, 1, on_io(callback));
    Outcome timed;
    async_call_with_timeout(calls, 2, never, on_io(timed));
    const auto coroutine = [&]() -> asio::awaitable<int> {
        int sum = co_await async_call(calls, 10, asio::use_awaitable);
        sum += co_await async_call(calls, 20, asio::experimental::deferred)(asio::use_awaitable);
        sum += co_await async_call_with_timeout(calls, 30, never, asio::use_awaitable);
        co_return sum;
    };
    auto sum = asio::co_spawn(io_, coroutine, asio::use_future);
    async_call(calls, 3, asio::bind_executor(io_, asio::detached));
    async_call(calls, 3, asio::detached);
    auto future = async_call(calls, 4, asio::use_future);
    auto timed_future = async_call_with_timeout(calls, 5, never, asio::use_future);
    io_.run();
    EXPECT_EQ(callback.calls, 1);
    EXPECT_FALSE(callback.error);
    EXPECT_EQ(callback.reply, 2);
    EXPECT_EQ(timed.reply, 4);
    EXPECT_EQ(sum.get(), 120);
    EXPECT_EQ(future.get(), 8);
    EXPECT_EQ(timed_future.get(), 10);
    { const auto gone = std::move(calls); }
}

TEST_F(AsioCall, TheHandlerRunsOnItsExecutorAndNeverInside) {
    auto channel_ends = channel<int, int>(4);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Outcome answered;
    async_call(client, 1, on_io(answered));
    std::thread([&] { ASSERT_TRUE(server.recv().get()->respond(5)); }).join();
    EXPECT_EQ(answered.calls, 0);
    { const auto gone = std::move(server); }
    Outcome refused;
    async_call(client, 1, on_io(refused));
    Outcome late;
    async_call_with_timeout(client, 1, 0ms, on_io(late));
    EXPECT_EQ(refused.calls, 0);
    EXPECT_EQ(late.calls, 0);
    io_.run();
    EXPECT_EQ(answered.calls, 1);
    EXPECT_EQ(answered.thread, std::this_thread::get_id());
    EXPECT_EQ(refused.calls, 1);
    EXPECT_EQ(refused.error, BoundaryError::Closed);
    EXPECT_EQ(late.error, BoundaryError::Timeout);
}

TEST_F(AsioCall, AStrandAnErasedExecutorAndAPoolAreExecutors) {
    auto channel_ends = channel<int, int>(4);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    const Doubler doubler(std::move(server));
    asio::thread_pool pool(2);
    auto strand = asio::make_strand(pool);
    const asio::any_io_executor erased = strand;
    std::promise<bool> on_strand;
    std::promise<bool> on_erased;
    std::promise<int> on_pool;
    async_call(client, 1, asio::bind_executor(strand, [&](std::error_code, int) {
                   on_strand.set_value(strand.running_in_this_thread());
               }));
    async_call_with_timeout(client, 1, never, asio::bind_executor(erased, [&](std::error_code, int) {
                                on_erased.set_value(strand.running_in_this_thread());
                            }));
    async_call_with_timeout(client, 1, never,
                            asio::bind_executor(pool, [&](std::error_code, int reply) { on_pool.set_value(reply); }));
    EXPECT_TRUE(on_strand.get_future().get());
    EXPECT_TRUE(on_erased.get_future().get());
    EXPECT_EQ(on_pool.get_future().get(), 2);
    { const auto gone = std::move(client); }
    pool.join();
}

template <class T>
struct CountingAllocator {
    using value_type = T;

    explicit CountingAllocator(std::atomic<std::ptrdiff_t>* of) noexcept : bytes(of) {}
    template <class U>
    explicit(false) CountingAllocator(const CountingAllocator<U>& other) noexcept : bytes(other.bytes) {}

    T* allocate(std::size_t count) {
        *bytes += static_cast<std::ptrdiff_t>(count * sizeof(T));
        return std::allocator<T>().allocate(count);
    }
    void deallocate(T* block, std::size_t count) noexcept {
        *bytes -= static_cast<std::ptrdiff_t>(count * sizeof(T));
        std::allocator<T>().deallocate(block, count);
    }
    template <class U>
    bool operator==(const CountingAllocator<U>& other) const noexcept {
        return bytes == other.bytes;
    }

    std::atomic<std::ptrdiff_t>* bytes;
};

TEST_F(AsioCall, MemoryComesFromTheHandlersAllocatorAndGoesBackFirst) {
    auto channel_ends = channel<int, int>(4);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    std::atomic<std::ptrdiff_t> bytes{0};
    std::ptrdiff_t in_handler = -1;
    auto handler = asio::bind_executor(io_, [&](std::error_code, int) { in_handler = bytes; });
    async_call(client, 1, asio::bind_allocator(CountingAllocator<char>(&bytes), std::move(handler)));
    EXPECT_GT(bytes, 0);
    ASSERT_TRUE(server.recv().get()->respond(5));
    io_.run();
    EXPECT_EQ(in_handler, 0);
    EXPECT_EQ(bytes, 0);
}

TEST_F(AsioCall, WhatWaitsKeepsTheContextAtWork) {
    auto channel_ends = channel<int, int>(4);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Outcome outcome;
    async_call(client, 1, on_io(outcome));
    io_.poll();
    EXPECT_FALSE(io_.stopped());
    ASSERT_TRUE(server.recv().get()->respond(5));
    io_.run();
    EXPECT_EQ(outcome.reply, 5);
    EXPECT_TRUE(io_.stopped());
}

TEST_F(AsioCall, WaitsForRoomWithoutAThread) {
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    std::vector<Outcome> outcomes(10);
    for (int i = 0; i < 10; ++i) {
        async_call(client, i, on_io(outcomes[static_cast<std::size_t>(i)]));
    }
    EXPECT_EQ(client.try_call(1).error(), BoundaryError::Overloaded);
    for (int i = 0; i < 10; ++i) {
        auto request = server.recv().get();
        EXPECT_EQ(request->request(), i);
        ASSERT_TRUE(request->respond(100 + i));
    }
    io_.run();
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(outcomes[static_cast<std::size_t>(i)].reply, 100 + i);
    }
}

TEST_F(AsioCall, MoveOnlyRequestsAndReplies) {
    using Box = std::unique_ptr<int>;
    auto channel_ends = channel<Box, Box>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    const auto coroutine = [&]() -> asio::awaitable<int> {
        Box reply = co_await async_call(client, std::make_unique<int>(7), asio::use_awaitable);
        co_return *reply;
    };
    auto reply = asio::co_spawn(io_, coroutine, asio::use_future);
    io_.poll();
    auto request = server.recv().get();
    ASSERT_TRUE(request->respond(request->take()));
    io_.run();
    EXPECT_EQ(reply.get(), 7);
}

TEST_F(AsioCall, CancellationGivesUpAQueuedCall) {
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    for (const auto type : {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                            asio::cancellation_type::total, asio::cancellation_type::all}) {
        asio::cancellation_signal signal;
        Outcome outcome;
        async_call(client, 1, asio::bind_cancellation_slot(signal.slot(), on_io(outcome)));
        signal.emit(asio::cancellation_type::none);
        EXPECT_EQ(client.stats().depth, 1U);
        signal.emit(type);
        EXPECT_EQ(client.stats().depth, 0U);
        EXPECT_EQ(outcome.calls, 0);
        signal.emit(type);
        io_.run();
        EXPECT_EQ(outcome.calls, 1);
        EXPECT_EQ(outcome.error, BoundaryError::Canceled);
        EXPECT_EQ(outcome.error, std::errc::operation_canceled);
        io_.restart();
        signal.emit(type);
        EXPECT_EQ(io_.poll(), 0U);
        io_.restart();
    }
    EXPECT_EQ(server.try_recv().error(), std::errc::operation_would_block);
}

TEST_F(AsioCall, CancellationReachesTheServerThatHasTheRequest) {
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    asio::cancellation_signal signal;
    Outcome outcome;
    async_call(client, 1, asio::bind_cancellation_slot(signal.slot(), on_io(outcome)));
    auto request = server.recv().get();
    EXPECT_FALSE(request->canceled());
    signal.emit(asio::cancellation_type::terminal);
    EXPECT_TRUE(request->canceled());
    EXPECT_EQ(request->respond(1).error(), BoundaryError::Canceled);
    io_.run();
    EXPECT_EQ(outcome.error, BoundaryError::Canceled);
}

TEST_F(AsioCall, CancellationAfterTheAnswerDoesNothing) {
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    asio::cancellation_signal signal;
    Outcome outcome;
    async_call(client, 1, asio::bind_cancellation_slot(signal.slot(), on_io(outcome)));
    ASSERT_TRUE(server.recv().get()->respond(9));
    signal.emit(asio::cancellation_type::terminal);
    io_.run();
    EXPECT_FALSE(outcome.error);
    EXPECT_EQ(outcome.reply, 9);
    EXPECT_EQ(outcome.calls, 1);
}

TEST_F(AsioCall, ASignalMayGoBeforeItsOperation) {
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Outcome outcome;
    {
        asio::cancellation_signal signal;
        async_call(client, 1, asio::bind_cancellation_slot(signal.slot(), on_io(outcome)));
    }
    ASSERT_TRUE(server.recv().get()->respond(9));
    io_.run();
    EXPECT_EQ(outcome.reply, 9);
}

TEST_F(AsioCall, TheLoserOfAnOrIsCancelled) {
    using namespace asio::experimental::awaitable_operators;
    auto channel_ends = channel<int, int>(2);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    const auto coroutine = [&]() -> asio::awaitable<std::size_t> {
        asio::steady_timer timer(io_, 1ms);
        auto first = co_await (async_call(client, 1, asio::use_awaitable) || timer.async_wait(asio::use_awaitable));
        co_return first.index();
    };
    auto index = asio::co_spawn(io_, coroutine, asio::use_future);
    io_.run();
    EXPECT_EQ(index.get(), 1U);
    EXPECT_EQ(client.stats().canceled, 1U);
    EXPECT_EQ(server.try_recv().error(), std::errc::operation_would_block);
}

TEST_F(AsioCall, ADeadlineEndsACallThatNobodyTakes) {
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Outcome queued;
    Outcome without_room;
    async_call_with_timeout(client, 1, 1ms, on_io(queued));
    async_call_with_timeout(client, 1, 2ms, on_io(without_room));
    io_.run();
    EXPECT_EQ(queued.error, BoundaryError::Timeout);
    EXPECT_EQ(without_room.error, std::errc::timed_out);
    EXPECT_EQ(server.try_recv().error(), std::errc::operation_would_block);
    EXPECT_EQ(client.stats().timed_out, 2U);
    // The exception is not looked into: libstdc++ counts its references out of ThreadSanitizer's sight.
    EXPECT_THROW(static_cast<void>(async_call_with_timeout(client, 1, 1ms, asio::use_future).get()), std::system_error);
    EXPECT_EQ(client.stats().timed_out, 3U);
}

TEST_F(AsioCall, TheServerSeesTheDeadlineAndNeverAnExpiredRequest) {
    auto channel_ends = channel<int, int>(4);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Outcome expires;
    Outcome limited;
    Outcome unlimited;
    const auto before = std::chrono::steady_clock::now();
    async_call_with_timeout(client, 1, 1ms, on_io(expires));
    async_call_with_timeout(client, 2, 1h, on_io(limited));
    async_call(client, 3, on_io(unlimited));
    while (std::chrono::steady_clock::now() <= before + 2ms) {}
    auto second = server.recv().get();
    EXPECT_EQ(second->request(), 2);
    EXPECT_GE(second->deadline().value(), before + 1h);
    auto third = server.recv().get();
    EXPECT_FALSE(third->deadline());
    ASSERT_TRUE(second->respond(4));
    ASSERT_TRUE(third->respond(6));
    io_.run();
    EXPECT_EQ(expires.error, BoundaryError::Timeout);
    EXPECT_EQ(limited.reply, 4);
    EXPECT_EQ(unlimited.reply, 6);
}

TEST_F(AsioCall, ATakenRequestThatIsLateIsATimeout) {
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Outcome outcome;
    async_call_with_timeout(client, 1, 50ms, on_io(outcome));
    auto request = server.try_recv();
    io_.run();
    if (request) {  // Else the machine was slow.
        EXPECT_EQ(request->respond(1).error(), BoundaryError::Timeout);
    }
    EXPECT_EQ(outcome.error, BoundaryError::Timeout);
}

TEST_F(AsioCall, TheServersEndIsClosedForAllWhoWait) {
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Outcome dropped;
    Outcome queued;
    Outcome without_room;
    async_call(client, 1, on_io(dropped));
    { const auto request = server.recv().get(); }
    async_call(client, 1, on_io(queued));
    async_call(client, 1, on_io(without_room));
    { const auto gone = std::move(server); }
    io_.run();
    EXPECT_EQ(dropped.error, BoundaryError::Canceled);
    EXPECT_EQ(queued.error, BoundaryError::Closed);
    EXPECT_EQ(without_room.error, BoundaryError::Closed);
    EXPECT_EQ(queued.calls + without_room.calls + dropped.calls, 3);
}

TEST_F(AsioCall, ACallOutlivesItsClient) {
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Outcome outcome;
    async_call(client, 1, on_io(outcome));
    { const auto gone = std::move(client); }
    ASSERT_TRUE(server.recv().get()->respond(3));
    io_.run();
    EXPECT_EQ(outcome.reply, 3);
}

TEST_F(AsioCall, AContextThatGoesDestroysItsHandlersUncalled) {
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    auto io = std::make_unique<asio::io_context>();
    asio::cancellation_signal signal;
    EndLog log;
    bool called = false;
    const auto call = [&](auto token) { async_call(client, 1, std::move(token)); };
    const auto handler = [&](const char* name) {
        return asio::bind_executor(*io,
                                   [&called, tracker = Tracker(log, name)](std::error_code, int) { called = true; });
    };
    call(handler("answered"));
    auto answered = server.recv().get();
    ASSERT_TRUE(answered->respond(1));
    call(handler("taken"));
    auto taken = server.recv().get();
    call(handler("queued"));
    call(asio::bind_cancellation_slot(signal.slot(), handler("without room")));
    async_call_with_timeout(client, 1, never, handler("timed"));
    io.reset();
    EXPECT_EQ(log.size(), 5U);
    EXPECT_FALSE(called);
    EXPECT_TRUE(taken->canceled());
    EXPECT_EQ(taken->respond(1).error(), BoundaryError::Canceled);
    EXPECT_EQ(server.try_recv().error(), std::errc::operation_would_block);
    signal.emit(asio::cancellation_type::terminal);
}

TEST_F(AsioCall, ACoroutineThatWaitsGoesWithItsContext) {
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    auto io = std::make_unique<asio::io_context>();
    EndLog log;
    const auto coroutine = [&]() -> asio::awaitable<void> {
        const Tracker tracker(log, "frame");
        static_cast<void>(co_await async_call_with_timeout(client, 1, never, asio::use_awaitable));
    };
    asio::co_spawn(*io, coroutine, asio::detached);
    io->poll();
    auto taken = server.recv().get();
    io.reset();
    EXPECT_EQ(log.size(), 1U);
    EXPECT_TRUE(taken->canceled());
}

TEST_F(AsioCall, AHandlersEndMayEndOtherCalls) {
    auto channel_ends = channel<int, int>(4);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    auto io = std::make_unique<asio::io_context>();
    const auto first = [](std::error_code, int) { ADD_FAILURE() << "called"; };
    async_call(client, 1, asio::bind_executor(*io, first));
    auto second = [server = std::move(server)](std::error_code, int) { ADD_FAILURE() << "called"; };
    async_call(client, 1, asio::bind_executor(*io, std::move(second)));
    io.reset();
    EXPECT_EQ(client.try_call(1).error(), BoundaryError::Closed);
}

// Answers, cancellations, deadlines and the ends of contexts, all at once: each handler is called once, or destroyed.
TEST_F(AsioCall, StressOfEndsThatMeet) {
    Random random(stress_seed());
    const int rounds = sanitized ? 300 : 2000;
    for (int round = 0; round < rounds; ++round) {
        auto channel_ends = channel<int, int>(2);
        auto& client = channel_ends.first;
        auto& server = channel_ends.second;
        std::atomic<int> called{0};
        EndLog log;
        constexpr int calls = 6;
        Latch start(3);
        auto io = std::make_unique<asio::io_context>();
        asio::cancellation_signal signals[calls];
        const auto spins = [&random] { return std::chrono::nanoseconds(random.below(20'000)); };
        const auto answer_after = spins();
        const auto cancel_after = spins();
        const auto end_after = spins();
        const bool context_ends = random.below(2) == 0;
        for (int i = 0; i < calls; ++i) {
            auto handler =
                asio::bind_executor(*io, [&called, tracker = Tracker(log)](std::error_code, int) { ++called; });
            auto token = asio::bind_cancellation_slot(signals[i].slot(), std::move(handler));
            if (i % 3 == 0) {
                async_call_with_timeout(client, i, spins() * 2, std::move(token));
            } else {
                async_call(client, i, std::move(token));
            }
        }
        std::thread answering([&, server = std::move(server)] {
            start.arrive_and_wait();
            spin_for(answer_after);
            for (int i = 0; i < calls; ++i) {
                if (auto request = server.try_recv()) {
                    static_cast<void>(request->respond(i));
                }
            }
        });
        std::thread cancelling([&] {
            start.arrive_and_wait();
            spin_for(cancel_after);
            for (auto& signal : signals) {
                signal.emit(asio::cancellation_type::terminal);
            }
        });
        start.arrive_and_wait();
        if (context_ends) {
            spin_for(end_after);
            io->poll();
            io.reset();
            EXPECT_LE(called, calls);
        }
        answering.join();
        cancelling.join();
        if (!context_ends) {
            io->run();
            EXPECT_EQ(called, calls);
        }
        EXPECT_EQ(log.size(), static_cast<std::size_t>(calls));
        const auto stats = client.stats();
        EXPECT_EQ(stats.calls, stats.answered + stats.overloaded + stats.timed_out + stats.canceled + stats.closed);
        watchdog_.progress(std::to_string(round));
    }
}

class AsioCallOfATask : public BackendTest {
protected:
    Watchdog watchdog_{"asio call of a task"};
    asio::io_context io_;
};
SPARGIO_ON_BOTH_BACKENDS(AsioCallOfATask);

Task<> serve(IntServer server, std::atomic<int>& served) {
    while (auto request = co_await server.recv()) {
        ++served;
        static_cast<void>(request->respond(request->request() * 2));
    }
}

TEST_P(AsioCallOfATask, ManyCoroutinesCallATask) {
    auto two = runtime(2);
    const NoLateWakes checked(two.handle());
    auto channel_ends = channel<int, int>(8);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    std::atomic<int> served{0};
    auto serving = two.handle().spawn_stealable(serve(std::move(server), served));
    const auto here = std::this_thread::get_id();
    int right = 0;
    const auto coroutine = [&](int base) -> asio::awaitable<void> {
        for (int i = 0; i < 20; ++i) {
            const int reply = co_await async_call(client, base + i, asio::use_awaitable);
            const int timed = co_await async_call_with_timeout(client, base + i, never, asio::use_awaitable);
            right += reply == 2 * (base + i) && timed == reply && std::this_thread::get_id() == here ? 1 : 0;
        }
    };
    for (int i = 0; i < 50; ++i) {
        asio::co_spawn(io_, coroutine(100 * i), asio::detached);
    }
    io_.run();
    EXPECT_EQ(right, 50 * 20);
    EXPECT_EQ(served, 2 * 50 * 20);
    { const auto gone = std::move(client); }
    serving.get();
}

TEST_P(AsioCallOfATask, TheRuntimesShutdownEndsTheCalls) {
    auto two = runtime(2);
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Event took;
    auto holds_one = [&took, server = std::move(server)]() -> Task<> {
        auto request = co_await server.recv();
        took.set();
        static_cast<void>(co_await sleep_for(never));
    };
    two.handle().spawn_pinned(1, std::move(holds_one)).detach();
    Outcome taken;
    Outcome queued;
    Outcome without_room;
    async_call(client, 1, asio::bind_executor(io_, taken.handler()));
    took.wait();
    async_call(client, 1, asio::bind_executor(io_, queued.handler()));
    async_call(client, 1, asio::bind_executor(io_, without_room.handler()));
    two.shutdown();
    Outcome late;
    async_call(client, 1, asio::bind_executor(io_, late.handler()));
    io_.run();
    EXPECT_EQ(taken.error, BoundaryError::Canceled);
    EXPECT_EQ(queued.error, BoundaryError::Closed);
    EXPECT_EQ(without_room.error, BoundaryError::Closed);
    EXPECT_EQ(late.error, BoundaryError::Closed);
    EXPECT_EQ(taken.thread, std::this_thread::get_id());
}

TEST_P(AsioCallOfATask, ATaskMayBeginAnOperation) {
    auto two = runtime(2);
    auto channel_ends = channel<int, int>(4);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    std::atomic<int> served{0};
    auto serving = two.handle().spawn_pinned(0, serve(std::move(server), served));
    Outcome outcome;
    auto begin = [&] { async_call(client, 4, asio::bind_executor(io_, outcome.handler())); };
    two.handle().spawn_pinned(1, std::move(begin)).get();
    io_.run();
    EXPECT_EQ(outcome.reply, 8);
    EXPECT_EQ(outcome.shard, external_sender);
    { const auto gone = std::move(client); }
    serving.get();
}

}  // namespace
}  // namespace spargio::test
