// SPDX-License-Identifier: MIT
// What it costs to fork a task and to join it, in trees that fork everything, beside Asio's thread pool and oneTBB.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>

#include "fork_join_asio.hpp"
#include "fork_join_spargio.hpp"
#include "support/environment.hpp"
#include "support/registration.hpp"
#if defined(SPARGIO_BENCH_HAS_ONETBB)
#include "fork_join_onetbb.hpp"
#endif

namespace {

/// On one thread and on two: `name` is workload/runtime, the number goes behind it.
void add_1_and_2(const std::string& name, void (*workload)(benchmark::State&, std::size_t),
                 const std::string& variant = "") {
    for (const std::size_t threads : {std::size_t{1}, std::size_t{2}}) {
        const auto on_threads = [workload, threads](benchmark::State& state) { workload(state, threads); };
        const std::string whole_name = name + "_" + std::to_string(threads) + variant;
        bench::add_benchmark(whole_name, on_threads)->UseManualTime();
    }
}

void add_spargio() {
    namespace on_spargio = bench::spargio_fork_join;
    add_1_and_2("skynet/spargio", on_spargio::skynet);
    add_1_and_2("fib/spargio", on_spargio::fib);
    add_1_and_2("nqueens/spargio", on_spargio::nqueens);
    add_1_and_2("spawn_many/spargio", on_spargio::spawn_many);
}

void add_asio() {
    namespace on_asio = bench::asio_fork_join;
    add_1_and_2("skynet/asio", on_asio::skynet);
    add_1_and_2("fib/asio", on_asio::fib);
    add_1_and_2("nqueens/asio", on_asio::nqueens);
    add_1_and_2("spawn_many/asio", on_asio::spawn_many<on_asio::SpawnCoroutine>);
    add_1_and_2("spawn_many/asio", on_asio::spawn_many<on_asio::DeferHandler>, "_defer");
}

void add_onetbb() {
#if defined(SPARGIO_BENCH_HAS_ONETBB)
    namespace on_onetbb = bench::onetbb_fork_join;
    add_1_and_2("skynet/onetbb", on_onetbb::skynet);
    add_1_and_2("fib/onetbb", on_onetbb::fib);
    add_1_and_2("nqueens/onetbb", on_onetbb::nqueens);
    add_1_and_2("spawn_many/onetbb", on_onetbb::spawn_many);
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
