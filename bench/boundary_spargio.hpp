// SPDX-License-Identifier: MIT
// The boundary workloads on spargio.
#pragma once

#include <spargio/spargio.hpp>

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <utility>

#include "boundary_workloads.hpp"

namespace bench::spargio_boundary {

using spargio::Runtime;
using spargio::Task;

using Client = spargio::boundary::Client<std::uint64_t, std::uint64_t>;
using Server = spargio::boundary::Server<std::uint64_t, std::uint64_t>;
using Ticket = spargio::boundary::Ticket<std::uint64_t>;

inline Runtime make_runtime() {
    return spargio::RuntimeBuilder().backend(spargio::BackendKind::IoUring).shards(serving_threads).build();
}

inline Task<> serve(Server server) {
    while (auto request = co_await server.recv()) {
        const auto answer = answer_to(request->request());
        static_cast<void>(request->respond(answer));
    }
}

/// A runtime with one task that serves.
struct Service {
    Runtime runtime = make_runtime();
    Client client = start(runtime);

    [[nodiscard]] std::uint64_t call(std::uint64_t question) const { return client.call(question).get().value(); }

private:
    static Client start(const Runtime& runtime) {
        auto [client, server] = spargio::boundary::channel<std::uint64_t, std::uint64_t>(callers * in_flight);
        runtime.handle().spawn_stealable(serve(std::move(server))).detach();
        return client;
    }
};

inline void call_idle(benchmark::State& state) {
    const Service service;
    calls_apart(state, [&](std::uint64_t question) { return service.call(question); });
}

inline void call_back_to_back(benchmark::State& state) {
    const Service service;
    run_calls_in_turn(state, calls_in_turn, [&](std::uint64_t question) { return service.call(question); });
}

inline Task<> keep_busy(const std::atomic<bool>& enough) {
    while (!enough.load(std::memory_order_relaxed)) {
        work_for_a_piece();
        co_await spargio::yield();
    }
}

inline void call_busy(benchmark::State& state) {
    std::atomic<bool> enough{false};
    const Service service;
    for (std::size_t shard = 0; shard < serving_threads; ++shard) {
        service.runtime.handle().spawn_pinned(static_cast<spargio::ShardId>(shard), keep_busy(enough)).detach();
    }
    run_calls_in_turn(state, busy_calls, [&](std::uint64_t question) { return service.call(question); });
    enough.store(true, std::memory_order_relaxed);
}

inline void call_in_flight_64(benchmark::State& state) {
    const Service service;
    run_calls_in_flight<Ticket>(
        state,
        [&](std::optional<Ticket>& ticket, std::uint64_t question) {
            ticket.emplace(service.client.try_call(question).value());
        },
        [](Ticket& ticket) { return ticket.get().value(); });
}

inline Task<Timed> call_out_in_turn(Client client) {
    const Stopwatch stopwatch;
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < calls_in_turn; ++i) {
        sum += (co_await client.call(i)).value();
    }
    const Timed timed{stopwatch.seconds(), sum};
    co_return timed;
}

inline void call_out(benchmark::State& state) {
    auto [client, server] = spargio::boundary::channel<std::uint64_t, std::uint64_t>(1);
    std::thread thread([server = std::move(server)] {
        while (auto request = server.recv().get()) {
            static_cast<void>(request->respond(answer_to(request->request())));
        }
    });
    {
        auto runtime = make_runtime();
        const Client only = std::move(client);
        run_batches(state, calls_in_turn, sum_of_answers(calls_in_turn),
                    [&] { return runtime.block_on(call_out_in_turn(only)); });
    }
    thread.join();
}

}  // namespace bench::spargio_boundary
