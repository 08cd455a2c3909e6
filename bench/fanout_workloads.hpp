// SPDX-License-Identifier: MIT
// The fan-out workloads apart from any runtime: what a branch computes, how many there are, the sums that prove it.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "support/timed_batches.hpp"

namespace bench {

inline constexpr std::size_t branches_each = 16;

/// A batch: requests that each fork 16 branches and join them. Of each request one branch may be longer: which, goes
/// round.
struct Fanout {
    enum class Order { InTurn, AtOnce };

    const char* name;
    Order order;
    std::size_t requests;
    std::uint64_t iterations;
    std::uint64_t iterations_of_one;
    std::uint64_t expected;  // The sum of what all branches compute, modulo 2^64.

    [[nodiscard]] std::uint64_t iterations_of(std::size_t request, std::size_t branch) const noexcept {
        return branch == request % branches_each ? iterations_of_one : iterations;
    }
};

inline constexpr Fanout fanouts[] = {
    {"fanout_fanin_balanced", Fanout::Order::InTurn, 64, 2'000, 2'000, 1192005182914146348U},
    {"fanout_fanin_skewed", Fanout::Order::InTurn, 64, 500, 20'000, 9745834652171997121U},
    {"requests_at_once_uniform", Fanout::Order::AtOnce, 256, 1'225, 1'225, 15838918917901469546U},
    {"requests_at_once_skewed", Fanout::Order::AtOnce, 256, 1'225, 19'600, 11116336515026400954U},
    {"requests_in_turn_uniform", Fanout::Order::InTurn, 256, 1'225, 1'225, 15838918917901469546U},
    {"requests_in_turn_skewed", Fanout::Order::InTurn, 256, 1'225, 19'600, 11116336515026400954U},
};

/// What a branch does, 1.5 ns an iteration on a current machine. Not inlined: every runtime runs the same instructions.
[[gnu::noinline]] inline std::uint64_t compute_branch(const Fanout& fanout, std::size_t request, std::size_t branch) {
    const std::uint64_t seed = (std::uint64_t{request} << 32U) ^ branch;
    std::uint64_t x = seed ^ 0x9E3779B97F4A7C15U;
    const std::uint64_t iterations = fanout.iterations_of(request, branch);
    for (std::uint64_t i = 0; i < iterations; ++i) {
        x = x * 6364136223846793005U + (1442695040888963407U ^ i);
        x ^= x >> 29U;
    }
    return x;
}

/// Where the requests of a batch write how long they took: each its own element, from its start to its end. Requests
/// at once all start with the batch.
using RequestSeconds = std::span<double>;

/// Runs batches and reports, beside the time of a batch, what its requests took. `one_batch` is called with a
/// RequestSeconds.
template <class OneBatch>
void run_fanout(benchmark::State& state, const Fanout& fanout, OneBatch one_batch) {
    std::vector<double> of_batch(fanout.requests);
    std::vector<double> all;
    count_switches(state, fanout.requests * (branches_each + 1), [&] {
        run_batches(state, 1, fanout.expected, [&] {
            const Timed timed = one_batch(RequestSeconds(of_batch));
            all.insert(all.end(), of_batch.begin(), of_batch.end());
            return timed;
        });
    });
    if (all.empty()) {
        return;
    }
    std::sort(all.begin(), all.end());
    state.counters["p50_us"] = 1e6 * all[all.size() / 2];
    state.counters["p99_us"] = 1e6 * all[all.size() * 99 / 100];
}

/// One thread, no runtime.
inline void fanout_serial(benchmark::State& state, const Fanout& fanout) {
    run_fanout(state, fanout, [&](RequestSeconds seconds) {
        const Stopwatch stopwatch;
        double started = 0;
        std::uint64_t sum = 0;
        for (std::size_t request = 0; request < fanout.requests; ++request) {
            for (std::size_t branch = 0; branch < branches_each; ++branch) {
                sum += compute_branch(fanout, request, branch);
            }
            const double ended = stopwatch.seconds();
            seconds[request] = ended - started;
            started = fanout.order == Fanout::Order::InTurn ? ended : 0;
        }
        return Timed{stopwatch.seconds(), sum};
    });
}

}  // namespace bench
