// SPDX-License-Identifier: MIT
// What reads of a file cost that is in the page cache, beside the same work on Asio and on bare system calls.
#include <benchmark/benchmark.h>

#include "disk_io_asio.hpp"
#include "disk_io_raw.hpp"
#include "disk_io_spargio.hpp"
#include "support/environment.hpp"
#include "support/registration.hpp"

namespace {

using bench::add;

void add_workloads() {
    namespace on_asio = bench::asio_disk_io;
    namespace on_spargio = bench::spargio_disk_io;
    namespace raw = bench::raw_disk_io;

    add("disk_read_rtt_4k/spargio_lane", on_spargio::disk_read_rtt_4k);
    add("disk_read_rtt_4k/spargio_lane_remote", on_spargio::disk_read_rtt_4k_remote);
    add("disk_read_rtt_4k/asio_random_access_file", on_asio::disk_read_rtt_4k);
    add("disk_read_rtt_4k/asio_pool_pread", on_asio::disk_read_rtt_4k_pool);
    add("disk_read_rtt_4k/raw_pread", raw::disk_read_rtt_4k_pread);
    add("disk_read_rtt_4k/raw_liburing", raw::disk_read_rtt_4k_submit_and_wait);
    add("disk_read_rtt_4k/raw_submit", raw::disk_read_rtt_4k_submit);

    add("disk_read_4k_qd32/spargio_lane", on_spargio::disk_read_4k_qd32);
    add("disk_read_4k_qd32/spargio_lane_remote", on_spargio::disk_read_4k_qd32_remote);
    add("disk_read_4k_qd32/asio_random_access_file", on_asio::disk_read_4k_qd32);
    add("disk_read_4k_qd32/asio_32_files", on_asio::disk_read_4k_qd32_32_files);
    add("disk_read_4k_qd32/asio_pool_pread", on_asio::disk_read_4k_qd32_pool);
    add("disk_read_4k_qd32/raw_pread", raw::disk_read_4k_qd32_pread);
    add("disk_read_4k_qd32/raw_liburing", raw::disk_read_4k_qd32_liburing);
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
