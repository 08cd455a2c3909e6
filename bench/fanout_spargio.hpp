// SPDX-License-Identifier: MIT
// The fan-out workloads on spargio.
#pragma once

#include <spargio/spargio.hpp>

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "fanout_workloads.hpp"

namespace bench::spargio_fanout {

using spargio::JoinHandle;
using spargio::RuntimeHandle;
using spargio::Task;

inline Task<std::uint64_t> run_branch(const Fanout& fanout, std::size_t request, std::size_t branch) {
    co_return compute_branch(fanout, request, branch);
}

inline Task<std::uint64_t> run_request(const RuntimeHandle& handle, const Fanout& fanout, std::size_t request,
                                       Stopwatch stopwatch, double& seconds) {
    std::array<JoinHandle<std::uint64_t>, branches_each> branches;
    for (std::size_t branch = 0; branch < branches_each; ++branch) {
        branches[branch] = handle.spawn_stealable(run_branch(fanout, request, branch));
    }
    std::uint64_t sum = 0;
    for (auto& branch : branches) {
        sum += co_await std::move(branch);
    }
    seconds = stopwatch.seconds();
    co_return sum;
}

/// The same by spawn_many(): no handles.
inline Task<std::uint64_t> run_forked_request(const RuntimeHandle&, const Fanout& fanout, std::size_t request,
                                              Stopwatch stopwatch, double& seconds) {
    std::vector<Task<std::uint64_t>> branches;
    branches.reserve(branches_each);
    for (std::size_t branch = 0; branch < branches_each; ++branch) {
        branches.push_back(run_branch(fanout, request, branch));
    }
    std::uint64_t sum = 0;
    for (const auto result : co_await spargio::spawn_many(std::move(branches))) {
        sum += result;
    }
    seconds = stopwatch.seconds();
    co_return sum;
}

using RunRequest = decltype(run_request);

template <RunRequest run_one>
Task<Timed> run_in_turn(const RuntimeHandle& handle, const Fanout& fanout, RequestSeconds seconds) {
    const Stopwatch stopwatch;
    std::uint64_t sum = 0;
    for (std::size_t request = 0; request < fanout.requests; ++request) {
        sum += co_await run_one(handle, fanout, request, Stopwatch(), seconds[request]);
    }
    const Timed timed{stopwatch.seconds(), sum};
    co_return timed;
}

template <RunRequest run_one>
Task<Timed> run_at_once(const RuntimeHandle& handle, const Fanout& fanout, RequestSeconds seconds) {
    std::vector<JoinHandle<std::uint64_t>> requests(fanout.requests);
    const Stopwatch stopwatch;
    for (std::size_t request = 0; request < fanout.requests; ++request) {
        requests[request] = handle.spawn_stealable(run_one(handle, fanout, request, stopwatch, seconds[request]));
    }
    std::uint64_t sum = 0;
    for (auto& request : requests) {
        sum += co_await std::move(request);
    }
    const Timed timed{stopwatch.seconds(), sum};
    co_return timed;
}

/// The parent of all is stealable too: it goes on where a branch ended, and so need not be woken on another shard.
template <RunRequest run_one>
void fanout(benchmark::State& state, const Fanout& fanout, spargio::BackendKind backend, std::size_t shards) {
    const auto runtime = spargio::RuntimeBuilder().backend(backend).shards(shards).build();
    const auto handle = runtime.handle();
    auto* const run = fanout.order == Fanout::Order::InTurn ? run_in_turn<run_one> : run_at_once<run_one>;
    run_fanout(state, fanout,
               [&](RequestSeconds seconds) { return handle.spawn_stealable(run(handle, fanout, seconds)).get(); });
}

}  // namespace bench::spargio_fanout
