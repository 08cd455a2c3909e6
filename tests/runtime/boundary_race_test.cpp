// SPDX-License-Identifier: MIT
// Two things happen to one call at the same moment: it ends once, and both sides agree how.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "support/backend_test.hpp"
#include "support/boundary_names.hpp"
#include "support/race.hpp"
#include "support/shutdown_checks.hpp"
#include "support/stress.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

/// Who has made the call: a task; a thread that is blocked in it; a thread that has its ticket, and may drop that, or
/// wait for a while.
enum class Caller { Task, BlockedThread, TicketsThread };
enum class Happens { Respond, DestroyRequest, Cancel, Timeout, DropClient, DropServer, CallersShutdown };
/// Destroyed: a shutdown took the caller, which was told nothing.
enum class Outcome { Reply, Timeout, Canceled, Closed, Destroyed };

constexpr Happens all_events[] = {Happens::Respond,        Happens::DestroyRequest, Happens::Cancel,
                                  Happens::Timeout,        Happens::DropClient,     Happens::DropServer,
                                  Happens::CallersShutdown};
constexpr std::size_t outcomes = 5;
using Counts = std::array<unsigned, outcomes>;

/// Two events that happen at the same moment to a call that is queued, or that was taken.
struct Pair {
    Caller caller;
    bool taken;
    Happens first;
    Happens second;

    [[nodiscard]] bool has(Happens event) const { return first == event || second == event; }

    /// A blocked thread does nothing itself, and a ticket is for one thread at a time.
    [[nodiscard]] bool is_possible() const {
        const bool by_caller = has(Happens::Cancel) || has(Happens::Timeout);
        return caller == Caller::Task ||
               (!has(Happens::CallersShutdown) &&
                (caller == Caller::BlockedThread ? !by_caller : !(has(Happens::Cancel) && has(Happens::Timeout))));
    }

    /// How the call ends if that event comes first; nothing: it goes on.
    [[nodiscard]] std::optional<Outcome> ends_by(Happens event) const {
        switch (event) {
        case Happens::Respond:
            return Outcome::Reply;
        case Happens::DestroyRequest:
        case Happens::Cancel:
            return Outcome::Canceled;
        case Happens::Timeout:
            return Outcome::Timeout;
        case Happens::DropServer:
            return taken ? std::nullopt : std::optional(Outcome::Closed);
        case Happens::CallersShutdown:
            return Outcome::Destroyed;
        case Happens::DropClient:
            break;
        }
        return std::nullopt;
    }

    /// Whether each outcome can be; a call that neither event ends is canceled when its request is destroyed.
    [[nodiscard]] std::array<bool, outcomes> may_end() const {
        std::array<bool, outcomes> possible{};
        const auto one = ends_by(first);
        const auto other = ends_by(second);
        possible[static_cast<std::size_t>(one.value_or(other.value_or(Outcome::Canceled)))] = true;
        possible[static_cast<std::size_t>(other.value_or(one.value_or(Outcome::Canceled)))] = true;
        return possible;
    }
};

std::ostream& operator<<(std::ostream& out, const Pair& pair) {
    return out << "caller " << static_cast<int>(pair.caller) << ", events " << static_cast<int>(pair.first) << " and "
               << static_cast<int>(pair.second) << (pair.taken ? ", taken" : ", queued");
}

/// One call, the two things that happen to it, and what both sides say afterwards.
class Round {
public:
    Round(const Pair& pair, std::optional<Runtime>& callers, VirtualClock& clock, Random& random)
        : pair_(pair), callers_(callers), handle_(callers->handle()), clock_(clock), random_(random) {
        auto ends = channel<int, int>(1);
        client_.emplace(std::move(ends.first));
        server_.emplace(std::move(ends.second));
    }

    /// One of the two begins later.
    Outcome run(Rival& rival, std::chrono::nanoseconds first_waits, std::chrono::nanoseconds second_waits) {
        begin();
        if (pair_.taken) {
            request_.emplace(server_->try_recv().value());
        }
        const std::chrono::nanoseconds limit(random_.below(20'000));
        rival.race(
            [&] {
                pause_for(first_waits);
                happen(pair_.first, limit);
            },
            [&] {
                pause_for(second_waits);
                happen(pair_.second, limit);
            });
        // Whatever is left of it ends now.
        request_.reset();
        return finish();
    }

private:
    static constexpr auto deadline = std::chrono::milliseconds(10);  // On the clock that only the event moves on.

    void begin() {
        const auto note = [this](Result<int> reply) { reply_.emplace(std::move(reply)); };
        switch (pair_.caller) {
        case Caller::Task:
            switch (pair_.has(Happens::Timeout) ? 0 : random_.below(3)) {
            case 0:
                task_ = handle_.spawn_stealable(
                    [operation = client_->call_with_timeout(7, deadline), note]() mutable -> Task<> {
                        auto reply = co_await operation;
                        note(std::move(reply));
                    });
                break;
            case 1:
                task_ = handle_.spawn_stealable([operation = client_->call(7), note]() mutable -> Task<> {
                    auto reply = co_await operation;
                    note(std::move(reply));
                });
                break;
            default:
                task_ = handle_.spawn_stealable([ticket = client_->try_call(7).value(), note]() mutable -> Task<> {
                    auto reply = co_await ticket;
                    note(std::move(reply));
                });
                break;
            }
            break;
        case Caller::BlockedThread:
            if (random_.one_in(2)) {
                thread_ = std::thread([note, operation = client_->call(7)]() mutable { note(operation.get()); });
            } else {
                thread_ = std::thread([note, operation = client_->call_with_timeout(
                                                 7, std::chrono::hours(1))]() mutable { note(operation.get()); });
            }
            break;
        case Caller::TicketsThread:
            ticket_.emplace(client_->try_call(7).value());
            break;
        }
        while (client_->stats().depth != 1) {
            std::this_thread::yield();
        }
    }

    void happen(Happens event, std::chrono::nanoseconds limit) {
        switch (event) {
        case Happens::Respond:
            respond();
            break;
        case Happens::DestroyRequest:
            static_cast<void>(take());
            break;
        case Happens::Cancel:
            if (pair_.caller == Caller::Task) {
                task_.request_stop();
            } else {
                ticket_.reset();
            }
            break;
        case Happens::Timeout:
            if (pair_.caller == Caller::Task) {
                clock_.set(clock_.now() + deadline);
                auto look = handle_.spawn_pinned(0, [] {});  // The shard wakes, and looks at the clock.
            } else {
                reply_.emplace(std::exchange(ticket_, std::nullopt)->wait_for(limit));
            }
            break;
        case Happens::DropClient:
            client_.reset();
            break;
        case Happens::DropServer: {
            std::unique_lock lock(mutex_);
            auto gone = std::exchange(server_, std::nullopt);
            lock.unlock();
            break;
        }
        case Happens::CallersShutdown:
            callers_.reset();
            break;
        }
    }

    /// The request is for whoever comes first. So is the server: it may not go while somebody receives.
    [[nodiscard]] std::optional<Request<int, int>> take() {
        const std::lock_guard lock(mutex_);
        if (!request_ && !pair_.taken && server_) {
            if (auto next = server_->try_recv()) {
                request_.emplace(std::move(*next));
            }
        }
        return std::exchange(request_, std::nullopt);
    }

    void respond() {
        auto request = take();
        if (!request) {
            return;
        }
        const auto answered = request->respond(8);
        if (answered) {
            accepted_ = true;
        } else {
            EXPECT_TRUE(answered.error() == BoundaryError::Canceled || answered.error() == BoundaryError::Timeout);
            refusal_ = answered.error();
        }
    }

    Outcome finish() {
        bool destroyed = false;
        if (thread_.joinable()) {
            thread_.join();
        } else if (ticket_) {
            reply_.emplace(ticket_->get());
        } else if (pair_.caller == Caller::Task) {
            const auto joined = code_of(task_);
            destroyed = joined == JoinError::Canceled;
            EXPECT_TRUE(destroyed || !joined) << joined.message();
            EXPECT_EQ(reply_.has_value(), !destroyed);
        }
        if (reply_) {
            EXPECT_EQ(reply_->has_value(), accepted_) << reply_->error().message();
            EXPECT_TRUE(!*reply_ || **reply_ == 8);
            if (refusal_) {
                EXPECT_EQ(told(reply_->error()), refusal_) << "both are told the same";
            }
        }
        std::optional<boundary::Stats> stats;
        if (client_ || server_) {
            stats = client_ ? client_->stats() : server_->stats();
            EXPECT_EQ(stats->calls, 1U);
            EXPECT_EQ(stats->calls, stats->answered + stats->timed_out + stats->canceled + stats->closed);
            EXPECT_EQ(stats->answered, accepted_ ? 1U : 0U);
            EXPECT_EQ(stats->depth, 0U);
        }
        if (destroyed) {
            return Outcome::Destroyed;
        }
        if (!reply_) {  // A dropped ticket: what it would have been told.
            return stats->answered != 0 ? Outcome::Reply : stats->closed != 0 ? Outcome::Closed : Outcome::Canceled;
        }
        if (stats && !*reply_) {
            const auto error = told(reply_->error());
            EXPECT_EQ(stats->timed_out, error == BoundaryError::Timeout ? 1U : 0U);
            EXPECT_EQ(stats->canceled, error == BoundaryError::Canceled ? 1U : 0U);
            EXPECT_EQ(stats->closed, error == BoundaryError::Closed ? 1U : 0U);
        }
        return *reply_                                     ? Outcome::Reply
               : reply_->error() == BoundaryError::Timeout ? Outcome::Timeout
               : reply_->error() == BoundaryError::Closed  ? Outcome::Closed
                                                           : Outcome::Canceled;
    }

    /// For the server, and for the counters: who waited for a ticket long enough has left.
    [[nodiscard]] std::error_code told(std::error_code caller_got) const {
        const bool left = pair_.caller == Caller::TicketsThread && caller_got == BoundaryError::Timeout;
        return left ? BoundaryError::Canceled : caller_got;
    }

    const Pair pair_;
    std::optional<Runtime>& callers_;
    const RuntimeHandle handle_;
    VirtualClock& clock_;
    Random& random_;
    std::optional<IntClient> client_;
    std::mutex mutex_;
    std::optional<IntServer> server_;
    std::optional<Request<int, int>> request_;
    JoinHandle<> task_;
    std::thread thread_;
    std::optional<Ticket<int>> ticket_;
    std::optional<Result<int>> reply_;
    bool accepted_ = false;
    std::error_code refusal_;
};

class BoundaryRace : public BackendTest {
protected:
    void TearDown() override { callers_.reset(); }

    /// How often each outcome was; until each that is possible was, but not for ever.
    [[nodiscard]] Counts race(const Pair& pair) {
        const auto possible = pair.may_end();
        Counts seen{};
        const auto is_missing = [&] {
            for (std::size_t i = 0; i < outcomes; ++i) {
                if (possible[i] && seen[i] == 0) {
                    return true;
                }
            }
            return false;
        };
        for (unsigned round = 0; round < least_ || (is_missing() && round < most); ++round) {
            if (!callers_) {
                callers_.emplace(runtime(1));
            }
            // Now the one and now the other is late, by a quarter of a microsecond or by a hundred, and by more and
            // more on a machine that is busy.
            const auto bits = std::min(8U + random_.below(10) + round / 32, 24U);
            const std::chrono::nanoseconds lead(random_.below(1U << bits));
            const auto none = std::chrono::nanoseconds(0);
            const bool first = round % 2 == 0;
            const auto outcome =
                Round(pair, callers_, clock_, random_).run(rival_, first ? none : lead, first ? lead : none);
            ++seen[static_cast<std::size_t>(outcome)];
            if (round % 512 == 511) {
                watchdog_.progress("round " + std::to_string(round));
            }
            if (HasFailure()) {
                break;
            }
        }
        return seen;
    }

    static constexpr unsigned most = 5'000;
    const unsigned least_ = scaled(16, 4);
    Watchdog watchdog_{"races of a call"};
    Random random_{stress_seed()};
    VirtualClock clock_;
    std::optional<Runtime> callers_;
    Rival rival_;
};
SPARGIO_ON_BOTH_BACKENDS(BoundaryRace);

TEST_P(BoundaryRace, OfAnyTwoEventsHasEachOutcomeThatItCanHaveAndNoOther) {
    for (const Caller caller : {Caller::Task, Caller::BlockedThread, Caller::TicketsThread}) {
        for (const Happens first : all_events) {
            for (const Happens second : all_events) {
                for (const bool taken : {false, true}) {
                    const Pair pair{caller, taken, first, second};
                    if (first >= second || !pair.is_possible()) {
                        continue;
                    }
                    std::ostringstream trace;
                    trace << pair;
                    SCOPED_TRACE(trace.str());
                    const auto seen = race(pair);
                    const auto possible = pair.may_end();
                    for (std::size_t outcome = 0; outcome < outcomes; ++outcome) {
                        ASSERT_EQ(seen[outcome] != 0, possible[outcome]) << "outcome " << outcome;
                    }
                    ASSERT_FALSE(HasFailure());
                    watchdog_.progress(trace.str());
                }
            }
        }
    }
}

}  // namespace
}  // namespace spargio::test
