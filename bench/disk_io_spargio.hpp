// SPDX-License-Identifier: MIT
// The file workloads on spargio's native lane.
#pragma once

#include <spargio/spargio.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "disk_io_workloads.hpp"
#include "support/affinity.hpp"

namespace bench::spargio_disk_io {

using spargio::JoinHandle;
using spargio::NativeLane;
using spargio::Runtime;
using spargio::ShardCtx;
using spargio::ShardId;
using spargio::Task;

inline constexpr ShardId client = 0;
inline constexpr ShardId responder = 1;

/// The client's shard alone.
inline Runtime make_one_shard() {
    return spargio::RuntimeBuilder()
        .backend(spargio::BackendKind::IoUring)
        .shards(1)
        .thread_affinity({client_cpu()})
        .build();
}

inline Runtime make_two_shards() {
    return spargio::RuntimeBuilder()
        .backend(spargio::BackendKind::IoUring)
        .shards(2)
        .thread_affinity({client_cpu(), responder_cpu()})
        .build();
}

inline Task<std::uint64_t> read_in_turn(const NativeLane& lane, int fd, Block& block, std::uint64_t count) {
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto got = co_await lane.read_at(fd, offset_of(i), block.emptied());
        sum += block.value_of(i, got.value_or(0));
    }
    co_return sum;
}

inline Task<Timed> timed_reads_in_turn(const NativeLane& lane, int fd, Block& block) {
    static_cast<void>(co_await read_in_turn(lane, fd, block, warm_up_reads));
    const Stopwatch stopwatch;
    const auto sum = co_await read_in_turn(lane, fd, block, reads_in_turn);
    const Timed timed{stopwatch.seconds(), sum};
    co_return timed;
}

/// The client's shard awaits, the shard of the lane reads.
inline void reads_in_turn_of(benchmark::State& state, const Runtime& runtime, ShardId shard_of_lane) {
    const auto handle = runtime.handle();
    const NativeLane lane = handle.native_lane(shard_of_lane).value();
    const int fd = test_file().fd();
    Blocks blocks(1);
    run_batches(state, reads_in_turn, sum_below(reads_in_turn),
                [&] { return handle.spawn_pinned(client, timed_reads_in_turn(lane, fd, blocks[0])).get(); });
}

inline void disk_read_rtt_4k(benchmark::State& state) {
    const auto runtime = make_one_shard();
    reads_in_turn_of(state, runtime, client);
}
inline void disk_read_rtt_4k_remote(benchmark::State& state) {
    const auto runtime = make_two_shards();
    reads_in_turn_of(state, runtime, responder);
}

/// One of the reads in flight, and those that follow it.
inline Task<> keep_reading(const NativeLane& lane, int fd, Block& block, ReadsAtOnce& reads) {
    while (const auto i = reads.next()) {
        const auto got = co_await lane.read_at(fd, offset_of(*i), block.emptied());
        reads.add(block.value_of(*i, got.value_or(0)));
    }
}

inline Task<Timed> timed_reads_at_once(const NativeLane& lane, int fd, Blocks& blocks) {
    auto* shard = ShardCtx::current();
    ReadsAtOnce reads;
    std::vector<JoinHandle<void>> readers;
    readers.reserve(blocks.size());
    const Stopwatch stopwatch;
    for (auto& block : blocks) {
        readers.push_back(shard->spawn_local(keep_reading(lane, fd, block, reads)));
    }
    for (auto& reader : readers) {
        co_await std::move(reader);
    }
    const Timed timed{stopwatch.seconds(), reads.sum()};
    co_return timed;
}

inline void reads_at_once_of(benchmark::State& state, const Runtime& runtime, ShardId shard_of_lane) {
    const auto handle = runtime.handle();
    const NativeLane lane = handle.native_lane(shard_of_lane).value();
    const int fd = test_file().fd();
    Blocks blocks(depth);
    run_batches(state, reads_at_once, sum_below(reads_at_once),
                [&] { return handle.spawn_pinned(client, timed_reads_at_once(lane, fd, blocks)).get(); });
}

inline void disk_read_4k_qd32(benchmark::State& state) {
    const auto runtime = make_one_shard();
    reads_at_once_of(state, runtime, client);
}
inline void disk_read_4k_qd32_remote(benchmark::State& state) {
    const auto runtime = make_two_shards();
    reads_at_once_of(state, runtime, responder);
}

}  // namespace bench::spargio_disk_io
