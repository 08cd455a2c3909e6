// SPDX-License-Identifier: MIT
// The fork-join workloads on spargio: fork_join() where the number of children is known, spawn_many() where it is not.
#pragma once

#include <spargio/spargio.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "fork_join_workloads.hpp"

namespace bench::spargio_fork_join {

using spargio::Task;

/// Runs one task as a batch: spawned from outside as stealable, so that it goes on where its last child ended.
template <class MakeTask>
void run_tasks(benchmark::State& state, std::size_t shards, std::uint64_t operations, std::uint64_t expected,
               MakeTask make_task) {
    const auto runtime = spargio::RuntimeBuilder().backend(spargio::BackendKind::IoUring).shards(shards).build();
    const auto handle = runtime.handle();
    run_batches(state, static_cast<std::int64_t>(operations), expected, [&] {
        const Stopwatch stopwatch;
        const std::uint64_t result = handle.spawn_stealable(make_task()).get();
        return Timed{stopwatch.seconds(), result};
    });
}

Task<std::uint64_t> skynet_node(std::uint64_t first, std::uint64_t leaves);

template <std::size_t... child>
auto fork_skynet(std::uint64_t first, std::uint64_t leaves_each, std::index_sequence<child...>) {
    return spargio::fork_join(skynet_node(first + child * leaves_each, leaves_each)...);
}

inline Task<std::uint64_t> skynet_node(std::uint64_t first, std::uint64_t leaves) {
    if (leaves == 1) {
        co_return first;
    }
    const auto sums =
        co_await fork_skynet(first, leaves / skynet_children, std::make_index_sequence<skynet_children>());
    co_return std::apply([](auto... sum) { return (sum + ...); }, sums);
}

inline void skynet(benchmark::State& state, std::size_t shards) {
    run_tasks(state, shards, 1, skynet_result, [] { return skynet_node(0, skynet_leaves); });
}

inline Task<std::uint64_t> fib_node(unsigned n) {
    if (n < 2) {
        co_return n;
    }
    const auto sums = co_await spargio::fork_join(fib_node(n - 1), fib_node(n - 2));
    co_return std::get<0>(sums) + std::get<1>(sums);
}

inline void fib(benchmark::State& state, std::size_t shards) {
    run_tasks(state, shards, 1, fib_result, [] { return fib_node(fib_of); });
}

inline Task<std::uint64_t> place_queens(Board board) {
    if (board.rows == queens) {
        co_return 1;
    }
    std::vector<Task<std::uint64_t>> children;
    children.reserve(queens);
    for (std::size_t column = 0; column < queens; ++column) {
        if (board.allows(column)) {
            children.push_back(place_queens(board.with(column)));
        }
    }
    std::uint64_t sum = 0;
    const auto found = co_await spargio::spawn_many(std::move(children));
    for (const auto solutions : found) {
        sum += solutions;
    }
    co_return sum;
}

inline void nqueens(benchmark::State& state, std::size_t shards) {
    run_tasks(state, shards, 1, queens_result, [] { return place_queens(Board{}); });
}

inline Task<> store_one(std::uint8_t& byte) {
    byte = 1;
    co_return;
}

inline Task<Timed> spawn_and_join() {
    std::vector<std::uint8_t> bytes(spawned);
    const auto child = [&bytes](std::size_t i) { return store_one(bytes[i]); };
    const Stopwatch stopwatch;
    co_await spargio::spawn_many(spawned, child);
    const double seconds = stopwatch.seconds();
    const Timed timed{seconds, sum_of(bytes)};
    co_return timed;
}

inline void spawn_many(benchmark::State& state, std::size_t shards) {
    const auto runtime = spargio::RuntimeBuilder().backend(spargio::BackendKind::IoUring).shards(shards).build();
    const auto handle = runtime.handle();
    run_batches(state, spawned, spawned, [&] { return handle.spawn_stealable(spawn_and_join()).get(); });
}

}  // namespace bench::spargio_fork_join
