// SPDX-License-Identifier: MIT
// A request and the time-out of the thread that waits for one, at the same moment.
#include <algorithm>
#include <chrono>
#include <cstdint>
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
    // A search, which ends early on a machine that is too busy, but not before both have happened.
    const auto enough = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    constexpr unsigned least = 200;
    unsigned round = 0;
    const auto goes_on = [&] {
        const bool both = in_time != 0 && in_time != round;
        return !both || (round < rounds && (round < least || std::chrono::steady_clock::now() < enough));
    };
    std::uint32_t most = 30'000;  // Where threads share a CPU, it takes longer than that until the other one runs.
    for (; goes_on(); ++round) {
        most = in_time == 0 && round % least == least - 1 ? std::min(2 * most, 100'000'000U) : most;
        bool received = false;
        std::optional<boundary::Ticket<int>> ticket;
        const std::chrono::nanoseconds limit(random.below(most));
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
}

}  // namespace
}  // namespace spargio::test
