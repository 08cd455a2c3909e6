// SPDX-License-Identifier: MIT
// What it costs to fork a request into branches that any shard may run, and to join them, beside Asio's thread pool and
// one thread without a runtime.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>

#include "fanout_asio.hpp"
#include "fanout_raw.hpp"
#include "fanout_spargio.hpp"
#include "fanout_workloads.hpp"
#include "support/environment.hpp"
#include "support/registration.hpp"

namespace {

using bench::Fanout;
using spargio::BackendKind;

template <bench::spargio_fanout::RunRequest run_one>
void add_spargio(const Fanout& fanout, BackendKind backend, std::size_t shards, const std::string& variant) {
    const auto workload = [&fanout, backend, shards](benchmark::State& state) {
        bench::spargio_fanout::fanout<run_one>(state, fanout, backend, shards);
    };
    bench::add_benchmark(fanout.name + std::string(bench::runtime_of(backend)) + variant, workload)->UseManualTime();
}

void add(const Fanout& fanout, const std::string& runtime, void (*workload)(benchmark::State&, const Fanout&)) {
    const auto on_fanout = [&fanout, workload](benchmark::State& state) { workload(state, fanout); };
    bench::add_benchmark(std::string(fanout.name) + runtime, on_fanout)->UseManualTime();
}

void add_workload(const Fanout& fanout) {
    using namespace bench::asio_fanout;
    using bench::spargio_fanout::run_forked_request;
    using bench::spargio_fanout::run_request;
    add_spargio<run_request>(fanout, BackendKind::IoUring, 2, "");
    add_spargio<run_forked_request>(fanout, BackendKind::IoUring, 2, "_fork");
    add_spargio<run_request>(fanout, BackendKind::Queue, 2, "");
    add_spargio<run_request>(fanout, BackendKind::IoUring, 4, "_4");
    add_spargio<run_request>(fanout, BackendKind::Queue, 4, "_4");
    add(fanout, "/asio_pool", bench::asio_fanout::fanout<ForkCoroutines>);
    add(fanout, "/asio_pool_post", bench::asio_fanout::fanout<ForkHandlers>);
    add(fanout, "/raw_two_threads", bench::raw_fanout::fanout);
    add(fanout, "/serial", bench::fanout_serial);
}

}  // namespace

int main(int argc, char** argv) {
    bench::describe_environment();
    for (const auto& fanout : bench::fanouts) {
        add_workload(fanout);
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 1;
    }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
