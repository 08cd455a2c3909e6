// SPDX-License-Identifier: MIT
// The time of sleeps and time-outs in the hands of a test.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>

#include "spargio/detail/seams.hpp"
#include "spargio/join_handle.hpp"
#include "spargio/runtime_handle.hpp"
#include "support/backend_test.hpp"
#include "support/stress.hpp"

namespace spargio::test {

/// Stands in for the clock while it lives, which begins before the runtime and ends after it. It stands still but for
/// advance(). One at a time.
class VirtualClock {
public:
    using Clock = std::chrono::steady_clock;

    VirtualClock() { detail::virtual_time.store(&time_); }
    VirtualClock(const VirtualClock&) = delete;
    VirtualClock& operator=(const VirtualClock&) = delete;
    ~VirtualClock() { detail::virtual_time.store(nullptr); }

    [[nodiscard]] Clock::time_point now() const { return Clock::time_point(Clock::duration(time_.load())); }

    /// Moves on without telling anybody.
    void set(Clock::time_point now) { time_.store(now.time_since_epoch().count()); }

    /// Moves on, and returns when the sleeps that are over have ended, and the steps that they made possible.
    void advance(const RuntimeHandle& handle, Clock::duration span) {
        set(now() + span);
        settle(handle);
    }

    /// Moves on by `step` at a time until the task has ended: for those that begin a sleep when they come to it.
    template <class T>
    void advance_until_done(const RuntimeHandle& handle, const JoinHandle<T>& task, Clock::duration step) {
        while (!task.done()) {
            advance(handle, step);
        }
    }

    /// Each shard looks at the clock, and at what that brought about.
    static void settle(const RuntimeHandle& handle) {
        for (int look = 0; look < 2; ++look) {
            for (std::size_t shard = 0; shard < handle.shard_count(); ++shard) {
                finish_step(handle, static_cast<ShardId>(shard));
            }
        }
    }

private:
    detail::atomic<Clock::rep> time_{Clock::duration(std::chrono::hours(1000)).count()};
};

/// Moves a virtual clock on while it lives, a few microseconds at a time and as fast as the shards look at it: for
/// races of a deadline with what a test does meanwhile. It ends before the runtime.
class RunningClock {
public:
    RunningClock(VirtualClock& clock, RuntimeHandle handle, std::uint64_t seed)
        : thread_([this, &clock, runtime = std::move(handle), random = Random(seed)]() mutable {
              while (!stop_.load(std::memory_order_relaxed)) {
                  clock.advance(runtime, std::chrono::nanoseconds(random.below(20'000)));
              }
          }) {}
    RunningClock(const RunningClock&) = delete;
    RunningClock& operator=(const RunningClock&) = delete;
    ~RunningClock() { stop(); }

    /// No step of its own is left in the runtime.
    void stop() {
        if (thread_.joinable()) {
            stop_.store(true, std::memory_order_relaxed);
            thread_.join();
        }
    }

private:
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace spargio::test
