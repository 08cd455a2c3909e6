// SPDX-License-Identifier: MIT
// What it costs to sleep, to end a sleep early, and to hold sleepers, beside the same work on Asio.
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "support/environment.hpp"
#include "support/process_usage.hpp"
#include "support/registration.hpp"
#include "timers_asio.hpp"
#include "timers_spargio.hpp"

namespace {

using bench::add;

constexpr std::string_view measure_option = "--measure-pending-sleep-bytes=";

void add_workloads() {
    namespace on_asio = bench::asio_timers;
    namespace on_spargio = bench::spargio_timers;

    add("sleep_create/spargio", on_spargio::sleep_create);
    add("sleep_create/asio", on_asio::sleep_create);

    add("sleep_fire/spargio", on_spargio::sleep_fire);
    add("sleep_fire/asio", on_asio::sleep_fire);

    add("sleep_cancel/spargio", on_spargio::sleep_cancel);
    add("sleep_cancel/asio", on_asio::sleep_cancel);
}

void add_figures() {
    for (const char* runtime : {"/spargio", "/asio"}) {
        bench::add_figure(std::string("pending_sleep_bytes") + runtime, "bytes",
                          [runtime] { return std::stod(bench::run_self(std::string(measure_option) + runtime)); });
    }
}

double pending_sleep_bytes(std::string_view runtime) {
    return runtime == "/spargio" ? bench::spargio_timers::pending_sleep_bytes()
                                 : bench::asio_timers::pending_sleep_bytes();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]).starts_with(measure_option)) {
        const auto runtime = std::string_view(argv[1]).substr(measure_option.size());
        return bench::print_figure([runtime] { return pending_sleep_bytes(runtime); });
    }
    bench::describe_environment();
    add_workloads();
    add_figures();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 1;
    }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
