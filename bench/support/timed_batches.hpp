// SPDX-License-Identifier: MIT
// How a workload is timed: batches of operations whose wall time and result come back together.
#pragma once

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <exception>

#include "support/process_usage.hpp"

namespace bench {

/// What one batch took, and what it computed: a runtime that loses work must not look fast.
struct Timed {
    double seconds = 0;
    std::uint64_t result = 0;
};

class Stopwatch {
public:
    [[nodiscard]] double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// 0 + 1 + ... + (count - 1).
constexpr std::uint64_t sum_below(std::uint64_t count) {
    return count * (count - 1) / 2;
}

/// Runs `one_batch` until Google Benchmark has enough. The reported time is that of one operation; register with
/// UseManualTime(), so that what surrounds the timed part (starting the batch on a shard, waiting for it) does not
/// count.
template <class OneBatch>
void run_batches(benchmark::State& state, std::int64_t operations, std::uint64_t expected, OneBatch one_batch) {
    while (state.KeepRunningBatch(operations)) {
        const Timed timed = one_batch();
        if (timed.result != expected) {
            state.SkipWithError("wrong result: the workload did not do its work");
            return;
        }
        state.SetIterationTime(timed.seconds);
    }
}

/// Runs `body`, which calls run_batches(), and reports the context switches of the process for each of the tasks that
/// an iteration runs. Those of building a runtime and ending it are among them.
template <class Body>
void count_switches(benchmark::State& state, std::uint64_t tasks_of_each, Body body) {
    const auto before = context_switches();
    body();
    const auto tasks = static_cast<double>(state.iterations()) * static_cast<double>(tasks_of_each);
    state.counters["switches_per_task"] = static_cast<double>(context_switches() - before) / tasks;
}

/// Makes an exception of the measured runtime an error of this benchmark, not the end of the program.
template <class Body>
void report_exceptions(benchmark::State& state, Body body) {
    try {
        body();
    } catch (const std::exception& error) {
        state.SkipWithError(error.what());
    }
}

}  // namespace bench
