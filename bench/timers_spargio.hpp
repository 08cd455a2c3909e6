// SPDX-License-Identifier: MIT
// The timer workloads on spargio, one shard.
#pragma once

#include <spargio/spargio.hpp>

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <system_error>
#include <utility>
#include <vector>

#include "support/affinity.hpp"
#include "timers_workloads.hpp"

namespace bench::spargio_timers {

using spargio::JoinHandle;
using spargio::Runtime;
using spargio::ShardCtx;
using spargio::Task;

inline Runtime make_runtime() {
    return spargio::RuntimeBuilder()
        .backend(spargio::BackendKind::IoUring)
        .shards(1)
        .thread_affinity({nth_cpu(0)})
        .build();
}

inline Task<> sleep_until_due(std::uint64_t i, Sleepers& sleepers) {
    const auto due = SleepClock::now() + sleep_time(i);
    if (co_await spargio::sleep_until(due)) {
        sleepers.fired(i, due);
    }
}

inline Task<Timed> all_fire() {
    auto* shard = ShardCtx::current();
    Sleepers sleepers;
    const CpuStopwatch stopwatch;
    for (std::uint64_t i = 0; i < sleeps; ++i) {
        shard->spawn_local(sleep_until_due(i, sleepers)).detach();
    }
    while (!sleepers.all_ended()) {
        static_cast<void>(co_await spargio::sleep_for(std::chrono::milliseconds(1)));
    }
    const Timed timed{stopwatch.seconds(), sleepers.sum()};
    co_return timed;
}

inline Task<> sleep_until_stopped(std::uint64_t i, Sleepers& sleepers) {
    sleepers.begins();
    const auto slept = co_await spargio::sleep_for(far_sleep_time(i));
    sleepers.ends(i, !slept && slept.error() == std::errc::operation_canceled);
}

inline Task<> wait_for_all_asleep(const Sleepers& sleepers) {
    while (!sleepers.all_asleep()) {
        co_await spargio::yield();
    }
}

inline Task<CancelledSleeps> all_cancelled() {
    auto* shard = ShardCtx::current();
    Sleepers sleepers;
    std::vector<JoinHandle<void>> handles;
    const CpuStopwatch stopwatch;
    handles.reserve(sleeps);
    for (std::uint64_t i = 0; i < sleeps; ++i) {
        handles.push_back(shard->spawn_local(sleep_until_stopped(i, sleepers)));
    }
    co_await wait_for_all_asleep(sleepers);
    const double begun = stopwatch.seconds();
    for (auto& handle : handles) {
        handle.request_stop();
        handle.detach();
    }
    while (!sleepers.all_ended()) {
        co_await spargio::yield();
    }
    const CancelledSleeps cancelled{begun, stopwatch.seconds(), sleepers.sum()};
    co_return cancelled;
}

inline void sleep_create(benchmark::State& state) {
    auto runtime = make_runtime();
    auto batch = [&] { return runtime.block_on(all_cancelled()).beginning(); };
    run_warm_batches(state, batch, batch);
}

inline void sleep_fire(benchmark::State& state) {
    auto runtime = make_runtime();
    run_warm_batches(
        state, [&] { runtime.block_on(all_cancelled()); }, [&] { return runtime.block_on(all_fire()); });
}

inline void sleep_cancel(benchmark::State& state) {
    auto runtime = make_runtime();
    auto batch = [&] { return runtime.block_on(all_cancelled()).whole(); };
    run_warm_batches(state, batch, batch);
}

inline Task<double> grow(Sleepers& sleepers) {
    auto* shard = ShardCtx::current();
    const GrowthPerSleep growth;
    for (std::uint64_t i = 0; i < sleeps; ++i) {
        shard->spawn_local(sleep_until_stopped(i, sleepers)).detach();
    }
    co_await wait_for_all_asleep(sleepers);
    co_return growth.bytes();
}

/// Bytes of memory per sleeping task; shutting down destroys them all. For a fresh process.
inline double pending_sleep_bytes() {
    Sleepers sleepers;
    auto runtime = make_runtime();
    return runtime.block_on(grow(sleepers));
}

}  // namespace bench::spargio_timers
