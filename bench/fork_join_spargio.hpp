// SPDX-License-Identifier: MIT
// The fork-join workloads on spargio: fork_join() where the number of children is known, spawn_many() where it is not.
#pragma once

#include <spargio/spargio.hpp>

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
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

/// A child stores its count where its parent can add it up.
inline Task<> place_queens(Board board, std::uint64_t& count) {
    if (board.rows == queens) {
        count = 1;
        co_return;
    }
    std::array<std::uint64_t, queens> counts{};
    std::vector<Task<>> children;
    for (std::size_t column = 0; column < queens; ++column) {
        if (board.allows(column)) {
            children.reserve(queens);
            children.push_back(place_queens(board.with(column), counts[column]));
        }
    }
    if (children.empty()) {
        co_return;
    }
    co_await spargio::spawn_many(std::move(children));
    count = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

inline Task<std::uint64_t> place_all_queens() {
    std::uint64_t count = 0;
    co_await place_queens(Board{}, count);
    co_return count;
}

inline void nqueens(benchmark::State& state, std::size_t shards) {
    run_tasks(state, shards, 1, queens_result, [] { return place_all_queens(); });
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
