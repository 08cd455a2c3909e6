// SPDX-License-Identifier: MIT
// A process that is stopped while its shards sleep: what comes meanwhile is found at once when it goes on, and is no
// late wake.
#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spargio/spargio.hpp"
#include "support/child_process.hpp"
#include "support/files.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

using Stopped = UringTest;

constexpr int readers = 2;  // With one it would run next in any case.

/// Reads in tasks of one shard; says when that sleeps. How many late wakes there were.
int read_in_tasks(const Pipe& input, const Pipe& asleep) {
    const Runtime runtime =
        RuntimeBuilder().shards(1).backend(BackendKind::IoUring).idle_spin(std::chrono::microseconds(0)).build();
    const auto handle = runtime.handle();
    const auto lane = handle.native_lane(0).value();
    std::vector<JoinHandle<bool>> reading;
    for (int i = 0; i < readers; ++i) {
        reading.push_back(handle.spawn_stealable([&]() -> Task<bool> {
            const auto read = co_await lane.read_at(input.reader.get(), NativeLane::current_position, 1);
            co_return read.has_value();
        }));
    }
    const auto stats = [&handle] { return handle.stats_snapshot(); };
    while (stats().pending_native_ops != readers) {
        std::this_thread::yield();
    }
    const auto parks = stats().parks;
    handle.spawn_pinned(0, [] {}).get();
    while (stats().parks == parks) {
        std::this_thread::yield();
    }
    static_cast<void>(write(asleep.writer.get(), "!", 1));
    for (auto& one : reading) {
        if (!one.get()) {
            return 99;
        }
    }
    return static_cast<int>(stats().late_wakes);
}

TEST_F(Stopped, WhatComesMeanwhileIsNoLateWake) {
    for (int round = 0; round < 3; ++round) {
        const Pipe input;
        const Pipe asleep;
        const pid_t child = fork();
        if (child == 0) {
            _exit(read_in_tasks(input, asleep));
        }
        ASSERT_GT(child, 0);
        char said = 0;
        ASSERT_EQ(read(asleep.reader.get(), &said, 1), 1);
        kill(child, SIGSTOP);
        ASSERT_EQ(waitpid(child, nullptr, WUNTRACED), child);
        std::this_thread::sleep_for(std::chrono::milliseconds(600));  // Longer than a shard sleeps by itself.
        EXPECT_EQ(write(input.writer.get(), "ab", readers), readers);
        kill(child, SIGCONT);
        EXPECT_EQ(end_of_child(child), "exit 0");
    }
}

}  // namespace
}  // namespace spargio::test
