// SPDX-License-Identifier: MIT
// The timer workloads apart from any runtime: how many sleep, until when, and the sums that prove that they did.
#pragma once

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <malloc.h>

#include "support/process_usage.hpp"
#include "support/timed_batches.hpp"

namespace bench {

inline constexpr std::uint64_t sleeps = 1'000'000;

using SleepClock = std::chrono::steady_clock;

/// sleep_fire: how long sleep `i` is, from 1 to 1,000 ms, each as often as any other and in no order: timers that come
/// in the order of their deadlines are the easiest ones.
constexpr std::chrono::microseconds sleep_time(std::uint64_t i) noexcept {
    constexpr std::uint64_t shortest_us = 1'000;
    constexpr std::uint64_t lengths = 999'001;
    constexpr std::uint64_t step = 611'953;  // No common divisor with `lengths`.
    return std::chrono::microseconds(shortest_us + i * step % lengths);
}

/// sleep_cancel and pending_sleep_bytes: so far away that none fires, and in the same order.
constexpr std::chrono::microseconds far_sleep_time(std::uint64_t i) noexcept {
    return std::chrono::hours(1) + sleep_time(i);
}

/// The sleepers of one batch, on one thread.
class Sleepers {
public:
    void begins() noexcept { ++asleep_; }

    /// Sleeper `i` was to wake up by itself, and did. That it did not before its time is asked of some only: reading
    /// the clock so often would be measured, too.
    void fired(std::uint64_t i, SleepClock::time_point due) noexcept {
        constexpr std::uint64_t asked_one_of = 64;
        end(i, i % asked_one_of != 0 || SleepClock::now() >= due);
    }
    /// Sleeper `i` was to be cancelled; whether it was.
    void ends(std::uint64_t i, bool cancelled) noexcept { end(i, cancelled); }

    [[nodiscard]] bool all_asleep() const noexcept { return asleep_ == sleeps; }
    [[nodiscard]] bool all_ended() const noexcept { return ended_ == sleeps; }
    /// The numbers of those that ended as they should.
    [[nodiscard]] std::uint64_t sum() const noexcept { return sum_; }

private:
    void end(std::uint64_t i, bool as_it_should) noexcept {
        ++ended_;
        sum_ += as_it_should ? i : 0;
    }

    std::uint64_t asleep_ = 0;
    std::uint64_t ended_ = 0;
    std::uint64_t sum_ = 0;
};

/// The CPU time of all threads of the process: the deadlines make the wall time.
class CpuStopwatch {
public:
    [[nodiscard]] double seconds() const { return process_cpu_seconds() - start_; }

private:
    double start_ = process_cpu_seconds();
};

/// A batch of sleeps that were begun, and cancelled when all were asleep.
struct CancelledSleeps {
    double seconds_to_begin;
    double seconds;
    std::uint64_t sum;

    [[nodiscard]] Timed beginning() const { return {seconds_to_begin, sum}; }
    [[nodiscard]] Timed whole() const { return {seconds, sum}; }
};

/// Runs a batch that is not timed before those that are, with memory that malloc() keeps. Else most of a sleep's time
/// is that of its share in a page from the kernel, which in a virtual machine may cost microseconds.
template <class WarmUp, class OneBatch>
void run_warm_batches(benchmark::State& state, WarmUp warm_up, OneBatch one_batch) {
    mallopt(M_TRIM_THRESHOLD, -1);
    mallopt(M_MMAP_MAX, 0);
    warm_up();
    run_batches(state, sleeps, sum_below(sleeps), one_batch);
}

/// What the process has grown by since, for each sleep.
class GrowthPerSleep {
public:
    [[nodiscard]] double bytes() const {
        return static_cast<double>(resident_bytes() - before_) / static_cast<double>(sleeps);
    }

private:
    std::int64_t before_ = resident_bytes();
};

}  // namespace bench
