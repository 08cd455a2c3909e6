// SPDX-License-Identifier: MIT
// What it costs to start, join, yield to and hold tasks, beside the same work on Asio.
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "spawn_asio.hpp"
#include "spawn_spargio.hpp"
#include "support/environment.hpp"
#include "support/process_usage.hpp"
#include "support/registration.hpp"

namespace {

using bench::add;
using bench::runtime_of;
using spargio::BackendKind;

constexpr std::string_view measure_option = "--measure-suspended-task-bytes=";

void add_workloads() {
    namespace on_asio = bench::asio_spawn;
    namespace on_spargio = bench::spargio_spawn;

    add("spawn_join_local", on_spargio::spawn_join_local);
    add("spawn_join_local/asio", on_asio::spawn_join_local);

    add("await_ready_task", on_spargio::await_ready_task);
    add("await_ready_task/asio", on_asio::await_ready_task);

    add("yield", on_spargio::yield);
    add("yield/asio", on_asio::yield);

    add("spawn_join_foreign", on_spargio::spawn_join_foreign);
    add("spawn_join_foreign/asio", on_asio::spawn_join_foreign);
    add("spawn_join_foreign/asio_atomic_wait", on_asio::spawn_join_foreign_atomic_wait);
    add("spawn_join_foreign/asio_post", on_asio::spawn_join_foreign_post);

    add("spawn_join_foreign_apart", on_spargio::spawn_join_foreign_apart);
    add("spawn_join_foreign_apart/asio", on_asio::spawn_join_foreign_apart);
    add("spawn_join_foreign_apart/asio_atomic_wait", on_asio::spawn_join_foreign_apart_atomic_wait);

    add("post_foreign", on_spargio::post_foreign);
    add("post_foreign/asio", on_asio::post_foreign);
    add("post_foreign/asio_pool", on_asio::post_foreign_pool);
    add("post_foreign/asio_recycling", on_asio::post_foreign_recycling);
    add("post_foreign/asio_co_spawn", on_asio::post_foreign_co_spawn);
}

void add_figures() {
    for (const char* runtime : {"/spargio_io_uring", "/spargio_queue", "/asio"}) {
        bench::add_figure(std::string("suspended_task_bytes") + runtime, "bytes",
                          [runtime] { return std::stod(bench::run_self(std::string(measure_option) + runtime)); });
    }
    for (const auto backend : {BackendKind::IoUring, BackendKind::Queue}) {
        bench::add_figure(std::string("idle_cpu") + runtime_of(backend), "percent",
                          [backend] { return bench::spargio_spawn::idle_cpu_percent(backend); });
    }
}

double suspended_task_bytes(std::string_view runtime) {
    for (const auto backend : {BackendKind::IoUring, BackendKind::Queue}) {
        if (runtime == runtime_of(backend)) {
            return bench::spargio_spawn::suspended_task_bytes(backend);
        }
    }
    return bench::asio_spawn::suspended_task_bytes();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]).starts_with(measure_option)) {
        const auto runtime = std::string_view(argv[1]).substr(measure_option.size());
        return bench::print_figure([runtime] { return suspended_task_bytes(runtime); });
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
