// SPDX-License-Identifier: MIT
// What it costs to fork a task and to join it, in trees that fork everything, beside Asio's thread pool and oneTBB.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "fork_join_asio.hpp"
#include "fork_join_spargio.hpp"
#include "fork_join_workloads.hpp"
#include "support/environment.hpp"
#include "support/registration.hpp"
#include "support/timed_batches.hpp"
#if defined(SPARGIO_BENCH_HAS_ONETBB)
#include "fork_join_onetbb.hpp"
#endif

namespace {

/// On one thread and on two: `name` is workload/runtime, the number goes behind it. An iteration runs `tasks`.
void add_1_and_2(const std::string& name, std::uint64_t tasks, void (*workload)(benchmark::State&, std::size_t),
                 const std::string& variant = "") {
    for (const std::size_t threads : {std::size_t{1}, std::size_t{2}}) {
        const auto on_threads = [workload, threads, tasks](benchmark::State& state) {
            bench::count_switches(state, tasks, [&] { workload(state, threads); });
        };
        const std::string whole_name = name + "_" + std::to_string(threads) + variant;
        bench::add_benchmark(whole_name, on_threads)->UseManualTime();
    }
}

void add_spargio() {
    namespace on_spargio = bench::spargio_fork_join;
    add_1_and_2("skynet/spargio", bench::skynet_nodes, on_spargio::skynet);
    add_1_and_2("fib/spargio", bench::fib_nodes, on_spargio::fib);
    add_1_and_2("nqueens/spargio", bench::queens_nodes, on_spargio::nqueens);
    add_1_and_2("spawn_many/spargio", 1, on_spargio::spawn_many);
}

void add_asio() {
    namespace on_asio = bench::asio_fork_join;
    add_1_and_2("skynet/asio", bench::skynet_nodes, on_asio::skynet);
    add_1_and_2("fib/asio", bench::fib_nodes, on_asio::fib);
    add_1_and_2("nqueens/asio", bench::queens_nodes, on_asio::nqueens);
    add_1_and_2("spawn_many/asio", 1, on_asio::spawn_many<on_asio::SpawnCoroutine>);
    add_1_and_2("spawn_many/asio", 1, on_asio::spawn_many<on_asio::DeferHandler>, "_defer");
}

void add_onetbb() {
#if defined(SPARGIO_BENCH_HAS_ONETBB)
    namespace on_onetbb = bench::onetbb_fork_join;
    add_1_and_2("skynet/onetbb", bench::skynet_nodes, on_onetbb::skynet);
    add_1_and_2("fib/onetbb", bench::fib_nodes, on_onetbb::fib);
    add_1_and_2("nqueens/onetbb", bench::queens_nodes, on_onetbb::nqueens);
    add_1_and_2("spawn_many/onetbb", 1, on_onetbb::spawn_many);
#endif
}

}  // namespace

int main(int argc, char** argv) {
    bench::describe_environment();
    add_spargio();  // First, so that the table shows it first in each workload.
    add_asio();
    add_onetbb();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 1;
    }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
