// SPDX-License-Identifier: MIT
// Requests that arrive whether or not the last ones have ended, and fork computations and reads: their latencies at
// some rates, and the highest rate that is kept up with, beside the same work on Asio.
#include <benchmark/benchmark.h>

#include <string>

#include "mixed_asio.hpp"
#include "mixed_spargio.hpp"
#include "mixed_workloads.hpp"
#include "support/environment.hpp"
#include "support/registration.hpp"

namespace {

using bench::asio_mixed::ForkClaims;
using bench::asio_mixed::ForkHandlers;
template <class Fork>
using OnAsio = bench::asio_mixed::Server<Fork>;
using OnSpargio = bench::spargio_mixed::Server;

template <class Server>
void add_at_rate(const std::string& runtime, int rate) {
    const auto workload = [rate](benchmark::State& state) {
        Server server;
        bench::run_at_rate(state, rate, [&](bench::Step& step) { server.run_step(step); });
    };
    bench::add_benchmark("mixed_at_" + std::to_string(rate) + "/" + runtime, workload)->UseManualTime();
}

template <class Server>
void add_highest_rate(const std::string& runtime) {
    bench::add_figure("mixed_highest_rate/" + runtime, "per_second", [] {
        Server server;
        return bench::highest_rate([&](bench::Step& step) { server.run_step(step); });
    });
}

}  // namespace

int main(int argc, char** argv) {
    bench::describe_environment();
    for (const int rate : bench::fixed_rates) {
        add_at_rate<OnSpargio>("spargio", rate);
        add_at_rate<OnAsio<ForkClaims>>("asio", rate);
        add_at_rate<OnAsio<ForkHandlers>>("asio_handlers", rate);
    }
    add_highest_rate<OnSpargio>("spargio");
    add_highest_rate<OnAsio<ForkClaims>>("asio");
    add_highest_rate<OnAsio<ForkHandlers>>("asio_handlers");
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 1;
    }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
