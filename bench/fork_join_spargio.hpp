// SPDX-License-Identifier: MIT
// The fork-join workloads on spargio: spawn_stealable() and an await of the handle for each child.
#pragma once

#include <spargio/spargio.hpp>

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "fork_join_workloads.hpp"

namespace bench::spargio_fork_join {

using spargio::JoinHandle;
using spargio::RuntimeHandle;
using spargio::Task;

/// Runs one task as a batch: spawned from outside as stealable, so that it goes on where its last child ended.
template <class MakeTask>
void run_tasks(benchmark::State& state, std::size_t shards, std::uint64_t operations, std::uint64_t expected,
               MakeTask make_task) {
    const auto runtime = spargio::RuntimeBuilder().backend(spargio::BackendKind::IoUring).shards(shards).build();
    const auto handle = runtime.handle();
    run_batches(state, static_cast<std::int64_t>(operations), expected, [&] {
        const Stopwatch stopwatch;
        const std::uint64_t result = handle.spawn_stealable(make_task(handle)).get();
        return Timed{stopwatch.seconds(), result};
    });
}

inline Task<std::uint64_t> skynet_node(const RuntimeHandle& handle, std::uint64_t first, std::uint64_t leaves) {
    if (leaves == 1) {
        co_return first;
    }
    const std::uint64_t leaves_each = leaves / skynet_children;
    std::array<JoinHandle<std::uint64_t>, skynet_children> children;
    for (std::size_t child = 0; child < skynet_children; ++child) {
        children[child] = handle.spawn_stealable(skynet_node(handle, first + child * leaves_each, leaves_each));
    }
    std::uint64_t sum = 0;
    for (auto& child : children) {
        sum += co_await std::move(child);
    }
    co_return sum;
}

inline void skynet(benchmark::State& state, std::size_t shards) {
    run_tasks(state, shards, 1, skynet_result,
              [](const RuntimeHandle& handle) { return skynet_node(handle, 0, skynet_leaves); });
}

inline Task<std::uint64_t> fib_node(const RuntimeHandle& handle, unsigned n) {
    if (n < 2) {
        co_return n;
    }
    auto forked = handle.spawn_stealable(fib_node(handle, n - 1));
    const std::uint64_t own = co_await fib_node(handle, n - 2);
    co_return own + co_await std::move(forked);
}

inline void fib(benchmark::State& state, std::size_t shards) {
    run_tasks(state, shards, 1, fib_result, [](const RuntimeHandle& handle) { return fib_node(handle, fib_of); });
}

inline Task<std::uint64_t> place_queens(const RuntimeHandle& handle, Board board) {
    if (board.rows == queens) {
        co_return 1;
    }
    std::array<JoinHandle<std::uint64_t>, queens> children;
    std::size_t forked = 0;
    for (std::size_t column = 0; column < queens; ++column) {
        if (board.allows(column)) {
            children[forked++] = handle.spawn_stealable(place_queens(handle, board.with(column)));
        }
    }
    std::uint64_t sum = 0;
    for (std::size_t child = 0; child < forked; ++child) {
        sum += co_await std::move(children[child]);
    }
    co_return sum;
}

inline void nqueens(benchmark::State& state, std::size_t shards) {
    run_tasks(state, shards, 1, queens_result,
              [](const RuntimeHandle& handle) { return place_queens(handle, Board{}); });
}

inline Task<> store_one(std::uint8_t& byte) {
    byte = 1;
    co_return;
}

inline Task<Timed> spawn_and_join(const RuntimeHandle& handle) {
    std::vector<std::uint8_t> bytes(spawned);
    std::vector<JoinHandle<>> children(spawned);
    const Stopwatch stopwatch;
    for (std::size_t child = 0; child < spawned; ++child) {
        children[child] = handle.spawn_stealable(store_one(bytes[child]));
    }
    for (auto& child : children) {
        co_await std::move(child);
    }
    const double seconds = stopwatch.seconds();
    const Timed timed{seconds, sum_of(bytes)};
    co_return timed;
}

inline void spawn_many(benchmark::State& state, std::size_t shards) {
    const auto runtime = spargio::RuntimeBuilder().backend(spargio::BackendKind::IoUring).shards(shards).build();
    const auto handle = runtime.handle();
    run_batches(state, spawned, spawned, [&] { return handle.spawn_stealable(spawn_and_join(handle)).get(); });
}

}  // namespace bench::spargio_fork_join
