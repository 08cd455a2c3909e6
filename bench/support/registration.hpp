// SPDX-License-Identifier: MIT
// How a workload becomes a benchmark of Google's: its name, its backends, its errors.
#pragma once

#include <spargio/backend.hpp>

#include <benchmark/benchmark.h>

#include <string>

#include "support/timed_batches.hpp"

namespace bench {

inline const char* runtime_of(spargio::BackendKind backend) {
    return backend == spargio::BackendKind::IoUring ? "/spargio_io_uring" : "/spargio_queue";
}

template <class Body>
benchmark::internal::Benchmark* add_benchmark(const std::string& name, Body body) {
    return benchmark::RegisterBenchmark(
        name.c_str(), [body](benchmark::State& state) { report_exceptions(state, [&] { body(state); }); });
}

/// `name` is workload/runtime[_variant].
inline benchmark::internal::Benchmark* add(const std::string& name, void (*workload)(benchmark::State&)) {
    return add_benchmark(name, [workload](benchmark::State& state) { workload(state); })->UseManualTime();
}

/// The workload on both backends of spargio; `name` is that of the workload, `variant` goes behind the runtime's.
inline void add(const std::string& name, void (*workload)(benchmark::State&, spargio::BackendKind),
                const std::string& variant = "") {
    for (const auto backend : {spargio::BackendKind::IoUring, spargio::BackendKind::Queue}) {
        add_benchmark(name + runtime_of(backend) + variant, [workload, backend](benchmark::State& state) {
            workload(state, backend);
        })->UseManualTime();
    }
}

/// A figure that is no time: it is reported as a counter, whose name says the unit.
template <class Measure>
void add_figure(const std::string& name, const char* counter, Measure measure) {
    add_benchmark(name,
                  [counter, measure](benchmark::State& state) {
                      for (auto _ : state) {
                          state.counters[counter] = measure();
                      }
                  })
        ->Iterations(1)
        ->Repetitions(3);
}

}  // namespace bench
