// SPDX-License-Identifier: MIT
// The fork-join workloads on oneTBB, in the forms that were fastest (see README.md).
#pragma once

#include <benchmark/benchmark.h>

#include <tbb/global_control.h>
#include <tbb/parallel_invoke.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fork_join_workloads.hpp"

namespace bench::onetbb_fork_join {

/// Shared by all groups of a batch: one of its own for each is what a task_group costs most.
using Context = tbb::task_group_context;

/// Runs batches in an arena of so many threads, of which the calling one is the first. `one_batch` is called with a
/// Context.
template <class OneBatch>
void run_in_arena(benchmark::State& state, std::size_t threads, std::uint64_t operations, std::uint64_t expected,
                  OneBatch one_batch) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
    tbb::task_arena arena(static_cast<int>(threads));
    run_batches(state, static_cast<std::int64_t>(operations), expected, [&] {
        return arena.execute([&] {
            Context context;
            return one_batch(context);
        });
    });
}

template <class Work>
Timed time_work(Work work) {
    const Stopwatch stopwatch;
    const std::uint64_t result = work();
    return {stopwatch.seconds(), result};
}

inline std::uint64_t skynet_node(Context& context, std::uint64_t first, std::uint64_t leaves) {
    if (leaves == 1) {
        return first;
    }
    const std::uint64_t leaves_each = leaves / skynet_children;
    std::array<std::uint64_t, skynet_children> sums;
    const auto child = [&](std::size_t number) {
        return [&, number] { sums[number] = skynet_node(context, first + number * leaves_each, leaves_each); };
    };
    tbb::parallel_invoke(child(0), child(1), child(2), child(3), child(4), child(5), child(6), child(7), child(8),
                         child(9), context);
    std::uint64_t sum = 0;
    for (const auto part : sums) {
        sum += part;
    }
    return sum;
}

inline void skynet(benchmark::State& state, std::size_t threads) {
    run_in_arena(state, threads, 1, skynet_result,
                 [](Context& context) { return time_work([&] { return skynet_node(context, 0, skynet_leaves); }); });
}

inline std::uint64_t fib_node(Context& context, unsigned n) {
    if (n < 2) {
        return n;
    }
    std::uint64_t forked = 0;
    std::uint64_t own = 0;
    tbb::parallel_invoke([&] { forked = fib_node(context, n - 1); }, [&] { own = fib_node(context, n - 2); }, context);
    return forked + own;
}

inline void fib(benchmark::State& state, std::size_t threads) {
    run_in_arena(state, threads, 1, fib_result,
                 [](Context& context) { return time_work([&] { return fib_node(context, fib_of); }); });
}

inline std::uint64_t place_queens(Context& context, const Board& board) {
    if (board.rows == queens) {
        return 1;
    }
    std::array<std::uint64_t, queens> counts{};
    tbb::task_group children(context);
    for (std::size_t column = 0; column < queens; ++column) {
        if (board.allows(column)) {
            children.run([&context, &board, &count = counts[column], column] {
                count = place_queens(context, board.with(column));
            });
        }
    }
    children.wait();
    std::uint64_t sum = 0;
    for (const auto count : counts) {
        sum += count;
    }
    return sum;
}

inline void nqueens(benchmark::State& state, std::size_t threads) {
    run_in_arena(state, threads, 1, queens_result,
                 [](Context& context) { return time_work([&] { return place_queens(context, Board{}); }); });
}

inline void spawn_many(benchmark::State& state, std::size_t threads) {
    run_in_arena(state, threads, spawned, spawned, [](Context& context) {
        std::vector<std::uint8_t> bytes(spawned);
        const Stopwatch stopwatch;
        tbb::task_group children(context);
        for (auto& byte : bytes) {
            children.run([&byte] { byte = 1; });
        }
        children.wait();
        const double seconds = stopwatch.seconds();
        return Timed{seconds, sum_of(bytes)};
    });
}

}  // namespace bench::onetbb_fork_join
