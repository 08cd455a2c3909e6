// SPDX-License-Identifier: MIT
// The spawn workloads on Asio, in the forms that were fastest of those that do the same work (see README.md).
#pragma once

#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <latch>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "spawn_workloads.hpp"
#include "support/affinity.hpp"
#include "support/asio.hpp"
#include "support/asio_loop.hpp"
#include "support/process_usage.hpp"
#include "support/recycling_allocator.hpp"

namespace bench::asio_spawn {

using PoolExecutor = asio::thread_pool::executor_type;

// Not inlined, so that no compiler can put the frame into its caller: the frame is part of what is measured.
template <class Executor>
[[gnu::noinline]] Coroutine<std::uint64_t, Executor> trivial(std::uint64_t value) {
    co_return value;
}

inline void spawn_join_local(benchmark::State& state) {
    const PinnedScope pinned(nth_cpu(0));
    asio::io_context loop(1);
    auto batch = [](LoopExecutor executor) -> Coroutine<Timed> {
        const Stopwatch stopwatch;
        std::uint64_t sum = 0;
        for (std::uint64_t i = 0; i < local_joins; ++i) {
            sum += co_await asio::co_spawn(executor, trivial<LoopExecutor>(i), use_loop_awaitable);
        }
        const Timed timed{stopwatch.seconds(), sum};
        co_return timed;
    };
    run_batches(state, local_joins, sum_below(local_joins), [&] { return run_on(loop, batch(loop.get_executor())); });
}

inline void await_ready_task(benchmark::State& state) {
    const PinnedScope pinned(nth_cpu(0));
    asio::io_context loop(1);
    auto batch = []() -> Coroutine<Timed> {
        const Stopwatch stopwatch;
        std::uint64_t sum = 0;
        for (std::uint64_t i = 0; i < ready_awaits; ++i) {
            sum += co_await trivial<LoopExecutor>(i);
        }
        const Timed timed{stopwatch.seconds(), sum};
        co_return timed;
    };
    run_batches(state, ready_awaits, sum_below(ready_awaits), [&] { return run_on(loop, batch()); });
}

inline void yield(benchmark::State& state) {
    const PinnedScope pinned(nth_cpu(0));
    asio::io_context loop(1);
    auto yielder = [](YieldCount& count) -> Coroutine<void> {
        for (std::uint64_t i = 0; i < yields_each; ++i) {
            co_await asio::post(use_loop_awaitable);  // To the coroutine's own executor: faster than naming it.
            count.step();
        }
        count.finished();
    };
    run_batches(state, yields, yields, [&] {
        YieldCount count;
        const Stopwatch stopwatch;
        for (std::uint64_t i = 0; i < yielders; ++i) {
            asio::co_spawn(loop, yielder(count), asio::detached);
        }
        loop.restart();
        loop.run();
        return Timed{stopwatch.seconds(), count.result()};
    });
}

/// `spawn_and_wait(value)` gives the value back from a worker, on the benchmark's own thread.
template <class SpawnAndWait>
void foreign_join_batches(benchmark::State& state, SpawnAndWait spawn_and_wait) {
    run_batches(state, foreign_joins, sum_below(foreign_joins), [&] {
        const Stopwatch stopwatch;
        std::uint64_t sum = 0;
        for (std::uint64_t i = 0; i < foreign_joins; ++i) {
            sum += spawn_and_wait(i);
        }
        return Timed{stopwatch.seconds(), sum};
    });
}

inline void spawn_join_foreign(benchmark::State& state) {
    asio::thread_pool pool(workers);
    foreign_join_batches(state, [executor = pool.get_executor()](std::uint64_t value) {
        return asio::co_spawn(executor, trivial<PoolExecutor>(value), asio::use_future).get();
    });
}

/// A plain function in place of a coroutine.
inline void spawn_join_foreign_post(benchmark::State& state) {
    asio::thread_pool pool(workers);
    foreign_join_batches(state, [executor = pool.get_executor()](std::uint64_t value) {
        return asio::post(executor, asio::use_future([value] { return value; })).get();
    });
}

/// Waits on an atomic, which spins before it blocks, instead of a future.
inline std::uint64_t spawn_and_wait_on_atomic(const LoopExecutor& executor, std::uint64_t value) {
    constexpr std::uint64_t pending = ~std::uint64_t{0};
    std::atomic<std::uint64_t> result{pending};
    asio::co_spawn(executor, trivial<LoopExecutor>(value), [&result](std::exception_ptr, std::uint64_t got) {
        result.store(got, std::memory_order_release);
        result.notify_one();
    });
    result.wait(pending, std::memory_order_acquire);
    return result.load(std::memory_order_acquire);
}

inline void spawn_join_foreign_atomic_wait(benchmark::State& state) {
    std::array<LoopThread, workers> threads;
    foreign_join_batches(state, [&](std::uint64_t value) {
        return spawn_and_wait_on_atomic(threads[value % workers].executor(), value);
    });
}

inline void spawn_join_foreign_apart(benchmark::State& state) {
    const PinnedScope pinned(nth_cpu(0));
    LoopThread worker(nth_cpu(1));
    foreign_join_batches(state, [executor = worker.executor()](std::uint64_t value) {
        return asio::co_spawn(executor, trivial<LoopExecutor>(value), asio::use_future).get();
    });
}

inline void spawn_join_foreign_apart_atomic_wait(benchmark::State& state) {
    const PinnedScope pinned(nth_cpu(0));
    LoopThread worker(nth_cpu(1));
    foreign_join_batches(state, [executor = worker.executor()](std::uint64_t value) {
        return spawn_and_wait_on_atomic(executor, value);
    });
}

inline void post_foreign(benchmark::State& state) {
    std::array<LoopThread, workers> threads;
    run_batches(state, posts, sum_below(posts), [&] {
        return post_to_all_workers([&](std::size_t worker, std::uint64_t value, PostCounter& counter) {
            asio::post(threads[worker].executor(), [&counter, value] { counter.take(value); });
        });
    });
}

/// The same with an allocator that brings the handlers' memory back to the posting thread.
inline void post_foreign_recycling(benchmark::State& state) {
    std::array<RecyclingStore, workers> stores;
    std::array<LoopThread, workers> threads;
    const auto with_store = [&](std::size_t worker) {
        const auto allocator = asio::execution::allocator(RecyclingAllocator<void*>(stores[worker]));
        const auto recycling = asio::require(threads[worker].executor(), allocator);
        return asio::require(recycling, asio::execution::blocking.never);
    };
    const std::array executors{with_store(0), with_store(1)};
    run_batches(state, posts, sum_below(posts), [&] {
        return post_to_all_workers([&](std::size_t worker, std::uint64_t value, PostCounter& counter) {
            asio::execution::execute(executors[worker], [&counter, value] { counter.take(value); });
        });
    });
}

/// One queue for both workers: any of them may run a handler, so the pool is made for the batch and joined to wait.
inline void post_foreign_pool(benchmark::State& state) {
    static std::atomic<std::uint64_t> total_sum;
    struct WorkerSum {
        std::uint64_t sum = 0;
        ~WorkerSum() { total_sum.fetch_add(sum, std::memory_order_relaxed); }
    };
    run_batches(state, posts, sum_below(posts), [&] {
        total_sum.store(0, std::memory_order_relaxed);
        const Stopwatch stopwatch;
        asio::thread_pool pool(workers);
        const auto executor = pool.get_executor();
        for (std::uint64_t value = 0; value < posts; ++value) {
            asio::post(executor, [value] {
                static thread_local WorkerSum worker;
                worker.sum += value;
            });
        }
        pool.join();
        return Timed{stopwatch.seconds(), total_sum.load(std::memory_order_relaxed)};
    });
}

inline void post_foreign_co_spawn(benchmark::State& state) {
    std::array<LoopThread, workers> threads;
    auto task = [](PostCounter& counter, std::uint64_t value) -> Coroutine<void> {
        counter.take(value);
        co_return;
    };
    run_batches(state, posts, sum_below(posts), [&] {
        return post_to_all_workers([&](std::size_t worker, std::uint64_t value, PostCounter& counter) {
            asio::co_spawn(threads[worker].executor(), task(counter, value), asio::detached);
        });
    });
}

/// Bytes of memory per suspended coroutine. For a fresh process.
inline double suspended_task_bytes() {
    using Handler = asio::detail::awaitable_handler<LoopExecutor>;  // Asio 1.22 has no public type that could hold it.
    auto suspend_in = [](std::vector<Handler>& suspended) -> Coroutine<void> {
        auto keep = [&suspended](Handler handler) { suspended.push_back(std::move(handler)); };
        using Token = const asio::use_awaitable_t<LoopExecutor>&;
        co_await asio::async_initiate<Token, void()>(std::move(keep), use_loop_awaitable);
    };
    // Spawned on the loop, a coroutine runs inline until it is suspended: no queue grows.
    auto grow = [](LoopExecutor executor, std::vector<Handler>& suspended, auto task) -> Coroutine<std::int64_t> {
        const auto before = resident_bytes();
        for (std::uint64_t i = 0; i < suspended_tasks; ++i) {
            asio::co_spawn(executor, task(suspended), asio::detached);
        }
        if (suspended.size() != suspended_tasks) {
            throw std::runtime_error("not all coroutines are suspended");
        }
        co_return resident_bytes() - before;
    };
    asio::io_context loop(1);
    std::vector<Handler> suspended;
    suspended.reserve(suspended_tasks);  // Not in memory before it is written.
    std::optional<std::int64_t> grown;
    asio::co_spawn(loop, grow(loop.get_executor(), suspended, suspend_in),
                   [&](std::exception_ptr error, std::int64_t bytes) {
                       if (error) {
                           std::rethrow_exception(error);
                       }
                       grown = bytes;
                   });
    while (!grown) {
        loop.run_one();
    }
    return static_cast<double>(*grown) / static_cast<double>(suspended_tasks);
}

}  // namespace bench::asio_spawn
