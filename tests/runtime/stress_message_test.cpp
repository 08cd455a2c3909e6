// SPDX-License-Identifier: MIT
// Messages of everybody to everybody: all that is accepted arrives, in order, or is accounted for when the runtime
// ends.
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "support/backend_test.hpp"
#include "support/message_traffic.hpp"
#include "support/race.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

/// A runtime of any shape.
RuntimeBuilder any_builder(BackendKind backend, std::size_t shards, Random& random, std::string& shape) {
    const auto capacity = 1 + random.below(random.one_in(3) ? 4 : 64);
    const auto entries = 1 + random.below(256);
    const bool spins = random.one_in(2);
    RuntimeBuilder builder;
    builder.shards(shards).backend(backend).msg_ring_queue_capacity(capacity).ring_entries(entries);
    if (!spins) {
        builder.idle_spin(0us);
    }
    shape = std::to_string(shards) + " shards, capacity " + std::to_string(capacity) + ", " + std::to_string(entries) +
            " entries" + (spins ? "" : ", no spin");
    return builder;
}

struct Limits {
    unsigned configurations;
    std::uint64_t messages;  // Of each configuration.
    bool naps;
    std::optional<std::chrono::milliseconds> time;  // Of each. Without it all messages are sent.
};

void all_arrive(BackendKind backend, const Limits& limits, Watchdog& watchdog) {
    Random random(stress_seed());
    for (unsigned i = 0; i < limits.configurations; ++i) {
        const std::size_t shards = 2 + random.below(7);
        const auto threads = 1 + random.below(2);
        std::string shape;
        Runtime runtime = any_builder(backend, shards, random, shape).build();
        SCOPED_TRACE(shape);
        watchdog.progress(shape);
        const bool naps = limits.naps || random.one_in(2);
        MessageTraffic traffic(runtime, {shards, threads, 1 + limits.messages / (shards + threads),
                                         limits.time.value_or(24h), naps, random.next()});
        traffic.finish();
        EXPECT_EQ(traffic.verdict(), "");
        const auto stats = runtime.handle().stats_snapshot();
        EXPECT_EQ(stats.ring_msgs_submitted, traffic.accepted());
        EXPECT_EQ(stats.ring_msgs_completed, traffic.accepted());
        EXPECT_EQ(stats.ring_msgs_backpressure, traffic.refused());
        EXPECT_EQ(stats.ring_msgs_failed, 0U);
        EXPECT_EQ(stats.late_wakes, 0U) << to_string(stats);
        std::printf("%s: %llu accepted, %llu refused, %llu parks, %llu bells\n", shape.c_str(),
                    static_cast<unsigned long long>(traffic.accepted()),
                    static_cast<unsigned long long>(traffic.refused()), static_cast<unsigned long long>(stats.parks),
                    static_cast<unsigned long long>(stats.doorbells_rung));
        // The limit of time is for machines with much other work.
        EXPECT_GE(traffic.accepted(), limits.time ? limits.messages / 10 : limits.messages);
        if (::testing::Test::HasFailure()) {
            return;
        }
    }
}

/// Shut down in the middle of it, until some have met a message on its way: on a busy CPU, many come before the first.
void end_at_random_moments(BackendKind backend, unsigned rounds, Watchdog& watchdog) {
    Random random(stress_seed());
    std::uint64_t failed = 0;
    for (unsigned round = 0; round < rounds || failed == 0; ++round) {
        const std::size_t shards = 1 + random.below(4);
        const auto threads = 1 + random.below(2);
        std::string shape;
        Runtime runtime = any_builder(backend, shards, random, shape).build();
        SCOPED_TRACE(shape);
        watchdog.progress("round " + std::to_string(round) + ": " + shape);
        const RuntimeHandle handle = runtime.handle();
        {
            const bool naps = random.one_in(2);
            MessageTraffic traffic(runtime, {shards, threads, ~std::uint64_t{0}, 1h, naps, random.next(), true});
            pause_for(std::chrono::microseconds(random.below(2'000)));
            if (random.one_in(4)) {
                handle.spawn_pinned(0, [&] { runtime.shutdown(); }).detach();
            }
            runtime.shutdown();
            EXPECT_EQ(traffic.out_of_order(), 0U);
        }
        const auto stats = handle.stats_snapshot();
        EXPECT_EQ(stats.ring_msgs_submitted, stats.ring_msgs_completed + stats.ring_msgs_failed) << to_string(stats);
        EXPECT_EQ(stats.tasks_live, 0U);
        EXPECT_EQ(stats.late_wakes, 0U);
        failed += stats.ring_msgs_failed;
        if (::testing::Test::HasFailure()) {
            return;
        }
    }
}

class StressMessages : public BackendTest {
protected:
    // A million messages through queues of one take half a minute on a machine with other work.
    Watchdog watchdog_{"messages", std::chrono::seconds(240)};
};
SPARGIO_ON_BOTH_BACKENDS(StressMessages);

TEST_P(StressMessages, AllArriveOrAreRefused) {
    const auto cut = sanitized ? std::optional(30'000ms) : std::nullopt;
    all_arrive(GetParam(), {scaled(4, 3), sanitized ? 60'000 : 1'000'000, false, cut}, watchdog_);
}

TEST_P(StressMessages, AShutdownAtARandomMomentAccountsForAll) {
    end_at_random_moments(GetParam(), scaled(400, 60), watchdog_);
}

class StressMessagesOnRings : public UringTest {
protected:
    void survive(EveryNth& faults) {
        const InstalledFaults installed(faults);
        faults.arm();
        all_arrive(BackendKind::IoUring, {scaled(2, 1), sanitized ? 10'000 : 50'000, true, 30s}, watchdog_);
        end_at_random_moments(BackendKind::IoUring, scaled(50, 10), watchdog_);
        faults.disarm();
        EXPECT_GT(faults.failed(), 20U);
    }

    Watchdog watchdog_{"messages with faults"};
};

TEST_F(StressMessagesOnRings, EveryOtherBellFails) {
    EveryNth faults(FailingCall::Bell, 2, {ENOMEM});
    survive(faults);
}

TEST_F(StressMessagesOnRings, EveryThirdBellFails) {
    EveryNth faults(FailingCall::Bell, 3, {ENOMEM, EOVERFLOW, EAGAIN});
    survive(faults);
}

TEST_F(StressMessagesOnRings, EveryThirdEntryIntoTheKernelFails) {
    EveryNth faults(FailingCall::Enter, 3, {EINTR, EAGAIN, EBUSY});
    survive(faults);
}

TEST_F(StressMessagesOnRings, BellsAndEntriesFailWhereTheEventfdRings) {
    const Environment mask("SPARGIO_URING_DISABLE", "msg_ring");
    EveryNth faults(FailingCall::Both, 3, {EAGAIN, EINTR});
    survive(faults);
}

}  // namespace
}  // namespace spargio::test
