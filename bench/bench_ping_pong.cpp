// SPDX-License-Identifier: MIT
// What messages between two shards cost, beside the same work on Asio and on bare system calls.
#include <benchmark/benchmark.h>

#include "ping_pong_asio.hpp"
#include "ping_pong_raw.hpp"
#include "ping_pong_spargio.hpp"
#include "support/environment.hpp"
#include "support/registration.hpp"

namespace {

using bench::add;
using bench::Mailbox;

void add_spargio() {
    namespace on_spargio = bench::spargio_ping_pong;
    add("steady_ping_pong_rtt", on_spargio::steady_ping_pong_rtt);
    add("steady_one_way_send_drain", on_spargio::steady_one_way_send_drain);
    add("cold_start_ping_pong", on_spargio::cold_start_ping_pong);
    add("steady_ping_pong_rtt_parked", on_spargio::steady_ping_pong_rtt_parked);
    add("one_way_many_sources", on_spargio::one_way_many_sources);
}

void add_asio() {
    using namespace bench::asio_ping_pong;
    add("steady_ping_pong_rtt/asio_two_worker", steady_ping_pong_rtt<Mailbox>);
    add("steady_ping_pong_rtt/asio_two_worker_channel", steady_ping_pong_rtt<Channel>);

    add("steady_one_way_send_drain/asio_two_worker", steady_one_way_send_drain);
    add("steady_one_way_send_drain/asio_two_worker_batched_64", steady_one_way_send_drain_batched_64);
    add("steady_one_way_send_drain/asio_two_worker_batched_all", steady_one_way_send_drain_batched_all);

    add("cold_start_ping_pong/asio_two_worker", cold_start_ping_pong<Mailbox>);
    add("cold_start_ping_pong/asio_two_worker_channel", cold_start_ping_pong<Channel>);

    add("steady_ping_pong_rtt_parked/asio_two_worker", steady_ping_pong_rtt_parked<Mailbox>);

    add("one_way_many_sources/asio_four_worker", one_way_many_sources);
    add("one_way_many_sources/asio_four_worker_batched_all", one_way_many_sources_batched_all);
}

void add_raw() {
    namespace raw = bench::raw_ping_pong;
    add("steady_ping_pong_rtt/raw_spinning", raw::steady_ping_pong_rtt_spinning);
    add("steady_ping_pong_rtt_parked/raw_futex", raw::steady_ping_pong_rtt_parked_futex);
    add("steady_ping_pong_rtt_parked/raw_msg_ring", raw::steady_ping_pong_rtt_parked_msg_ring);
}

}  // namespace

int main(int argc, char** argv) {
    bench::describe_environment();
    add_spargio();  // First, so that the table shows it first in each workload.
    add_asio();
    add_raw();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 1;
    }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
