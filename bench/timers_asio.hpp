// SPDX-License-Identifier: MIT
// The timer workloads on Asio: a coroutine and a steady_timer for each sleep, on one loop (see README.md).
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "support/affinity.hpp"
#include "support/asio.hpp"
#include "support/asio_loop.hpp"
#include "timers_workloads.hpp"

namespace bench::asio_timers {

using Timer = asio::basic_waitable_timer<SleepClock, asio::wait_traits<SleepClock>, LoopExecutor>;
using Timers = std::vector<Timer*>;

inline Coroutine<void> sleep_until_due(const LoopExecutor& executor, std::uint64_t i, Sleepers& sleepers) {
    const auto due = SleepClock::now() + sleep_time(i);
    Timer timer(executor, due);
    co_await timer.async_wait(use_loop_awaitable);
    sleepers.fired(i, due);
}

/// Puts its timer into `timers`.
inline Coroutine<void> sleep_until_cancelled(const LoopExecutor& executor, std::uint64_t i, Timers& timers,
                                             Sleepers& sleepers) {
    Timer timer(executor, SleepClock::now() + far_sleep_time(i));
    timers.push_back(&timer);
    sleepers.begins();
    asio::error_code error;
    // An exception each would be the larger part of the work.
    co_await timer.async_wait(asio::redirect_error(use_loop_awaitable, error));
    sleepers.ends(i, error == asio::error::operation_aborted);
}

/// On the loop, where co_spawn() runs a sleeper at once, up to its wait, so that no queue grows.
inline void spawn_all_for_long(const LoopExecutor& executor, Timers& timers, Sleepers& sleepers) {
    for (std::uint64_t i = 0; i < sleeps; ++i) {
        asio::co_spawn(executor, sleep_until_cancelled(executor, i, timers, sleepers), asio::detached);
    }
    if (!sleepers.all_asleep()) {
        throw std::runtime_error("not all coroutines are asleep");
    }
}

/// `start(sleepers)` on the loop, and all that it starts to the end.
template <class Start>
Timed run_sleepers(asio::io_context& loop, Start start) {
    Sleepers sleepers;
    const CpuStopwatch stopwatch;
    asio::post(loop, [&] { start(sleepers); });
    loop.restart();
    loop.run();
    return {stopwatch.seconds(), sleepers.sum()};
}

inline Timed all_fire(asio::io_context& loop) {
    const auto executor = loop.get_executor();
    return run_sleepers(loop, [&](Sleepers& sleepers) {
        for (std::uint64_t i = 0; i < sleeps; ++i) {
            asio::co_spawn(executor, sleep_until_due(executor, i, sleepers), asio::detached);
        }
    });
}

inline CancelledSleeps all_cancelled(asio::io_context& loop) {
    const auto executor = loop.get_executor();
    double begun = 0;
    const Timed whole = run_sleepers(loop, [&](Sleepers& sleepers) {
        const CpuStopwatch stopwatch;
        Timers timers;
        timers.reserve(sleeps);
        spawn_all_for_long(executor, timers, sleepers);
        begun = stopwatch.seconds();
        for (Timer* timer : timers) {
            timer->cancel();
        }
    });
    return {begun, whole.seconds, whole.result};
}

inline void sleep_create(benchmark::State& state) {
    const PinnedScope pinned(nth_cpu(0));
    asio::io_context loop(1);
    auto batch = [&] { return all_cancelled(loop).beginning(); };
    run_warm_batches(state, batch, batch);
}

inline void sleep_fire(benchmark::State& state) {
    const PinnedScope pinned(nth_cpu(0));
    asio::io_context loop(1);
    run_warm_batches(
        state, [&] { all_cancelled(loop); }, [&] { return all_fire(loop); });
}

inline void sleep_cancel(benchmark::State& state) {
    const PinnedScope pinned(nth_cpu(0));
    asio::io_context loop(1);
    auto batch = [&] { return all_cancelled(loop).whole(); };
    run_warm_batches(state, batch, batch);
}

/// Bytes of memory per sleeping coroutine, but for the list of the timers, which only cancelling needs. For a fresh
/// process.
inline double pending_sleep_bytes() {
    Sleepers sleepers;
    Timers timers;
    timers.reserve(sleeps);
    asio::io_context loop(1);
    const auto executor = loop.get_executor();
    double bytes = 0;
    asio::post(loop, [&] {
        const GrowthPerSleep growth;
        spawn_all_for_long(executor, timers, sleepers);
        bytes = growth.bytes() - static_cast<double>(sizeof(Timer*));
    });
    loop.run_one();
    return bytes;
}

}  // namespace bench::asio_timers
