// SPDX-License-Identifier: MIT
// A stealable task that a shard has just taken out of the queue when the shutdown begins.
#include <chrono>
#include <string>
#include <system_error>
#include <thread>

#include "support/backend_test.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

class ShutdownSteal : public BackendTest {
protected:
    Watchdog watchdog_{"tasks taken while the shutdown begins", std::chrono::seconds(20)};
};
SPARGIO_ON_BOTH_BACKENDS(ShutdownSteal);

TEST_P(ShutdownSteal, WhatAnIdleShardHasTakenWhenTheStopComesIsNotForgotten) {
    Random random(stress_seed());
    for (unsigned round = 0; round < scaled(3'000, 300); ++round) {
        watchdog_.progress("round " + std::to_string(round));
        auto one = runtime(1);
        const RuntimeHandle handle = one.handle();
        std::thread spawner([&] {
            for (;;) {
                auto task = handle.spawn_stealable([] {});
                if (task.spawn_error()) {
                    return;
                }
                try {
                    task.get();
                } catch (const std::system_error& error) {
                    EXPECT_EQ(error.code(), JoinError::Canceled);
                }
            }
        });
        spin_for(std::chrono::nanoseconds(20'000 + random.below(100'000)));
        one.shutdown();
        spawner.join();
        EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
    }
}

}  // namespace
}  // namespace spargio::test
