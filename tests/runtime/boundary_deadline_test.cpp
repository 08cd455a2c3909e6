// SPDX-License-Identifier: MIT
// Deadlines of calls, and limits of receives: on the virtual clock, so that no task waits for time to pass.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/boundary_names.hpp"
#include "support/event.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

class BoundaryDeadline : public BackendTest {
protected:
    void TearDown() override { one_.reset(); }

    /// A call of a task that has been entered when this returns.
    JoinHandle<Result<int>> call_within(std::chrono::nanoseconds limit, int value = 1) {
        auto calling = handle_.spawn_pinned(0, [client = client_, limit, value]() -> Task<Result<int>> {
            co_return co_await client.call_with_timeout(value, limit);
        });
        finish_step(handle_, 0);
        finish_step(handle_, 0);
        return calling;
    }
    /// A task that waits for a request when this returns; it answers with the double.
    JoinHandle<std::error_code> receive_within(std::chrono::nanoseconds limit) {
        auto receiving = handle_.spawn_pinned(0, [this, limit]() -> Task<std::error_code> {
            auto request = co_await server_->recv_timeout(limit);
            if (!request) {
                co_return request.error();
            }
            const int value = request->take();
            co_return request->respond(value * 2).error();
        });
        finish_step(handle_, 0);
        finish_step(handle_, 0);
        return receiving;
    }
    void advance(std::chrono::nanoseconds span) { clock_.advance(handle_, span); }
    [[nodiscard]] std::uint64_t depth() const { return client_.stats().depth; }

    Watchdog watchdog_{"deadlines at a boundary"};
    VirtualClock clock_;
    std::optional<Runtime> one_ = runtime(1);
    RuntimeHandle handle_ = one_->handle();
    std::pair<IntClient, IntServer> made_ = channel<int, int>(2);
    IntClient client_ = std::move(made_.first);
    std::optional<IntServer> server_ = std::move(made_.second);
};
SPARGIO_ON_BOTH_BACKENDS(BoundaryDeadline);

TEST_P(BoundaryDeadline, AQueuedCallTimesOutAndGivesItsPlaceUp) {
    auto calling = call_within(10ms);
    EXPECT_EQ(depth(), 1U);
    advance(10ms - 1ns);
    EXPECT_FALSE(calling.done());
    advance(1ns);
    EXPECT_EQ(calling.get().error(), BoundaryError::Timeout);
    EXPECT_EQ(depth(), 0U);
    EXPECT_EQ(server_->try_recv().error(), std::errc::operation_would_block);
    EXPECT_EQ(client_.stats().timed_out, 1U);
}

TEST_P(BoundaryDeadline, ATakenCallTimesOutAndItsServerIsTold) {
    auto calling = call_within(10ms);
    auto request = server_->try_recv();
    EXPECT_EQ(request->deadline(), clock_.now() + 10ms);
    EXPECT_FALSE(request->canceled());
    advance(10ms);
    EXPECT_EQ(calling.get().error(), BoundaryError::Timeout);
    EXPECT_TRUE(request->canceled());
    EXPECT_EQ(client_.stats().timed_out, 0U) << "the server is not through with it";
    EXPECT_EQ(request->respond(2).error(), BoundaryError::Timeout);
    EXPECT_EQ(client_.stats().timed_out, 1U);
    EXPECT_EQ(client_.stats().answered, 0U);
}

/// The deadline has passed, and the caller's shard has not looked at the clock.
TEST_P(BoundaryDeadline, AnAnswerPastTheDeadlineIsATimeoutForBoth) {
    for (const bool answers : {true, false}) {
        auto calling = call_within(10ms);
        auto request = server_->try_recv();
        {
            StalledShard stalled(handle_, 0);
            clock_.set(clock_.now() + 10ms);
            EXPECT_FALSE(request->canceled()) << "the caller does not know yet";
            if (answers) {
                EXPECT_EQ(request->respond(2).error(), BoundaryError::Timeout);
            }
            { const auto gone = std::move(*request); }
        }
        EXPECT_EQ(calling.get().error(), BoundaryError::Timeout);
    }
    EXPECT_EQ(client_.stats().timed_out, 2U);
    EXPECT_EQ(client_.stats().canceled, 0U);
}

TEST_P(BoundaryDeadline, AnAcceptedReplyWinsOverTheDeadline) {
    auto calling = call_within(10ms);
    auto request = server_->try_recv();
    {
        StalledShard stalled(handle_, 0);
        clock_.set(clock_.now() + 10ms - 1ns);
        EXPECT_TRUE(request->respond(2).has_value());
        clock_.set(clock_.now() + 1h);
    }
    EXPECT_EQ(calling.get().value(), 2);
    EXPECT_EQ(client_.stats().answered, 1U);
}

TEST_P(BoundaryDeadline, ACallerThatWasStoppedBeforeTheDeadlineLeft) {
    auto calling = call_within(10ms);
    auto request = server_->try_recv();
    calling.request_stop();
    EXPECT_EQ(calling.get().error(), BoundaryError::Canceled);
    EXPECT_TRUE(request->canceled());
    clock_.set(clock_.now() + 1h);
    EXPECT_EQ(request->respond(2).error(), BoundaryError::Canceled) << "as the caller was told";
    EXPECT_EQ(client_.stats().canceled, 1U);
    EXPECT_EQ(client_.stats().timed_out, 0U);
}

TEST_P(BoundaryDeadline, ACallThatWaitsForRoomTimesOut) {
    auto first = client_.try_call(1);
    auto second = client_.try_call(2);
    auto calling = call_within(10ms);
    auto behind = call_within(1h, 4);
    EXPECT_EQ(depth(), 4U);
    advance(10ms);
    EXPECT_EQ(calling.get().error(), BoundaryError::Timeout);
    EXPECT_EQ(depth(), 3U);
    for (const int value : {1, 2, 4}) {
        auto request = server_->try_recv();
        ASSERT_EQ(request->request(), value);
        EXPECT_TRUE(request->respond(value).has_value());
    }
    EXPECT_EQ(behind.get().value(), 4);
}

TEST_P(BoundaryDeadline, ZeroAndLessIsATimeoutAtOnce) {
    for (const auto limit : {0ns, -1ns, std::chrono::nanoseconds::min()}) {
        EXPECT_EQ(client_.call_with_timeout(1, limit).get().error(), BoundaryError::Timeout);
        auto calling = call_within(limit);
        EXPECT_EQ(calling.get().error(), BoundaryError::Timeout);
    }
    EXPECT_EQ(client_.stats().timed_out, 6U);
    EXPECT_EQ(server_->try_recv().error(), std::errc::operation_would_block);
}

TEST_P(BoundaryDeadline, ZeroAndLessIsClosedOnceTheServerIsGone) {
    server_.reset();
    for (const std::chrono::nanoseconds limit : {0ns, -1ns, 10000000ns}) {
        EXPECT_EQ(client_.call_with_timeout(1, limit).get().error(), BoundaryError::Closed);
        auto calling = call_within(limit);
        EXPECT_EQ(calling.get().error(), BoundaryError::Closed);
    }
    EXPECT_EQ(client_.stats().timed_out, 0U);
}

TEST_P(BoundaryDeadline, TheLongestWaitOfARequestIsCounted) {
    auto longer = client_.try_call(1);
    clock_.set(clock_.now() + 3ms);
    auto shorter = client_.try_call(2);
    clock_.set(clock_.now() + 2ms);
    EXPECT_EQ(client_.stats().max_wait, 0ns) << "none has been taken";
    auto first = server_->try_recv();
    EXPECT_EQ(client_.stats().max_wait, 5ms);
    auto second = server_->try_recv();
    EXPECT_EQ(client_.stats().max_wait, 5ms);
    clock_.set(clock_.now() + 1h);
    EXPECT_TRUE(second->respond(2).has_value());
    EXPECT_EQ(client_.stats().max_wait, 5ms) << "after that, it does not wait any more";
}

TEST_P(BoundaryDeadline, AnEndlessLimitIsFarAway) {
    auto forever = call_within(std::chrono::nanoseconds::max());
    EXPECT_GT(server_->try_recv()->deadline(), clock_.now() + 24h * 365 * 100);
    EXPECT_EQ(forever.get().error(), BoundaryError::Canceled);
    auto plain = client_.try_call(1);
    EXPECT_EQ(server_->try_recv()->deadline(), std::nullopt);
    EXPECT_EQ(plain->wait_for(std::chrono::hours::max()).error(), BoundaryError::Canceled);
}

/// A thread waits on the real clock; the virtual one stands still.
TEST_P(BoundaryDeadline, AThreadsCallTimesOut) {
    EXPECT_EQ(client_.call_with_timeout(1, 1ms).get().error(), BoundaryError::Timeout);
    EXPECT_EQ(depth(), 0U);
    EXPECT_EQ(client_.stats().timed_out, 1U);
    auto ticket = client_.try_call(2);
    EXPECT_EQ(ticket->wait_for(1ms).error(), BoundaryError::Timeout);
    EXPECT_EQ(depth(), 0U);
    EXPECT_EQ(client_.stats().canceled, 1U) << "a call without a deadline was left";
}

/// On the real clock, as every wait of a thread. Until the limit the request must have been taken: where the machine
/// did not run that long, another one has twice as long.
TEST_P(BoundaryDeadline, AThreadsTakenCallTimesOut) {
    for (const bool with_ticket : {false, true}) {
        auto request = server_->try_recv();
        for (auto limit = 100ms; !request; limit *= 2) {
            std::thread caller([&] {
                if (with_ticket) {
                    EXPECT_EQ(client_.try_call(1)->wait_for(limit).error(), BoundaryError::Timeout);
                } else {
                    EXPECT_EQ(client_.call_with_timeout(1, limit).get().error(), BoundaryError::Timeout);
                }
            });
            request = server_->recv_timeout(limit).get();
            caller.join();
        }
        EXPECT_TRUE(request->canceled());
        EXPECT_EQ(request->respond(2).error(), with_ticket ? BoundaryError::Canceled : BoundaryError::Timeout);
    }
}

TEST_P(BoundaryDeadline, AnExpiredRequestIsNotGivenToAReceiverThatComesLater) {
    std::vector<JoinHandle<Result<int>>> calling;
    for (int i = 0; i < 3; ++i) {
        calling.push_back(call_within(i == 1 ? 1h : 10ms, i));
    }
    {
        StalledShard stalled(handle_, 0);  // The callers do not leave by themselves.
        clock_.set(clock_.now() + 10ms);
        auto request = server_->recv().get();
        EXPECT_EQ(request->request(), 1);
        EXPECT_TRUE(request->respond(7).has_value());
        EXPECT_EQ(server_->try_recv().error(), std::errc::operation_would_block);
        EXPECT_EQ(depth(), 0U);
    }
    EXPECT_EQ(calling[0].get().error(), BoundaryError::Timeout);
    EXPECT_EQ(calling[1].get().value(), 7);
    EXPECT_EQ(calling[2].get().error(), BoundaryError::Timeout);
}

/// The request was there in time, and given to a task that could not go on in time.
TEST_P(BoundaryDeadline, AnExpiredRequestIsNotGivenToAWokenTaskThatIsLate) {
    auto receiving = receive_within(std::chrono::nanoseconds::max());
    auto other = runtime(1);
    auto call = [client = client_](int value, std::chrono::nanoseconds limit) -> Task<Result<int>> {
        co_return co_await client.call_with_timeout(value, limit);
    };
    JoinHandle<Result<int>> late;
    {
        StalledShard stalled(handle_, 0);
        late = other.handle().spawn_pinned(0, call(1, 10ms));
        finish_step(other.handle(), 0);
        finish_step(other.handle(), 0);
        EXPECT_EQ(depth(), 0U) << "it was given to the task";
        clock_.set(clock_.now() + 10ms);
    }
    EXPECT_EQ(late.get().error(), BoundaryError::Timeout);
    finish_step(handle_, 0);
    EXPECT_FALSE(receiving.done()) << "it waits for the next one";
    EXPECT_EQ(other.handle().spawn_pinned(0, call(2, 10ms)).get().value(), 4);
    EXPECT_EQ(receiving.get(), std::error_code());
    EXPECT_EQ(client_.stats().timed_out, 1U);
}

TEST_P(BoundaryDeadline, AReceiveTimesOut) {
    auto receiving = receive_within(10ms);
    advance(10ms - 1ns);
    EXPECT_FALSE(receiving.done());
    advance(1ns);
    EXPECT_EQ(receiving.get(), BoundaryError::Timeout);
    EXPECT_EQ(server_->recv_timeout(1ms).get().error(), BoundaryError::Timeout);
    EXPECT_EQ(server_->recv_timeout(0ms).get().error(), BoundaryError::Timeout);
    EXPECT_EQ(receive_within(0ms).get(), BoundaryError::Timeout);
    EXPECT_EQ(receive_within(-1ms).get(), BoundaryError::Timeout);
    auto ticket = client_.try_call(1);
    EXPECT_EQ(depth(), 1U) << "nobody receives any more";
}

TEST_P(BoundaryDeadline, AReceiveWithoutTimeTakesWhatIsThere) {
    auto tasks = client_.try_call(1);
    EXPECT_EQ(receive_within(0ms).get(), std::error_code());
    EXPECT_EQ(tasks->get().value(), 2);
    auto threads = client_.try_call(2);
    auto request = server_->recv_timeout(-1ms).get();
    EXPECT_TRUE(request->respond(3).has_value());
    EXPECT_EQ(threads->get().value(), 3);
}

/// It was given before the time was up; the task goes on after it.
TEST_P(BoundaryDeadline, ARequestThatCameInTimeIsNotLost) {
    auto receiving = receive_within(10ms);
    std::optional<Result<Ticket<int>>> ticket;
    {
        StalledShard stalled(handle_, 0);
        ticket.emplace(client_.try_call(1));
        EXPECT_EQ(depth(), 0U);
        clock_.set(clock_.now() + 10ms);
    }
    EXPECT_EQ(receiving.get(), std::error_code());
    EXPECT_EQ((*ticket)->get().value(), 2);
}

/// After 256 others run, and that is not a reason to come back with nothing.
TEST_P(BoundaryDeadline, AReceiveWithoutTimeTakesAThousand) {
    constexpr std::size_t all = 1000;
    auto [client, server] = channel<std::size_t, std::size_t>(all);
    std::vector<Ticket<std::size_t>> tickets;
    for (std::size_t i = 0; i < all; ++i) {
        tickets.push_back(client.try_call(i).value());
    }
    std::atomic<bool> served = false;
    std::vector<JoinHandle<>> others;  // More than run before the shard looks at its timers again.
    for (int i = 0; i < 200; ++i) {
        others.push_back(handle_.spawn_pinned(0, [&served]() -> Task<> {
            while (!served) {
                co_await yield();
            }
        }));
    }
    auto serving = handle_.spawn_pinned(0, [this, server = std::move(server)]() -> Task<std::error_code> {
        for (;;) {
            clock_.set(clock_.now() + 1ms);
            auto request = co_await server.recv_timeout(0ms);
            if (!request) {
                co_return request.error();
            }
            const auto value = request->take();
            static_cast<void>(request->respond(value));
        }
    });
    EXPECT_EQ(serving.get(), BoundaryError::Timeout);
    served = true;
    for (std::size_t i = 0; i < all; ++i) {
        ASSERT_EQ(tickets[i].get(), Result<std::size_t>(i)) << "and not Closed";
    }
    for (auto& other : others) {
        other.get();
    }
}

}  // namespace
}  // namespace spargio::test
