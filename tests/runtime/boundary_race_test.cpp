// SPDX-License-Identifier: MIT
// Two things happen to one call at the same moment: it ends once, and both sides agree how.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

using boundary::channel;
using boundary::Client;
using boundary::Request;
using boundary::Server;
using boundary::Ticket;

using IntClient = Client<int, int>;
using IntServer = Server<int, int>;

class BoundaryRace : public BackendTest {
protected:
    Watchdog watchdog_{"races of a call"};
};
SPARGIO_ON_BOTH_BACKENDS(BoundaryRace);

enum class Caller { Task, TaskWithLimit, TaskWithTicket, Thread, ThreadWithLimit, Dropped };
enum class Happens { Answer, TakeAndAnswer, TakeAndDestroy, DropServer, Stop, CallersShutdown };

constexpr std::uint32_t caller_kinds = 6;
constexpr std::uint32_t event_kinds = 6;

/// One call, the two things that happen to it, and what both sides say afterwards.
class Round {
public:
    Round(BackendKind backend, std::optional<Runtime>& callers, std::uint64_t seed)
        : backend_(backend), callers_(callers), random_(seed), made_(channel<int, int>(1)) {
        server_.emplace(std::move(made_.second));
        caller_ = static_cast<Caller>(random_.below(caller_kinds));
    }

    void run() {
        const bool taken = random_.one_in(2);
        const std::uint32_t first = random_.below(event_kinds);
        const std::uint32_t second = (first + 1 + random_.below(event_kinds - 1)) % event_kinds;
        SCOPED_TRACE("caller " + std::to_string(static_cast<int>(caller_)) + ", events " + std::to_string(first) +
                     " and " + std::to_string(second) + (taken ? ", taken" : ", queued"));
        begin();
        if (taken) {
            if (auto request = server_->try_recv()) {
                request_.emplace(std::move(*request));
            }
        }
        Latch together(2);
        std::thread other([&, delay = random_.below(8'000)] {
            together.arrive_and_wait();
            spin_for(std::chrono::nanoseconds(delay));
            happen(static_cast<Happens>(second));
        });
        together.arrive_and_wait();
        spin_for(std::chrono::nanoseconds(random_.below(8'000)));
        happen(static_cast<Happens>(first));
        other.join();
        // Whatever is left of it ends now.
        request_.reset();
        server_.reset();
        finish();
        if (!callers_) {
            callers_.emplace(RuntimeBuilder().shards(1).backend(backend_).build());
        }
    }

private:
    void begin() {
        const std::chrono::nanoseconds limit(random_.below(40'000));
        const auto note = [this](Result<int> reply) { reply_.emplace(std::move(reply)); };
        const auto depth_is = [this](std::size_t depth) {
            while (made_.first.stats().depth != depth) {
                std::this_thread::yield();
            }
        };
        switch (caller_) {
        case Caller::Task:
            task_ = callers_->handle().spawn_stealable([client = made_.first, note]() -> Task<> {
                auto reply = co_await client.call(7);
                note(std::move(reply));
            });
            depth_is(1);
            break;
        case Caller::TaskWithLimit:
            task_ = callers_->handle().spawn_stealable([client = made_.first, note, limit]() -> Task<> {
                auto reply = co_await client.call_with_timeout(7, limit);
                note(std::move(reply));
            });
            break;
        case Caller::TaskWithTicket:
            task_ = callers_->handle().spawn_stealable(
                [ticket = made_.first.try_call(7).value(), note]() mutable -> Task<> {
                    auto reply = co_await ticket;
                    note(std::move(reply));
                });
            break;
        case Caller::Thread:
            thread_ = std::thread([this, note] { note(made_.first.call(7).get()); });
            depth_is(1);
            break;
        case Caller::ThreadWithLimit:
            thread_ = std::thread([this, note, limit] { note(made_.first.call_with_timeout(7, limit).get()); });
            break;
        case Caller::Dropped:
            ticket_.emplace(made_.first.try_call(7).value());
            thread_ = std::thread([this, limit] {
                spin_for(limit / 4);
                ticket_.reset();
            });
            break;
        }
    }

    /// The server and the request are those of whoever comes first.
    void happen(Happens event) {
        if (event == Happens::Stop || event == Happens::CallersShutdown) {
            if (thread_.joinable()) {
                return;
            }
            if (event == Happens::Stop) {
                task_.request_stop();
            } else {
                callers_.reset();
            }
            return;
        }
        std::unique_lock lock(mutex_);
        if (event == Happens::DropServer) {
            auto gone = std::exchange(server_, std::nullopt);
            lock.unlock();
            gone.reset();
            return;
        }
        auto request = std::exchange(request_, std::nullopt);
        if (!request && event != Happens::Answer && server_) {
            if (auto taken = server_->try_recv()) {
                request.emplace(std::move(*taken));
            }
        }
        lock.unlock();
        if (!request || event == Happens::TakeAndDestroy) {
            return;
        }
        const auto answered = request->respond(8);
        if (answered) {
            ++accepted_;
        } else {
            EXPECT_TRUE(answered.error() == BoundaryError::Canceled || answered.error() == BoundaryError::Timeout);
            refusal_ = answered.error();
        }
    }

    void finish() {
        bool destroyed = false;
        if (thread_.joinable()) {
            thread_.join();
            destroyed = caller_ == Caller::Dropped;
        } else {
            const auto joined = code_of(task_);
            destroyed = joined == JoinError::Canceled;
            EXPECT_TRUE(destroyed || !joined) << joined.message();
        }
        EXPECT_EQ(reply_.has_value(), !destroyed);
        EXPECT_LE(accepted_, 1);
        if (reply_) {
            EXPECT_EQ(reply_->has_value(), accepted_ == 1) << reply_->error().message();
            EXPECT_TRUE(!*reply_ || **reply_ == 8);
            if (refusal_) {
                EXPECT_EQ(reply_->error(), refusal_) << "both are told the same";
            }
        }
        const auto stats = made_.first.stats();
        EXPECT_LE(stats.calls, 1U);
        EXPECT_EQ(stats.calls, stats.answered + stats.timed_out + stats.canceled + stats.closed);
        EXPECT_EQ(stats.answered, static_cast<std::uint64_t>(accepted_));
        EXPECT_EQ(stats.depth, 0U);
    }

    static std::error_code code_of(JoinHandle<>& task) {
        try {
            task.get();
        } catch (const std::system_error& error) {
            return error.code();
        }
        return {};
    }

    const BackendKind backend_;
    std::optional<Runtime>& callers_;
    Random random_;
    std::pair<IntClient, IntServer> made_;
    std::optional<IntServer> server_;
    std::optional<Request<int, int>> request_;
    std::mutex mutex_;
    Caller caller_;
    JoinHandle<> task_;
    std::thread thread_;
    std::optional<Ticket<int>> ticket_;
    std::optional<Result<int>> reply_;
    std::atomic<int> accepted_ = 0;
    std::error_code refusal_;
};

TEST_P(BoundaryRace, OfAnyTwoEventsEndsTheCallOnce) {
    const unsigned rounds = scaled(2'000, 500);
    std::optional<Runtime> callers = runtime(1);
    for (unsigned round = 0; round < rounds; ++round) {
        Round(GetParam(), callers, stress_seed() + round).run();
        ASSERT_FALSE(HasFailure()) << "round " << round;
        if (round % 100 == 0) {
            watchdog_.progress("round " + std::to_string(round));
        }
    }
}

/// The time of a receiving thread is up when a request comes: it has it, or the request is still queued.
TEST(BoundaryRaceOfThreads, ARequestThatMeetsATimeOutIsNotLost) {
    const unsigned rounds = scaled(15'000, 1'500);
    Random random(stress_seed());
    auto [client, server] = channel<int, int>(1);
    for (unsigned round = 0; round < rounds; ++round) {
        Latch together(2);
        bool received = false;
        std::thread receiver([&, &server = server, limit = std::chrono::nanoseconds(random.below(30'000))] {
            together.arrive_and_wait();
            received = server.recv_timeout(limit).get().has_value();
        });
        together.arrive_and_wait();
        spin_for(std::chrono::nanoseconds(random.below(120'000)));
        auto ticket = client.try_call(1);
        receiver.join();
        ASSERT_EQ(client.stats().depth, received ? 0U : 1U) << "round " << round;
    }
}

}  // namespace
}  // namespace spargio::test
