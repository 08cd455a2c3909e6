// SPDX-License-Identifier: MIT
// The spawn workloads on spargio, for either backend.
#pragma once

#include <spargio/spargio.hpp>

#include <benchmark/benchmark.h>

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "spawn_workloads.hpp"
#include "support/affinity.hpp"
#include "support/process_usage.hpp"

namespace bench::spargio_spawn {

using spargio::BackendKind;
using spargio::Runtime;
using spargio::RuntimeHandle;
using spargio::ShardId;
using spargio::Task;

// Not inlined, so that no compiler can put the frame into its caller: the frame is part of what is measured.
[[gnu::noinline]] inline Task<std::uint64_t> trivial(std::uint64_t value) {
    co_return value;
}

/// Shards run wherever the kernel puts them.
inline Runtime make_runtime(BackendKind backend, std::size_t shards) {
    return spargio::RuntimeBuilder().backend(backend).shards(shards).build();
}

inline Runtime make_pinned_runtime(BackendKind backend, unsigned cpu) {
    return spargio::RuntimeBuilder().backend(backend).shards(1).thread_affinity({cpu}).build();
}

inline void spawn_join_local(benchmark::State& state, BackendKind backend) {
    auto runtime = make_pinned_runtime(backend, nth_cpu(0));
    auto batch = []() -> Task<Timed> {
        auto* shard = spargio::ShardCtx::current();
        const Stopwatch stopwatch;
        std::uint64_t sum = 0;
        for (std::uint64_t i = 0; i < local_joins; ++i) {
            sum += co_await shard->spawn_local(trivial(i));
        }
        const Timed timed{stopwatch.seconds(), sum};
        co_return timed;
    };
    run_batches(state, local_joins, sum_below(local_joins), [&] { return runtime.block_on(batch()); });
}

inline void await_ready_task(benchmark::State& state, BackendKind backend) {
    auto runtime = make_pinned_runtime(backend, nth_cpu(0));
    auto batch = []() -> Task<Timed> {
        const Stopwatch stopwatch;
        std::uint64_t sum = 0;
        for (std::uint64_t i = 0; i < ready_awaits; ++i) {
            sum += co_await trivial(i);
        }
        const Timed timed{stopwatch.seconds(), sum};
        co_return timed;
    };
    run_batches(state, ready_awaits, sum_below(ready_awaits), [&] { return runtime.block_on(batch()); });
}

inline Task<> yield_in_turn(YieldCount& count) {
    for (std::uint64_t i = 0; i < yields_each; ++i) {
        co_await spargio::yield();
        count.step();
    }
    count.finished();
}

inline void yield(benchmark::State& state, BackendKind backend) {
    auto runtime = make_pinned_runtime(backend, nth_cpu(0));
    auto batch = []() -> Task<Timed> {
        auto* shard = spargio::ShardCtx::current();
        YieldCount count;
        std::vector<spargio::JoinHandle<void>> handles;
        handles.reserve(yielders);
        const Stopwatch stopwatch;
        for (std::uint64_t i = 0; i < yielders; ++i) {
            handles.push_back(shard->spawn_local(yield_in_turn(count)));
        }
        for (auto& handle : handles) {
            co_await std::move(handle);
        }
        const Timed timed{stopwatch.seconds(), count.result()};
        co_return timed;
    };
    run_batches(state, yields, yields, [&] { return runtime.block_on(batch()); });
}

inline void foreign_joins_with(benchmark::State& state, const RuntimeHandle& handle) {
    const auto shards = handle.shard_count();
    run_batches(state, foreign_joins, sum_below(foreign_joins), [&] {
        const Stopwatch stopwatch;
        std::uint64_t sum = 0;
        for (std::uint64_t i = 0; i < foreign_joins; ++i) {
            sum += handle.spawn_pinned(static_cast<ShardId>(i % shards), trivial(i)).get();
        }
        return Timed{stopwatch.seconds(), sum};
    });
}

inline void spawn_join_foreign(benchmark::State& state, BackendKind backend) {
    const auto runtime = make_runtime(backend, workers);
    foreign_joins_with(state, runtime.handle());
}

inline void spawn_join_foreign_apart(benchmark::State& state, BackendKind backend) {
    const PinnedScope pinned(nth_cpu(0));
    const auto runtime = make_pinned_runtime(backend, nth_cpu(1));
    foreign_joins_with(state, runtime.handle());
}

inline void post_foreign(benchmark::State& state, BackendKind backend) {
    const auto runtime = make_runtime(backend, workers);
    const auto handle = runtime.handle();
    run_batches(state, posts, sum_below(posts), [&] {
        return post_to_all_workers([&](std::size_t worker, std::uint64_t value, PostCounter& counter) {
            handle.spawn_pinned(static_cast<ShardId>(worker), [&counter, value] { counter.take(value); }).detach();
        });
    });
}

/// Process CPU time of an idle runtime, in per cent of one CPU.
inline double idle_cpu_percent(BackendKind backend) {
    const auto runtime = make_runtime(backend, idle_shards);
    const auto handle = runtime.handle();
    for (std::size_t shard = 0; shard < idle_shards; ++shard) {
        handle.spawn_pinned(static_cast<ShardId>(shard), [] {}).get();
    }
    const double used_before = process_cpu_seconds();
    const Stopwatch stopwatch;
    std::this_thread::sleep_for(std::chrono::seconds(1));
    return 100 * (process_cpu_seconds() - used_before) / stopwatch.seconds();
}

inline Task<> suspend_for_ever(std::uint64_t& suspended) {
    ++suspended;
    const std::suspend_always never;
    co_await never;
}

/// Bytes of memory per suspended task; shutting down destroys them all. For a fresh process.
inline double suspended_task_bytes(BackendKind backend) {
    auto runtime = make_runtime(backend, 1);
    std::uint64_t suspended = 0;
    auto grow = [](std::uint64_t& count) -> Task<std::int64_t> {
        auto* shard = spargio::ShardCtx::current();
        const auto before = resident_bytes();
        for (std::uint64_t i = 0; i < suspended_tasks; ++i) {
            shard->spawn_local(suspend_for_ever(count)).detach();
        }
        while (count < suspended_tasks) {
            co_await spargio::yield();
        }
        co_return resident_bytes() - before;
    };
    return static_cast<double>(runtime.block_on(grow(suspended))) / static_cast<double>(suspended_tasks);
}

}  // namespace bench::spargio_spawn
