// SPDX-License-Identifier: MIT
// The fan-out workloads on Asio's thread pool, in the form that was fastest (see README.md).
#pragma once

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "fanout_workloads.hpp"
#include "support/asio_join.hpp"

namespace bench::asio_fanout {

using Join = AsioJoin<PoolExecutor>;

inline constexpr std::size_t pool_threads = 2;

/// co_spawn dispatches, so on a pool thread a child would run to its end before the next is there: it posts first.
inline PoolCoroutine<void> run_branch(const Fanout& fanout, std::size_t request, std::size_t branch,
                                      std::uint64_t& result, Join& join) {
    co_await asio::post(use_pool_awaitable);
    result = compute_branch(fanout, request, branch);
    join.arrive();
}

struct ForkCoroutines {
    void operator()(const PoolExecutor& executor, const Fanout& fanout, std::size_t request, std::size_t branch,
                    std::uint64_t& result, Join& join) const {
        asio::co_spawn(executor, run_branch(fanout, request, branch, result, join), asio::detached);
    }
};

/// A plain function in place of a coroutine.
struct ForkHandlers {
    void operator()(const PoolExecutor& executor, const Fanout& fanout, std::size_t request, std::size_t branch,
                    std::uint64_t& result, Join& join) const {
        asio::post(executor, [&fanout, request, branch, &result, &join] {
            result = compute_branch(fanout, request, branch);
            join.arrive();
        });
    }
};

template <class Fork>
PoolCoroutine<std::uint64_t> run_request(PoolExecutor executor, const Fanout& fanout, std::size_t request,
                                         Stopwatch stopwatch, double& seconds) {
    std::array<std::uint64_t, branches_each> results;
    Join join(branches_each);
    for (std::size_t branch = 0; branch < branches_each; ++branch) {
        Fork()(executor, fanout, request, branch, results[branch], join);
    }
    co_await join.wait();
    std::uint64_t sum = 0;
    for (const auto result : results) {
        sum += result;
    }
    seconds = stopwatch.seconds();
    co_return sum;
}

template <class Fork>
PoolCoroutine<Timed> run_in_turn(PoolExecutor executor, const Fanout& fanout, RequestSeconds seconds) {
    const Stopwatch stopwatch;
    std::uint64_t sum = 0;
    for (std::size_t request = 0; request < fanout.requests; ++request) {
        sum += co_await run_request<Fork>(executor, fanout, request, Stopwatch(), seconds[request]);
    }
    const Timed timed{stopwatch.seconds(), sum};
    co_return timed;
}

template <class Fork>
PoolCoroutine<void> run_forked_request(PoolExecutor executor, const Fanout& fanout, std::size_t request,
                                       Stopwatch stopwatch, double& seconds, std::uint64_t& result, Join& join) {
    co_await asio::post(use_pool_awaitable);
    result = co_await run_request<Fork>(executor, fanout, request, stopwatch, seconds);
    join.arrive();
}

template <class Fork>
PoolCoroutine<Timed> run_at_once(PoolExecutor executor, const Fanout& fanout, RequestSeconds seconds) {
    std::vector<std::uint64_t> results(fanout.requests);
    Join join(fanout.requests);
    const Stopwatch stopwatch;
    for (std::size_t request = 0; request < fanout.requests; ++request) {
        asio::co_spawn(
            executor,
            run_forked_request<Fork>(executor, fanout, request, stopwatch, seconds[request], results[request], join),
            asio::detached);
    }
    co_await join.wait();
    std::uint64_t sum = 0;
    for (const auto result : results) {
        sum += result;
    }
    const Timed timed{stopwatch.seconds(), sum};
    co_return timed;
}

template <class Fork>
void fanout(benchmark::State& state, const Fanout& fanout) {
    asio::thread_pool pool(pool_threads);
    auto* const run = fanout.order == Fanout::Order::InTurn ? run_in_turn<Fork> : run_at_once<Fork>;
    run_fanout(state, fanout, [&, executor = pool.get_executor()](RequestSeconds seconds) {
        return asio::co_spawn(executor, run(executor, fanout, seconds), asio::use_future).get();
    });
}

}  // namespace bench::asio_fanout
