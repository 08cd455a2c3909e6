// SPDX-License-Identifier: MIT
// Each row of the state table of a call: it ends as the row says, for its caller, its server and the counters.
#include <chrono>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "boundary_states.hpp"
#include "support/backend_test.hpp"
#include "support/boundary_names.hpp"
#include "support/event.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

/// Where a server and its request live: in a task's frame, or in the test's.
struct ServingEnd {
    std::optional<Server<int, int>> server;
    std::optional<Request<int, int>> request;
};

enum class CalledBy { Task, Thread };

/// A thread leaves by a time-out: boundary_deadline_test.cpp.
[[nodiscard]] bool concerns(CalledBy caller, const StateRow& row) {
    return caller == CalledBy::Task ||
           (row.state != State::TimedOut && row.state != State::Left && row.state != State::Late &&
            row.then != Then::Stop && row.then != Then::Deadline && row.then != Then::CallersShutdown);
}

class BoundaryStates : public BackendTest {
protected:
    void TearDown() override { callers_.reset(); }

    void run(CalledBy caller, const StateRow& row) {
        if (!callers_) {
            callers_.emplace(runtime(1));
        }
        begin(caller, row.state);
        EXPECT_EQ(can(row.then), row.ends.has_value());
        if (row.ends && can(row.then)) {
            happen(row);
            go_on(*row.ends);
        }
        check(row);
    }

private:
    static constexpr auto limit = std::chrono::milliseconds(10);

    [[nodiscard]] RuntimeHandle handle() const { return callers_->handle(); }
    [[nodiscard]] boundary::Stats stats() const { return client_ ? client_->stats() : side_.server->stats(); }
    void take() { side_.request.emplace(side_.server->try_recv().value()); }
    /// The caller does not go on for now, if it is a task.
    void stall() { stalled_.emplace(handle(), ShardId{0}); }

    void begin(CalledBy caller, State state) {
        auto ends = channel<int, int>(1);
        client_.emplace(std::move(ends.first));
        side_.server.emplace(std::move(ends.second));
        if (state == State::WaitsForRoom) {
            before_.emplace(client_->try_call(0).value());
        }
        const auto depth = stats().depth;
        if (caller == CalledBy::Task) {
            calling_ = handle().spawn_pinned(
                0, [operation = client_->call_with_timeout(1, limit)]() mutable -> Task<Result<int>> {
                    co_return co_await operation;
                });
        } else if (state == State::Queued || state == State::WaitsForRoom || state == State::Taken) {
            thread_ = std::thread([this, operation = client_->call(1)]() mutable { got_ = operation.get(); });
        } else {
            ticket_.emplace(client_->try_call(1).value());
        }
        while (stats().depth == depth) {
            std::this_thread::yield();
        }
        finish_step(handle(), 0);
        bring_to(state);
        for (const CallEnd end : call_ends) {
            EXPECT_EQ(counted_as(end, stats()), state == state_after(end) ? 1U : 0U);
        }
        EXPECT_EQ(side_.request && side_.request->canceled(), state == State::Left || state == State::Late);
    }

    void bring_to(State state) {
        switch (state) {
        case State::Queued:
        case State::WaitsForRoom:
        case State::Count:
            break;
        case State::Taken:
            take();
            break;
        case State::Answered:
            take();
            stall();
            EXPECT_TRUE(side_.request->respond(7).has_value());
            answered_ = true;
            break;
        case State::TimedOut:
            stall();
            clock_.set(clock_.now() + limit);
            EXPECT_EQ(side_.server->try_recv().error(), std::errc::operation_would_block);
            break;
        case State::Canceled:
            take();
            stall();
            side_.request.reset();
            break;
        case State::Closed:
            stall();
            side_.server.reset();
            break;
        case State::Left:
            take();
            calling_.request_stop();
            finish_step(handle(), 0);
            break;
        case State::Late:
            take();
            clock_.advance(handle(), limit);
            break;
        }
    }

    [[nodiscard]] bool can(Then then) const {
        switch (then) {
        case Then::Take:
        case Then::DropServer:
            return side_.server.has_value();
        case Then::Answer:
            return side_.request && !answered_;
        case Then::DestroyRequest:
            return side_.request.has_value();
        case Then::ServersShutdown:
            return side_.server || side_.request;
        default:
            return true;
        }
    }

    void happen(const StateRow& row) {
        switch (row.then) {
        case Then::Take: {
            auto next = side_.server->try_recv();
            EXPECT_EQ(next.has_value(), row.state == State::Queued || row.state == State::WaitsForRoom);
            if (row.state == State::Queued) {
                side_.request.emplace(std::move(*next));
            }  // Else it was the one in front, and is destroyed.
            break;
        }
        case Then::Answer:
            EXPECT_EQ(side_.request->respond(7).error(), detail::call_error(*row.ends));
            answered_ = true;
            break;
        case Then::DestroyRequest:
            side_.request.reset();
            break;
        case Then::DropServer:
            side_.server.reset();
            break;
        case Then::DropLastClient:
            client_.reset();
            break;
        case Then::Stop:
            calling_.request_stop();
            break;
        case Then::Deadline:
            clock_.set(clock_.now() + limit);
            break;
        case Then::CallersShutdown:
            if (stalled_) {
                stalled_->shut_down(*callers_);
                stalled_.reset();
            }
            callers_.reset();
            break;
        case Then::ServersShutdown: {
            auto servers = runtime(1);
            Event never;
            auto holding = servers.handle().spawn_pinned(
                0, [&never, side = std::exchange(side_, {})]() -> Task<> { co_await never.async_wait(); });
            finish_step(servers.handle(), 0);
            servers.shutdown();
            break;
        }
        case Then::Count:
            break;
        }
    }

    /// The caller goes on. A call that has not ended is answered; what has ended otherwise cannot be any more.
    void go_on(CallEnd ends) {
        stalled_.reset();
        if (callers_) {
            clock_.settle(handle());
        }
        if (ends == CallEnd::Answered && !side_.request && !answered_) {
            if (before_) {
                static_cast<void>(before_->wait_for(std::chrono::nanoseconds(0)));
                counted_before_ = CallEnd::Canceled;
                before_.reset();
            }
            take();
        }
        if (side_.request && !answered_) {
            EXPECT_EQ(side_.request->respond(7).error(), detail::call_error(ends));
        }
    }

    void check(const StateRow& row) {
        answered_ = false;
        stalled_.reset();
        side_.request.reset();
        if (before_) {
            const auto reply = before_->wait_for(std::chrono::nanoseconds(0));
            counted_before_ = reply.error() == BoundaryError::Closed ? CallEnd::Closed : CallEnd::Canceled;
            before_.reset();
        }
        std::optional<boundary::Stats> counted;
        if (client_ || side_.server) {
            counted = stats();
        }
        side_.server.reset();
        const auto got = result();
        client_.reset();
        const auto before = std::exchange(counted_before_, std::nullopt);
        if (!row.ends) {
            return;
        }
        if (row.then == Then::CallersShutdown && row.state != State::Left && row.state != State::Late) {
            EXPECT_EQ(got.error(), JoinError::Canceled) << "the task was destroyed";
        } else {
            EXPECT_EQ(got.error(), detail::call_error(*row.ends));
        }
        EXPECT_TRUE(!got || *got == 7);
        if (!counted) {
            return;  // Both ends have gone with their counters.
        }
        for (const CallEnd end : call_ends) {
            EXPECT_EQ(counted_as(end, *counted), (row.ends == end ? 1U : 0U) + (before == end ? 1U : 0U));
        }
        EXPECT_EQ(counted->calls, before ? 2U : 1U);
        EXPECT_EQ(counted->overloaded, 0U);
        EXPECT_EQ(counted->depth, 0U);
    }

    /// What the caller got.
    [[nodiscard]] Result<int> result() {
        if (thread_.joinable()) {
            thread_.join();
            return got_;
        }
        if (ticket_) {
            return std::exchange(ticket_, std::nullopt)->get();
        }
        try {
            return calling_.get();
        } catch (const std::system_error& error) {
            return error.code();
        }
    }

    Watchdog watchdog_{"the states of a call"};
    VirtualClock clock_;
    std::optional<Runtime> callers_;
    std::optional<Client<int, int>> client_;
    ServingEnd side_;
    bool answered_ = false;
    std::optional<Ticket<int>> before_;  // The call in front of one that waits for room.
    std::optional<CallEnd> counted_before_;
    JoinHandle<Result<int>> calling_;
    std::thread thread_;
    std::optional<Ticket<int>> ticket_;
    Result<int> got_ = 0;
    std::optional<StalledShard> stalled_;
};
SPARGIO_ON_BOTH_BACKENDS(BoundaryStates);

TEST_P(BoundaryStates, EachEventInEachState) {
    for (const CalledBy caller : {CalledBy::Task, CalledBy::Thread}) {
        for (const StateRow& row : state_rows) {
            if (!concerns(caller, row)) {
                continue;
            }
            SCOPED_TRACE("state " + std::to_string(static_cast<int>(row.state)) + ", event " +
                         std::to_string(static_cast<int>(row.then)) +
                         (caller == CalledBy::Task ? ", a task" : ", a thread"));
            run(caller, row);
            ASSERT_FALSE(HasFatalFailure());
        }
    }
}

}  // namespace
}  // namespace spargio::test
