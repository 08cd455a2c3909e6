// SPDX-License-Identifier: MIT
// How an async_call ends: cancelled, too late, closed, with its context, and all of it at once.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
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
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include "asio_call.hpp"
#include "spargio/asio.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

class AsioCallEnds : public AsioCall {};

TEST_F(AsioCallEnds, CancellationGivesUpAQueuedCall) {
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

TEST_F(AsioCallEnds, CancellationReachesTheServerThatHasTheRequest) {
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

TEST_F(AsioCallEnds, CancellationAfterTheAnswerDoesNothing) {
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

TEST_F(AsioCallEnds, ASignalMayGoBeforeItsOperation) {
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

TEST_F(AsioCallEnds, TheLoserOfAnOrIsCancelled) {
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

// On the real clock: the timer that ends such a call is Asio's.
TEST_F(AsioCallEnds, ADeadlineEndsACallThatNobodyTakes) {
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

TEST_F(AsioCallEnds, TheServerSeesTheDeadlineAndNeverAnExpiredRequest) {
    VirtualClock clock;
    auto channel_ends = channel<int, int>(4);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Outcome expires;
    Outcome limited;
    Outcome unlimited;
    const auto deadline = clock.now() + 1h;
    async_call_with_timeout(client, 1, 59min, on_io(expires));
    async_call_with_timeout(client, 2, 1h, on_io(limited));
    async_call(client, 3, on_io(unlimited));
    clock.set(clock.now() + 59min);
    auto second = server.recv().get();
    EXPECT_EQ(second->request(), 2);
    EXPECT_EQ(second->deadline(), deadline);
    auto third = server.recv().get();
    EXPECT_FALSE(third->deadline());
    ASSERT_TRUE(second->respond(4));
    ASSERT_TRUE(third->respond(6));
    io_.run();
    EXPECT_EQ(expires.error, BoundaryError::Timeout);
    EXPECT_EQ(limited.reply, 4);
    EXPECT_EQ(unlimited.reply, 6);
}

// The timer that ends the wait is Asio's, on the real clock; the deadline is on the virtual one.
TEST_F(AsioCallEnds, ATakenRequestThatIsLateIsATimeout) {
    VirtualClock clock;
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Outcome outcome;
    async_call_with_timeout(client, 1, 1ms, on_io(outcome));
    auto request = server.try_recv();
    ASSERT_TRUE(request.has_value());
    clock.set(clock.now() + 1ms);
    io_.run();
    EXPECT_EQ(request->respond(1).error(), BoundaryError::Timeout);
    EXPECT_EQ(outcome.error, BoundaryError::Timeout);
}

TEST_F(AsioCallEnds, TheServersEndIsClosedForAllWhoWait) {
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

TEST_F(AsioCallEnds, ZeroAndLessIsClosedOnceTheServerIsGone) {
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    { const auto gone = std::move(channel_ends.second); }
    Outcome zero;
    Outcome less;
    async_call_with_timeout(client, 1, 0ms, on_io(zero));
    async_call_with_timeout(client, 1, -1ms, on_io(less));
    io_.run();
    EXPECT_EQ(zero.error, BoundaryError::Closed);
    EXPECT_EQ(less.error, BoundaryError::Closed);
    EXPECT_EQ(zero.calls + less.calls, 2);
}

TEST_F(AsioCallEnds, ACallOutlivesItsClient) {
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

TEST_F(AsioCallEnds, AContextThatGoesDestroysItsHandlersUncalled) {
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

TEST_F(AsioCallEnds, ACoroutineThatWaitsGoesWithItsContext) {
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

TEST_F(AsioCallEnds, AHandlersEndMayEndOtherCalls) {
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
TEST_F(AsioCallEnds, StressOfEndsThatMeet) {
    Random random(stress_seed());
    const unsigned rounds = scaled(2000, 300);
    for (unsigned round = 0; round < rounds; ++round) {
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

}  // namespace
}  // namespace spargio::test
