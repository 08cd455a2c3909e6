// SPDX-License-Identifier: MIT
// The memory of tasks that move: frames that end on other shards than they came from come back. RSS is of the whole
// process, so it has one of its own.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

constexpr std::size_t mebibyte = std::size_t{1024} * 1024;
constexpr unsigned kWave = 1000;

class StealableMemory : public BackendTest {
protected:
    /// Runs `produce(waves)` for a while, then for long, and expects no more memory afterwards.
    template <class Produce>
    void expect_flat(const RuntimeHandle& handle, unsigned waves, TaskPlacement place, Produce produce) {
        constexpr unsigned kPart = 20;
        handle.spawn_with_placement(place, produce(100)).get();
        const auto memory = resident_bytes();
        const auto stolen = handle.stats_snapshot().stealable_stolen;
        for (unsigned done = 0; done < waves; done += kPart) {
            handle.spawn_with_placement(place, produce(kPart)).get();
            watchdog_.progress("wave " + std::to_string(done));
        }
        std::printf("%u tasks, %llu stolen, %zu KiB more\n", waves * kWave,
                    static_cast<unsigned long long>(handle.stats_snapshot().stealable_stolen - stolen),
                    resident_bytes() > memory ? (resident_bytes() - memory) / 1024 : 0);
        if (!sanitized) {
            EXPECT_LE(resident_bytes(), memory + 2 * mebibyte);
        }
        EXPECT_EQ(handle.stats_snapshot().late_wakes, 0U);
    }

    Watchdog watchdog_{"memory of stealable tasks"};
};
SPARGIO_ON_BOTH_BACKENDS(StealableMemory);

/// Ten million of them. Made on a shard that then is busy until they have ended, on the other one.
TEST_P(StealableMemory, FramesOfStolenTasksComeBack) {
    const auto two = runtime(2);
    const auto handle = two.handle();
    expect_flat(handle, scaled(10'000, 20), TaskPlacement::pinned(0), [&handle](unsigned waves) -> Task<> {
        for (unsigned wave = 0; wave < waves; ++wave) {
            Latch ran(kWave);
            for (unsigned i = 0; i < kWave; ++i) {
                handle.spawn_stealable([&ran] { ran.arrive(); }).detach();
            }
            ran.wait();
            co_await yield();
        }
    });
}

/// The same with those that have suspended before they were stolen.
TEST_P(StealableMemory, FramesOfTasksThatMovedComeBack) {
    const auto two = runtime(2);
    const auto handle = two.handle();
    const auto move = []() -> Task<> { static_cast<void>(co_await resume_on(1)); };
    expect_flat(handle, scaled(300, 20), TaskPlacement::pinned(0), [&handle, move](unsigned waves) -> Task<> {
        for (unsigned wave = 0; wave < waves; ++wave) {
            for (unsigned i = 1; i < kWave; ++i) {
                handle.spawn_stealable(move()).detach();
            }
            auto last = handle.spawn_stealable(move());
            co_await std::move(last);
        }
    });
}

/// All children but the first, which keeps its shard busy; the parent goes on where the last one has ended, and frees
/// their blocks there.
TEST_P(StealableMemory, FramesOfForkedChildrenComeBack) {
    const auto two = runtime(2);
    const auto handle = two.handle();
    for (const auto place : {TaskPlacement::pinned(0), TaskPlacement::stealable()}) {
        expect_flat(handle, scaled(300, 20), place, [](unsigned waves) -> Task<> {
            for (unsigned wave = 0; wave < waves; ++wave) {
                Latch ran(kWave - 1);
                const auto child = [&ran](bool first) -> Task<> {
                    if (first) {
                        ran.wait();
                    } else {
                        ran.arrive();
                    }
                    co_return;
                };
                std::vector<Task<>> children;
                for (unsigned i = 0; i < kWave; ++i) {
                    children.push_back(child(i == 0));
                }
                co_await spawn_many(std::move(children));
            }
        });
    }
}

TEST_P(StealableMemory, AMillionSuspendedTasksExistAndEnd) {
    constexpr std::size_t kTasks = sanitized ? 20'000 : 1'000'000;
    const auto two = runtime(2);
    const auto handle = two.handle();
    std::atomic<std::size_t> begun{0};
    std::atomic<std::size_t> stopped{0};
    const auto sleeper = [&](std::size_t) -> Task<> {
        ++begun;
        const auto slept = co_await sleep_for(std::chrono::hours(1));
        stopped += slept.error() == std::errc::operation_canceled ? 1 : 0;
    };
    auto parent = handle.spawn_stealable(spawn_many(kTasks, sleeper));
    while (begun != kTasks) {
        std::this_thread::yield();
    }
    EXPECT_GE(handle.stats_snapshot().tasks_live, kTasks);
    std::printf("%zu suspended tasks: %zu MiB\n", kTasks, resident_bytes() / mebibyte);
    watchdog_.progress("all sleep");
    parent.request_stop();
    parent.get();
    EXPECT_EQ(stopped, kTasks);
    EXPECT_EQ(handle.stats_snapshot().late_wakes, 0U);
}

}  // namespace
}  // namespace spargio::test
