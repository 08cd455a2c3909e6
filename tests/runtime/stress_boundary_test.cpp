// SPDX-License-Identifier: MIT
// Calls across the boundary at random: both sides agree how each ended, and nothing is left of any.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/boundary_names.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"
#include "support/suspend_delays.hpp"

namespace spargio::test {
namespace {

/// What both sides of a call note. In the world's array, so that whoever is late still finds it.
struct Record {
    std::atomic<int> resolved{0};  // By the caller's side: with a reply or an error.
    std::atomic<bool> has_reply{false};
    std::atomic<bool> overloaded{false};
    std::atomic<bool> forgotten{false};  // The caller did not look, or was destroyed: a reply may be lost.
    std::atomic<int> accepted{0};        // respond() gave Ok.
    std::atomic<int> taken{0};
};

std::atomic<std::int64_t> live_payloads = 0;

/// Move-only, counted, and it knows whether it is still whole.
class Payload {
public:
    explicit Payload(Record* record) : record_(record), check_(std::make_unique<std::uint64_t>(magic)) {
        ++live_payloads;
    }
    Payload(Payload&& other) noexcept : record_(other.record_), check_(std::move(other.check_)) { ++live_payloads; }
    Payload(const Payload&) = delete;
    Payload& operator=(const Payload&) = delete;
    Payload& operator=(Payload&&) = delete;
    ~Payload() { --live_payloads; }

    [[nodiscard]] Record& record() const {
        EXPECT_EQ(*check_, magic);
        return *record_;
    }

private:
    static constexpr std::uint64_t magic = 0x5AFE5AFE5AFE5AFEULL;

    Record* record_;
    std::unique_ptr<std::uint64_t> check_;
};

using StressClient = Client<Payload, Payload>;
using StressServer = Server<Payload, Payload>;
using StressRequest = Request<Payload, Payload>;

void resolve(Record& record, const Result<Payload>& reply) {
    ++record.resolved;
    if (reply) {
        EXPECT_EQ(&reply->record(), &record);
        record.has_reply = true;
        return;
    }
    const auto error = reply.error();
    record.overloaded = error == BoundaryError::Overloaded;
    EXPECT_TRUE(error == BoundaryError::Canceled || error == BoundaryError::Timeout ||
                error == BoundaryError::Overloaded || error == BoundaryError::Closed)
        << error.message();
}

/// Notes what becomes of a call whose task may be destroyed in it.
class Pending {
public:
    explicit Pending(Record& record) : record_(&record) {}
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() {
        if (record_ != nullptr) {
            ++record_->resolved;
            record_->forgotten = true;
        }
    }
    void end(const Result<Payload>& reply) { resolve(*std::exchange(record_, nullptr), reply); }

private:
    Record* record_;
};

/// One round: runtimes, channels, callers and servers of every kind.
class CallWorld {
public:
    /// A server leaves after so many requests, on average.
    CallWorld(BackendKind backend, std::uint64_t seed, std::size_t calls, std::uint32_t leaves_after,
              boundary::Stats& ends)
        : random_(seed), leaves_after_(leaves_after), ends_(ends), records_(calls) {
        for (int i = 0; i < 2; ++i) {
            runtimes_.emplace_back(RuntimeBuilder().shards(2).backend(backend).build());
            handles_.push_back(runtimes_.back()->handle());
        }
        for (int i = 0; i < 2; ++i) {
            auto [client, server] = channel<Payload, Payload>(random_.below(8));
            clients_.push_back(std::move(client));
            servers_.push_back(std::make_shared<StressServer>(std::move(server)));
        }
    }

    void run() {
        std::vector<std::thread> threads;
        std::vector<JoinHandle<>> tasks;
        for (auto& server : servers_) {
            for (int i = 0; i < 2; ++i) {
                tasks.push_back(any_runtime().spawn_with_placement(place(), serve(*this, server, random_.next())));
            }
            threads.emplace_back([this, server, seed = random_.next()]() mutable { serve_here(server, seed); });
        }
        servers_.clear();  // A channel closes when the last who serves it goes.
        for (int i = 0; i < 2; ++i) {
            for (auto& client : clients_) {
                tasks.push_back(any_runtime().spawn_with_placement(place(), call(*this, client, random_.next())));
                threads.emplace_back([this, client, seed = random_.next()] { call_here(client, seed); });
            }
        }
        const StressClient watched[] = {clients_[0], clients_[1]};
        clients_.clear();
        if (random_.one_in(2)) {
            spin_for(std::chrono::nanoseconds(random_.below(3'000'000)));
            tasks[random_.below(static_cast<std::uint32_t>(tasks.size()))].request_stop();
            if (random_.one_in(2)) {
                runtimes_[random_.below(2)].reset();
            }
        }
        while (callers_ != 0 && next_ < records_.size()) {
            std::this_thread::yield();
        }
        // Whoever still waits in a call gets it now: servers end.
        enough_ = true;
        for (auto& task : tasks) {
            task.request_stop();
        }
        for (auto& thread : threads) {
            thread.join();
        }
        runtimes_.clear();
        tasks.clear();
        check(watched);
    }

    /// Calls, after run().
    [[nodiscard]] std::size_t begun() const { return std::min<std::size_t>(next_, records_.size()); }

private:
    [[nodiscard]] const RuntimeHandle& any_runtime() { return handles_[random_.below(2)]; }
    [[nodiscard]] TaskPlacement place() {
        return random_.one_in(2) ? TaskPlacement::stealable()
                                 : TaskPlacement::pinned(static_cast<ShardId>(random_.below(2)));
    }
    [[nodiscard]] Record* next_record() {
        const auto next = next_++;
        return next < records_.size() ? &records_[next] : nullptr;
    }
    static std::chrono::nanoseconds some_time(Random& random) {
        return std::chrono::nanoseconds(random.one_in(3) ? 1'000'000'000 : random.below(60'000));
    }

    /// Counts itself as a caller while it lives, wherever it ends.
    class Caller {
    public:
        explicit Caller(CallWorld& world) : world_(world) { ++world_.callers_; }
        Caller(const Caller&) = delete;
        Caller& operator=(const Caller&) = delete;
        ~Caller() { --world_.callers_; }

    private:
        CallWorld& world_;
    };

    static Task<> call(CallWorld& world, StressClient client, std::uint64_t seed) {
        const Caller caller(world);
        Random random(seed);
        const std::stop_token stop = co_await this_task::stop_token();
        for (;;) {
            Record* record = stop.stop_requested() ? nullptr : world.next_record();
            if (record == nullptr) {
                co_return;
            }
            Pending pending(*record);
            switch (random.below(4)) {
            case 0: {
                const auto reply = co_await client.call(Payload(record));
                pending.end(reply);
                break;
            }
            case 1: {
                const auto limit = some_time(random);
                const auto reply = co_await client.call_with_timeout(Payload(record), limit);
                pending.end(reply);
                break;
            }
            default: {
                auto ticket = client.try_call(Payload(record));
                if (!ticket) {
                    pending.end(ticket.error());
                    co_await yield();
                } else if (random.one_in(3)) {
                    spin_for(std::chrono::nanoseconds(random.below(5'000)));
                    break;  // Forgotten.
                } else {
                    const auto reply = co_await *ticket;
                    pending.end(reply);
                }
            }
            }
        }
    }

    void call_here(const StressClient& client, std::uint64_t seed) {
        const Caller caller(*this);
        Random random(seed);
        while (Record* record = next_record()) {
            Pending pending(*record);
            switch (random.below(4)) {
            case 0:
                pending.end(client.call(Payload(record)).get());
                break;
            case 1:
                pending.end(client.call_with_timeout(Payload(record), some_time(random)).get());
                break;
            default: {
                auto ticket = client.try_call(Payload(record));
                if (!ticket) {
                    pending.end(ticket.error());
                } else if (random.one_in(3)) {
                    spin_for(std::chrono::nanoseconds(random.below(5'000)));
                } else if (random.one_in(2)) {
                    pending.end(ticket->wait_for(some_time(random)));
                } else {
                    pending.end(ticket->get());
                }
            }
            }
        }
    }

    static void answer(std::optional<StressRequest>& kept, StressRequest request, Random& random) {
        ++request.request().record().taken;
        if (random.one_in(8)) {
            return;
        }
        if (random.one_in(8)) {
            kept.reset();
            kept.emplace(std::move(request));  // Answered by nobody, later: when the next one comes, or none does.
            return;
        }
        if (random.one_in(4)) {
            spin_for(std::chrono::nanoseconds(random.below(20'000)));
        }
        Record& record = request.request().record();
        const bool take_first = random.one_in(2);
        std::optional<Payload> taken;
        if (take_first) {
            taken.emplace(request.take());
        }
        const auto done = request.respond(Payload(&record));
        if (done) {
            ++record.accepted;
        } else {
            EXPECT_TRUE(done.error() == BoundaryError::Canceled || done.error() == BoundaryError::Timeout);
        }
    }

    static Task<> serve(CallWorld& world, std::shared_ptr<StressServer> server, std::uint64_t seed) {
        Random random(seed);
        std::optional<StressRequest> kept;
        while (!world.enough_) {
            // All callers may be waiting for requests that are kept.
            const auto limit = kept ? std::chrono::nanoseconds(random.below(200'000)) : some_time(random);
            const bool limited = kept || random.one_in(4);
            auto receive = limited ? server->recv_timeout(limit) : server->recv();
            auto request = co_await receive;
            if (request) {
                answer(kept, std::move(*request), random);
            } else if (request.error() == BoundaryError::Timeout) {
                kept.reset();
            } else {
                break;
            }
            if (random.one_in(world.leaves_after_)) {
                break;
            }
        }
    }

    void serve_here(std::shared_ptr<StressServer>& server, std::uint64_t seed) {
        Random random(seed);
        std::optional<StressRequest> kept;
        while (!enough_) {
            auto request = random.one_in(8)
                               ? server->try_recv()
                               : server->recv_timeout(std::chrono::nanoseconds(random.below(200'000))).get();
            if (request) {
                answer(kept, std::move(*request), random);
            } else if (request.error() == BoundaryError::Closed) {
                break;
            } else {
                kept.reset();
            }
            if (random.one_in(leaves_after_)) {
                break;
            }
        }
        server.reset();
    }

    static void add(const boundary::Stats& some, boundary::Stats& sum) {
        sum.calls += some.calls;
        sum.answered += some.answered;
        sum.overloaded += some.overloaded;
        sum.timed_out += some.timed_out;
        sum.canceled += some.canceled;
        sum.closed += some.closed;
    }

    void check(const StressClient (&watched)[2]) {
        boundary::Stats noted{};
        for (std::size_t i = 0; i < begun(); ++i) {
            const Record& record = records_[i];
            ASSERT_EQ(record.resolved, 1) << "call " << i;
            ASSERT_LE(record.taken, 1);
            ASSERT_LE(record.accepted, 1);
            if (!record.forgotten) {
                ASSERT_EQ(record.accepted == 1, record.has_reply.load()) << "call " << i;
            }
            noted.answered += static_cast<std::uint64_t>(record.accepted);
            noted.overloaded += record.overloaded ? 1 : 0;
        }
        boundary::Stats counted{};
        for (const auto& client : watched) {
            const auto stats = client.stats();
            EXPECT_EQ(stats.calls, stats.answered + stats.overloaded + stats.timed_out + stats.canceled + stats.closed);
            EXPECT_EQ(stats.depth, 0U);
            add(stats, counted);
        }
        EXPECT_EQ(counted.answered, noted.answered);
        EXPECT_EQ(counted.overloaded, noted.overloaded);
        EXPECT_LE(counted.calls, begun()) << "less those of tasks that a stop had reached";
        add(counted, ends_);
        for (const auto& handle : handles_) {
            EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
            EXPECT_EQ(handle.stats_snapshot().late_wakes, 0U);
        }
    }

    Random random_;
    const std::uint32_t leaves_after_;
    boundary::Stats& ends_;  // Of all channels.
    std::vector<Record> records_;
    std::atomic<std::size_t> next_ = 0;
    std::atomic<int> callers_ = 0;
    std::atomic<bool> enough_ = false;
    std::vector<std::optional<Runtime>> runtimes_;
    std::vector<RuntimeHandle> handles_;
    std::vector<StressClient> clients_;
    std::vector<std::shared_ptr<StressServer>> servers_;
};

class StressBoundary : public BackendTest {
protected:
    const SuspendDelays delays_;
    Watchdog watchdog_{"calls at random"};
};
SPARGIO_ON_BOTH_BACKENDS(StressBoundary);

/// SPARGIO_TEST_LONGER=10: a million calls on each backend, without a sanitizer.
TEST_P(StressBoundary, BothSidesAgreeHowEachCallEnded) {
    const unsigned rounds = scaled(100, 40);
    constexpr std::size_t calls = 1'000;
    boundary::Stats ends{};
    for (unsigned round = 0; round < rounds; ++round) {
        // In every fourth round channels close long before its end.
        CallWorld world(GetParam(), stress_seed() + round, calls, round % 4 == 0 ? 50 : 1'000, ends);
        world.run();
        ASSERT_EQ(world.begun(), calls);
        ASSERT_FALSE(HasFatalFailure());
        ASSERT_EQ(live_payloads.load(), 0);
        watchdog_.progress("round " + std::to_string(round));
    }
    // The mix has everything.
    EXPECT_GT(ends.answered, rounds * calls / 100);
    for (const auto count : {ends.overloaded, ends.timed_out, ends.canceled, ends.closed}) {
        EXPECT_GT(count, 0U);
    }
}

}  // namespace
}  // namespace spargio::test
