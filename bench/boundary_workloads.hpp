// SPDX-License-Identifier: MIT
// The boundary workloads apart from any runtime: who calls, how often, and the sums that prove the answers.
#pragma once

#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <optional>
#include <thread>
#include <vector>

#include "support/timed_batches.hpp"

namespace bench {

/// Shards, or threads of the pool. Nobody is pinned.
inline constexpr std::size_t serving_threads = 2;

/// What a call asks, and its answer: next to no work.
constexpr std::uint64_t answer_to(std::uint64_t question) noexcept {
    return question + 1;
}
/// The sum of the answers to 0 ... calls - 1.
constexpr std::uint64_t sum_of_answers(std::uint64_t calls) noexcept {
    return sum_below(calls) + calls;
}

inline constexpr std::uint64_t idle_calls = 100;
inline constexpr auto idle_pause = std::chrono::milliseconds(1);
inline constexpr std::uint64_t calls_in_turn = 5'000;
inline constexpr std::uint64_t busy_calls = 500;
/// The pieces of work, each of which ends where others may run, that keep a shard busy.
inline constexpr auto busy_piece = std::chrono::microseconds(10);
inline constexpr std::size_t callers = 4;
inline constexpr std::size_t in_flight = 64;  // Of each caller.
inline constexpr std::uint64_t calls_of_each = 50'000;

/// One call each millisecond; the pauses do not count. `call` blocks, and gives the answer.
template <class Call>
void calls_apart(benchmark::State& state, Call call) {
    run_batches(state, idle_calls, sum_of_answers(idle_calls), [&] {
        Timed timed;
        for (std::uint64_t i = 0; i < idle_calls; ++i) {
            std::this_thread::sleep_for(idle_pause);
            const Stopwatch stopwatch;
            timed.result += call(i);
            timed.seconds += stopwatch.seconds();
        }
        return timed;
    });
}

template <class Call>
void run_calls_in_turn(benchmark::State& state, std::uint64_t calls, Call call) {
    run_batches(state, static_cast<std::int64_t>(calls), sum_of_answers(calls), [&] {
        const Stopwatch stopwatch;
        std::uint64_t sum = 0;
        for (std::uint64_t i = 0; i < calls; ++i) {
            sum += call(i);
        }
        return Timed{stopwatch.seconds(), sum};
    });
}

/// Work that keeps a CPU busy for one piece.
inline void work_for_a_piece() {
    const auto end = std::chrono::steady_clock::now() + busy_piece;
    while (std::chrono::steady_clock::now() < end) {}
}

/// Four threads with 64 calls in flight each: whenever its oldest call is answered, a thread begins another one.
/// `begin()` makes a call, in the place that it is given; `finish()` waits for its answer.
template <class Call, class Begin, class Finish>
void run_calls_in_flight(benchmark::State& state, Begin begin, Finish finish) {
    constexpr auto all = callers * calls_of_each;
    run_batches(state, static_cast<std::int64_t>(all), callers * sum_of_answers(calls_of_each), [&] {
        std::array<std::uint64_t, callers> sums{};
        std::latch ready(callers + 1);
        std::vector<std::thread> threads;
        for (std::size_t caller = 0; caller < callers; ++caller) {
            threads.emplace_back([&, caller] {
                std::array<std::optional<Call>, in_flight> calls;
                std::uint64_t sum = 0;
                ready.arrive_and_wait();
                for (std::uint64_t i = 0; i < calls_of_each + in_flight; ++i) {
                    auto& call = calls[i % in_flight];
                    if (call) {
                        sum += finish(*call);
                    }
                    call.reset();
                    if (i < calls_of_each) {
                        begin(call, i);
                    }
                }
                sums[caller] = sum;
            });
        }
        ready.arrive_and_wait();
        const Stopwatch stopwatch;
        for (auto& thread : threads) {
            thread.join();
        }
        Timed timed{stopwatch.seconds(), 0};
        for (const auto sum : sums) {
            timed.result += sum;
        }
        return timed;
    });
}

}  // namespace bench
