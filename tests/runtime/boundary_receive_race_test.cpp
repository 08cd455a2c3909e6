// SPDX-License-Identifier: MIT
// A request and the time-out of the thread that waits for one, at the same moment.
#include <chrono>
#include <optional>

#include <gtest/gtest.h>

#include "spargio/spargio.hpp"
#include "support/race.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

/// The time of a receiving thread is up when a request comes: it has it, or the request is still queued.
TEST(BoundaryRaceOfThreads, ARequestThatMeetsATimeOutIsNotLost) {
    const unsigned rounds = scaled(6'000, 1'500);
    Random random(stress_seed());
    Rival rival;
    auto [client, server] = boundary::channel<int, int>(1);
    unsigned in_time = 0;
    // A search, which ends early on a machine that is too busy.
    const auto enough = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    constexpr unsigned least = 200;
    unsigned round = 0;
    for (; round < rounds && (round < least || std::chrono::steady_clock::now() < enough); ++round) {
        bool received = false;
        std::optional<boundary::Ticket<int>> ticket;
        const std::chrono::nanoseconds limit(random.below(30'000));
        const std::chrono::nanoseconds later(random.below(120'000));
        rival.race(
            [&, &client = client] {
                pause_for(later);
                ticket.emplace(client.try_call(1).value());
            },
            [&, &server = server] { received = server.recv_timeout(limit).get().has_value(); });
        ASSERT_EQ(client.stats().depth, received ? 0U : 1U) << "round " << round;
        in_time += received ? 1 : 0;
    }
    EXPECT_GT(in_time, 0U);
    EXPECT_LT(in_time, round);
}

}  // namespace
}  // namespace spargio::test
