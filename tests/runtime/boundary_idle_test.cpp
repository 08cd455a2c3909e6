// SPDX-License-Identifier: MIT
// Threads that are blocked at a boundary sleep until they are woken: nothing polls, and no thread of ours watches.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <unistd.h>

#include "spargio/spargio.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

/// How often a thread of this process has gone to sleep; nothing while it does not sleep.
[[nodiscard]] std::optional<std::uint64_t> sleeps_of(pid_t thread) {
    std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
    bool is_asleep = false;
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("State:")) {
            is_asleep = line.find("(sleeping)") != std::string::npos;
        } else if (line.starts_with("voluntary_ctxt_switches:") && is_asleep) {
            return std::stoull(line.substr(line.find(':') + 1));
        }
    }
    return std::nullopt;
}

TEST(BoundaryIdle, BlockedThreadsSleepUntilTheyAreWoken) {
    const Watchdog watchdog("blocked threads");
    const auto threads_before = thread_count();
    auto served = boundary::channel<int, int>(4);
    auto unserved = boundary::channel<int, int>(4);
    std::array<std::atomic<pid_t>, 3> ids{};
    std::thread receiver([&] {
        ids[0] = gettid();
        auto request = served.second.recv().get();
        EXPECT_TRUE(request->respond(request->request() + 1).has_value());
    });
    std::thread caller([&] {
        ids[1] = gettid();
        EXPECT_EQ(unserved.first.call(10).get().value(), 11);
    });
    std::thread caller_in_time([&] {
        ids[2] = gettid();
        EXPECT_EQ(unserved.first.call_with_timeout(20, 1h).get().value(), 21);
    });

    // The quietest of some windows: a thread may still be on its way to sleep, and a signal, or what the machine does
    // to a sleeper, may come into one. Who polls at least three times a second does so in all.
    bool is_quiet = false;
    for (int window = 0; window < 5 && !is_quiet; ++window) {
        std::array<std::optional<std::uint64_t>, 3> before;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            while (ids[i] == 0 || !(before[i] = sleeps_of(ids[i]))) {
                std::this_thread::yield();
            }
        }
        std::this_thread::sleep_for(350ms);
        is_quiet = true;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            is_quiet = is_quiet && sleeps_of(ids[i]) == before[i];
        }
        EXPECT_LE(thread_count(), threads_before + ids.size());
    }
    EXPECT_TRUE(is_quiet) << "some thread woke up for nothing in each window";

    EXPECT_EQ(served.first.call(1).get().value(), 2);
    for (int i = 0; i < 2; ++i) {
        auto request = unserved.second.recv().get();
        EXPECT_TRUE(request->respond(request->request() + 1).has_value());
    }
    receiver.join();
    caller.join();
    caller_in_time.join();
}

}  // namespace
}  // namespace spargio::test
