// SPDX-License-Identifier: MIT
// A deadline, and the end of each other kind of wait: a value that is there wins. Of two ends at once, one wins.
#include <chrono>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "support/backend_test.hpp"
#include "support/shutdown_checks.hpp"
#include "support/small_tasks.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

constexpr auto limit = 5ms;

class TieOfWaits : public BackendTest {
protected:
    /// A task of shard 0 that gives it as much time as `limit`.
    template <class T>
    JoinHandle<Result<T>> within_limit(Task<T> task) {
        auto limited = handle_.spawn_pinned(0, timeout(limit, std::move(task)));
        finish_step(handle_, 0);
        finish_step(handle_, 0);  // A task that it has begun waits, too.
        return limited;
    }

    Watchdog watchdog_{"ties of a deadline"};
    VirtualClock clock_;
    Runtime two_ = runtime(2);
    RuntimeHandle handle_ = two_.handle();
};
SPARGIO_ON_BOTH_BACKENDS(TieOfWaits);

Task<int> number_after_a_sleep(std::chrono::nanoseconds span, int number) {
    static_cast<void>(co_await sleep_for(span));
    co_return number;
}

// The sleep is over at the deadline, so the task is ready.
TEST_P(TieOfWaits, ASleepThatEndsAtTheDeadlineWins) {
    const auto fork = [](std::chrono::nanoseconds span) -> Task<int> {
        const auto both = co_await when_all(number_after_a_sleep(span, 7), number_after_a_sleep(span, 8));
        co_return std::get<0>(both);
    };
    for (const auto begin : {0ns, 1ns, 255ns, 65'535ns}) {
        clock_.set(clock_.now() + begin);
        for (int other = 0; other < 3; ++other) {
            std::vector<JoinHandle<int>> others;  // Due at the same time, before it in the queue or behind it.
            if (other == 1) {
                others.push_back(handle_.spawn_pinned(0, number_after_a_sleep(limit, 1)));
            }
            auto sleeper = within_limit(number_after_a_sleep(limit, 7));
            auto forked = within_limit(fork(limit));
            auto late = within_limit(number_after_a_sleep(limit + 1ns, 7));
            if (other == 2) {
                others.push_back(handle_.spawn_pinned(0, number_after_a_sleep(limit, 1)));
                finish_step(handle_, 0);
            }
            clock_.advance(handle_, limit);
            EXPECT_EQ(sleeper.get(), Result<int>(7)) << begin.count();
            EXPECT_EQ(forked.get(), Result<int>(7)) << begin.count();
            EXPECT_EQ(late.get().error(), std::errc::timed_out) << begin.count();
            for (auto& each : others) {
                EXPECT_EQ(each.get(), 1);
            }
        }
    }
}

// Two limits at the same time, and a sleep: whichever limit is met first, neither is before the sleep.
TEST_P(TieOfWaits, ASleepThatEndsAtTheDeadlineOfTwoWins) {
    auto nested = within_limit(timeout(limit, number_after_a_sleep(limit, 7)));
    auto endless = within_limit(timeout(limit, number_after_a_sleep(never, 7)));
    clock_.advance(handle_, limit);
    EXPECT_EQ(nested.get().value(), Result<int>(7));
    const auto either = endless.get();
    EXPECT_EQ(either ? either->error() : either.error(), std::errc::timed_out);
}

// A shield is no wait that a stop would end; the child under it is ready.
TEST_P(TieOfWaits, AShieldedSleepThatEndsAtTheDeadlineWins) {
    auto shielded = within_limit(without_stop(number_after_a_sleep(limit, 7)));
    clock_.advance(handle_, limit);
    EXPECT_EQ(shielded.get(), Result<int>(7));
}

Task<int> reply_of(boundary::Client<int, int> client) {
    const auto reply = co_await client.call(1);
    co_return reply.value();
}

TEST_P(TieOfWaits, AReplyThatWasAcceptedBeforeTheDeadlineWins) {
    auto [client, server] = boundary::channel<int, int>(4);
    for (const bool in_time : {true, false}) {
        auto calling = within_limit(reply_of(client));
        auto request = server.try_recv();
        StalledShard stalled(handle_, 0);
        if (in_time) {
            EXPECT_TRUE(request->respond(7).has_value());
        }
        clock_.set(clock_.now() + 2 * limit);
        stalled.release();
        if (in_time) {
            EXPECT_EQ(calling.get(), Result<int>(7));
        } else {
            EXPECT_EQ(calling.get().error(), std::errc::timed_out);
            EXPECT_EQ(request->respond(7).error(), BoundaryError::Canceled);
        }
    }
}

// recv() waits in a task of its own, which was handed the request.
TEST_P(TieOfWaits, ARequestThatWasHandedOverBeforeTheDeadlineWins) {
    auto made = boundary::channel<int, int>(4);
    const auto serve = [&server = made.second]() -> Task<int> {
        auto request = co_await server.recv();
        const int value = request.value().take();
        EXPECT_TRUE(request->respond(value).has_value());
        co_return value;
    };
    auto serving = within_limit(serve());
    StalledShard stalled(handle_, 0);
    auto ticket = made.first.try_call(7);
    EXPECT_EQ(made.first.stats().depth, 0U) << "it was handed over";
    clock_.set(clock_.now() + 2 * limit);
    stalled.release();
    EXPECT_EQ(serving.get(), Result<int>(7));
    EXPECT_EQ(ticket->get(), Result<int>(7));
}

Task<int> seven_when_seen(SendTicket ticket) {
    const auto seen = co_await ticket;
    seen.value();
    co_return 7;
}

TEST_P(TieOfWaits, ATicketThatWasGoodBeforeTheDeadlineWins) {
    StalledShard target(handle_, 1);
    auto ticket = handle_.remote(1)->send_raw(1, 1);
    auto waiting = within_limit(seven_when_seen(*std::move(ticket)));
    StalledShard stalled(handle_, 0);
    target.release();
    finish_step(handle_, 1);  // It has seen the message.
    clock_.set(clock_.now() + 2 * limit);
    stalled.release();
    EXPECT_EQ(waiting.get(), Result<int>(7));
}

// Either may win; the other one has been stopped and has ended, and its value is dropped.
TEST_P(TieOfWaits, OneOfTwoSleepsThatEndTogetherWins) {
    EndLog log;
    const auto sleeps = [&log](int number) -> Task<int> {
        const Tracker local(log, std::to_string(number));
        static_cast<void>(co_await sleep_for(limit));
        co_return number;
    };
    for (int round = 0; round < 20; ++round) {
        const auto before = log.size();
        auto task = handle_.spawn_pinned(0, [&]() -> Task<bool> {
            const auto first = co_await when_any(sleeps(0), sleeps(1));
            const int value = first.index == 0 ? std::get<0>(first.value) : std::get<1>(first.value);
            co_return value == static_cast<int>(first.index) && log.size() == before + 2;
        });
        finish_step(handle_, 0);
        finish_step(handle_, 0);
        clock_.advance(handle_, limit);
        EXPECT_TRUE(task.get());
    }
}

// A stop that came before the deadline leaves the task's own result, also if the shard looks at both at once. If the
// deadline has passed, and the shard has not looked, either may win.
TEST_P(TieOfWaits, AStopAndADeadlineHaveOneWinner) {
    for (const bool stop_is_first : {true, false}) {
        const auto sleeps = []() -> Task<Result<int>> {
            const auto slept = co_await sleep_for(never);
            co_await yield();  // The deadline finds it between its stop and its end.
            co_return slept.error();
        };
        auto task = within_limit(sleeps());
        StalledShard stalled(handle_, 0);
        if (stop_is_first) {
            task.request_stop();
        }
        clock_.set(clock_.now() + 2 * limit);
        if (!stop_is_first) {
            task.request_stop();
        }
        stalled.release();
        const auto result = task.get();
        if (stop_is_first || result) {
            EXPECT_EQ(result.value().error(), std::errc::operation_canceled);
        } else {
            EXPECT_EQ(result.error(), std::errc::timed_out);
        }
    }
    EXPECT_EQ(handle_.stats_snapshot().tasks_live, 0U);
}

}  // namespace
}  // namespace spargio::test
