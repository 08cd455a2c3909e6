// SPDX-License-Identifier: MIT
// What a call across the boundary costs, between threads of one's own and a runtime, beside the same with Asio's pool.
#include <benchmark/benchmark.h>

#include "boundary_asio.hpp"
#include "boundary_raw.hpp"
#include "boundary_spargio.hpp"
#include "support/environment.hpp"
#include "support/registration.hpp"

namespace {

void add_workloads() {
    namespace on_asio = bench::asio_boundary;
    namespace on_spargio = bench::spargio_boundary;
    namespace raw = bench::raw_boundary;
    using bench::add;
    using on_asio::ChannelToCoroutine;
    using on_asio::PostedHandlers;

    // Two seconds: the pauses do not count, so that Google Benchmark would go on for half a minute.
    constexpr auto apart = static_cast<benchmark::IterationCount>(20 * bench::idle_calls);
    add("call_idle/spargio", on_spargio::call_idle)->Iterations(apart);
    add("call_idle/asio_post_future", on_asio::call_idle<PostedHandlers>)->Iterations(apart);
    add("call_idle/asio_channel", on_asio::call_idle<ChannelToCoroutine>)->Iterations(apart);
    add("call_idle/raw_futex", raw::call_idle)->Iterations(apart);

    add("call_back_to_back/spargio", on_spargio::call_back_to_back);
    add("call_back_to_back/asio_post_future", on_asio::call_back_to_back<PostedHandlers>);
    add("call_back_to_back/asio_channel", on_asio::call_back_to_back<ChannelToCoroutine>);
    add("call_back_to_back/raw_futex", raw::call_back_to_back);

    add("call_busy/spargio", on_spargio::call_busy);
    add("call_busy/asio_post_future", on_asio::call_busy<PostedHandlers>);
    add("call_busy/asio_channel", on_asio::call_busy<ChannelToCoroutine>);

    add("call_in_flight_64/spargio", on_spargio::call_in_flight_64);
    add("call_in_flight_64/asio_post_future", on_asio::call_in_flight_64<PostedHandlers>);
    add("call_in_flight_64/asio_channel", on_asio::call_in_flight_64<ChannelToCoroutine>);

    add("call_out/spargio", on_spargio::call_out);
    add("call_out/asio_post_future", on_asio::call_out<on_asio::PostedQuestions>);
    add("call_out/asio_channel", on_asio::call_out<on_asio::QuestionsInChannels>);
}

}  // namespace

int main(int argc, char** argv) {
    bench::describe_environment();
    add_workloads();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 1;
    }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
