// SPDX-License-Identifier: MIT
// The fork-join workloads on Asio's thread pool, in the forms that were fastest (see README.md).
#pragma once

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "fork_join_workloads.hpp"
#include "support/asio_join.hpp"

namespace bench::asio_fork_join {

using Join = AsioJoin<PoolExecutor>;

/// A pool's executor, and how many threads it has.
struct Pool {
    PoolExecutor executor;
    std::size_t threads;
};

/// co_spawn dispatches, so on a pool thread a child would run on the parent's stack and no other thread would get it:
/// it posts first, unless there is no other thread.
inline PoolCoroutine<void> run_child(const Pool& pool, PoolCoroutine<std::uint64_t> child, std::uint64_t& result,
                                     Join& join) {
    if (pool.threads > 1) {
        co_await asio::post(use_pool_awaitable);
    }
    result = co_await std::move(child);
    join.arrive();
}

inline void fork(const Pool& pool, PoolCoroutine<std::uint64_t> child, std::uint64_t& result, Join& join) {
    asio::co_spawn(pool.executor, run_child(pool, std::move(child), result, join), asio::detached);
}

/// Runs one coroutine as a batch, spawned from outside.
template <class MakeCoroutine>
void run_coroutines(benchmark::State& state, std::size_t threads, std::uint64_t expected,
                    MakeCoroutine make_coroutine) {
    asio::thread_pool thread_pool(threads);
    const Pool pool{thread_pool.get_executor(), threads};
    run_batches(state, 1, expected, [&] {
        const Stopwatch stopwatch;
        const std::uint64_t result = asio::co_spawn(pool.executor, make_coroutine(pool), asio::use_future).get();
        return Timed{stopwatch.seconds(), result};
    });
}

inline PoolCoroutine<std::uint64_t> skynet_node(const Pool& pool, std::uint64_t first, std::uint64_t leaves) {
    if (leaves == 1) {
        co_return first;
    }
    const std::uint64_t leaves_each = leaves / skynet_children;
    std::array<std::uint64_t, skynet_children> sums;
    Join join(skynet_children);
    for (std::size_t child = 0; child < skynet_children; ++child) {
        fork(pool, skynet_node(pool, first + child * leaves_each, leaves_each), sums[child], join);
    }
    if (!join.done()) {
        co_await join.wait();
    }
    std::uint64_t sum = 0;
    for (const auto part : sums) {
        sum += part;
    }
    co_return sum;
}

inline void skynet(benchmark::State& state, std::size_t threads) {
    run_coroutines(state, threads, skynet_result, [](const Pool& pool) { return skynet_node(pool, 0, skynet_leaves); });
}

inline PoolCoroutine<std::uint64_t> fib_node(const Pool& pool, unsigned n) {
    if (n < 2) {
        co_return n;
    }
    std::uint64_t forked = 0;
    Join join(1);
    fork(pool, fib_node(pool, n - 1), forked, join);
    const std::uint64_t own = co_await fib_node(pool, n - 2);
    if (!join.done()) {
        co_await join.wait();
    }
    co_return forked + own;
}

inline void fib(benchmark::State& state, std::size_t threads) {
    run_coroutines(state, threads, fib_result, [](const Pool& pool) { return fib_node(pool, fib_of); });
}

inline PoolCoroutine<std::uint64_t> place_queens(const Pool& pool, Board board) {
    if (board.rows == queens) {
        co_return 1;
    }
    std::array<std::uint64_t, queens> counts{};
    std::array<std::size_t, queens> columns{};
    std::size_t forked = 0;
    for (std::size_t column = 0; column < queens; ++column) {
        if (board.allows(column)) {
            columns[forked++] = column;
        }
    }
    Join join(forked);
    for (std::size_t child = 0; child < forked; ++child) {
        fork(pool, place_queens(pool, board.with(columns[child])), counts[child], join);
    }
    if (!join.done()) {
        co_await join.wait();
    }
    std::uint64_t sum = 0;
    for (const auto count : counts) {
        sum += count;
    }
    co_return sum;
}

inline void nqueens(benchmark::State& state, std::size_t threads) {
    run_coroutines(state, threads, queens_result, [](const Pool& pool) { return place_queens(pool, Board{}); });
}

// Deferred, the children queue up on the parent's thread without its pool's mutex; the others get them when it waits.
inline PoolCoroutine<void> store_one(std::uint8_t& byte, Join& join) {
    co_await asio::defer(use_pool_awaitable);
    byte = 1;
    join.arrive();
}

struct SpawnCoroutine {
    void operator()(const PoolExecutor& executor, std::uint8_t& byte, Join& join) const {
        asio::co_spawn(executor, store_one(byte, join), asio::detached);
    }
};

/// A plain function in place of a coroutine.
struct DeferHandler {
    void operator()(const PoolExecutor& executor, std::uint8_t& byte, Join& join) const {
        asio::defer(executor, [&byte, &join] {
            byte = 1;
            join.arrive();
        });
    }
};

template <class Spawn>
PoolCoroutine<Timed> spawn_and_join(PoolExecutor executor) {
    std::vector<std::uint8_t> bytes(spawned);
    const Stopwatch stopwatch;
    Join join(spawned);
    for (auto& byte : bytes) {
        Spawn()(executor, byte, join);
    }
    co_await join.wait();
    const double seconds = stopwatch.seconds();
    const Timed timed{seconds, sum_of(bytes)};
    co_return timed;
}

template <class Spawn>
void spawn_many(benchmark::State& state, std::size_t threads) {
    asio::thread_pool pool(threads);
    const auto executor = pool.get_executor();
    run_batches(state, spawned, spawned,
                [&] { return asio::co_spawn(executor, spawn_and_join<Spawn>(executor), asio::use_future).get(); });
}

}  // namespace bench::asio_fork_join
