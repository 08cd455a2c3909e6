// SPDX-License-Identifier: MIT
// The file workloads on Asio: its io_uring files, and pread(2) on another loop (see README.md).
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include <unistd.h>

#include "disk_io_workloads.hpp"
#include "support/affinity.hpp"
#include "support/asio.hpp"
#include "support/asio_loop.hpp"
#include "support/asio_mailbox.hpp"
#include "support/asio_pair.hpp"

#if !defined(ASIO_HAS_IO_URING_AS_DEFAULT)
#error "Asio's files are slow beside an epoll loop: define ASIO_HAS_IO_URING and ASIO_DISABLE_EPOLL (bench/README.md)."
#endif

namespace bench::asio_disk_io {

using File = asio::basic_random_access_file<LoopExecutor>;

inline File open_test_file(asio::io_context& loop) {
    return File(loop.get_executor(), test_file().path(), asio::file_base::read_only);
}

inline asio::mutable_buffer emptied(Block& block) noexcept {
    const auto bytes = block.emptied();
    return asio::mutable_buffer(bytes.data(), bytes.size());
}

inline Coroutine<std::uint64_t> read_in_turn(File& file, Block& block, std::uint64_t count) {
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto got = co_await file.async_read_some_at(offset_of(i), emptied(block), use_loop_awaitable);
        sum += block.value_of(i, got);
    }
    co_return sum;
}

inline Coroutine<Timed> timed_reads_in_turn(File& file, Block& block) {
    co_await read_in_turn(file, block, warm_up_reads);
    const Stopwatch stopwatch;
    const std::uint64_t sum = co_await read_in_turn(file, block, reads_in_turn);
    const Timed timed{stopwatch.seconds(), sum};
    co_return timed;
}

inline void disk_read_rtt_4k(benchmark::State& state) {
    const PinnedScope pinned(client_cpu());
    asio::io_context loop(1);
    File file = open_test_file(loop);
    Blocks blocks(1);
    run_batches(state, reads_in_turn, sum_below(reads_in_turn),
                [&] { return run_on(loop, timed_reads_in_turn(file, blocks[0])); });
}

/// One of the reads in flight, and those that follow it.
inline Coroutine<void> keep_reading(File& file, Block& block, ReadsAtOnce& reads) {
    while (const auto i = reads.next()) {
        const auto got = co_await file.async_read_some_at(offset_of(*i), emptied(block), use_loop_awaitable);
        reads.add(block.value_of(*i, got));
    }
}

/// The reads in flight take turns at `count` file objects. Of one object Asio has one read in flight and queues the
/// others.
inline void reads_at_once_of(benchmark::State& state, std::size_t count) {
    const PinnedScope pinned(client_cpu());
    asio::io_context loop(1);
    std::deque<File> files;
    for (std::size_t i = 0; i < count; ++i) {
        files.push_back(open_test_file(loop));
    }
    Blocks blocks(depth);
    run_batches(state, reads_at_once, sum_below(reads_at_once), [&] {
        ReadsAtOnce reads;
        const Stopwatch stopwatch;
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            asio::co_spawn(loop, keep_reading(files[i % count], blocks[i], reads), asio::detached);
        }
        loop.restart();
        loop.run();
        return Timed{stopwatch.seconds(), reads.sum()};
    });
}

inline void disk_read_4k_qd32(benchmark::State& state) {
    reads_at_once_of(state, 1);
}
inline void disk_read_4k_qd32_32_files(benchmark::State& state) {
    reads_at_once_of(state, depth);
}

/// A read that the worker is to make, and has made: where it goes to, its number, what it gave.
struct PoolRead {
    Block* block = nullptr;
    std::uint64_t i = 0;
    std::size_t count = 0;

    void make(int fd) noexcept {
        const auto into = block->emptied();
        const auto got = pread(fd, into.data(), into.size(), static_cast<off_t>(offset_of(i)));
        count = got < 0 ? 0 : static_cast<std::size_t>(got);
    }
    [[nodiscard]] std::uint64_t value() const noexcept { return block->value_of(i, count); }
};

using PoolMailbox = Mailbox<PoolRead>;
using Pool = Pair<PoolMailbox>;

/// The worker's side: as many reads as there are in a batch.
inline Coroutine<void> serve_reads(PoolMailbox& in, PoolMailbox& out, int fd, std::uint64_t reads) {
    for (;;) {
        while (auto read = in.try_receive()) {
            read->make(fd);
            out.send(*read);
            if (--reads == 0) {
                co_return;
            }
        }
        co_await in.arrival();
    }
}

inline Coroutine<std::uint64_t> ask_in_turn(PoolMailbox& in, PoolMailbox& out, Block& block, std::uint64_t count) {
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        out.send({&block, i});
        const PoolRead read = co_await in.receive();
        sum += read.value();
    }
    co_return sum;
}

inline Coroutine<Timed> timed_asks_in_turn(PoolMailbox& in, PoolMailbox& out, Block& block) {
    co_await ask_in_turn(in, out, block, warm_up_reads);
    const Stopwatch stopwatch;
    const std::uint64_t sum = co_await ask_in_turn(in, out, block, reads_in_turn);
    const Timed timed{stopwatch.seconds(), sum};
    co_return timed;
}

inline void disk_read_rtt_4k_pool(benchmark::State& state) {
    Pool pool;
    const int fd = test_file().fd();
    Blocks blocks(1);
    run_batches(state, reads_in_turn, sum_below(reads_in_turn), [&] {
        return pool.run(timed_asks_in_turn(pool.to_client, pool.to_responder, blocks[0]),
                        serve_reads(pool.to_responder, pool.to_client, fd, warm_up_reads + reads_in_turn));
    });
}

/// One coroutine asks for all; one for each read in flight would be more work.
inline Coroutine<Timed> timed_asks_at_once(PoolMailbox& in, PoolMailbox& out, Blocks& blocks) {
    ReadsAtOnce reads;
    const Stopwatch stopwatch;
    for (auto& block : blocks) {
        out.send({&block, *reads.next()});
    }
    for (std::uint64_t left = reads_at_once; left != 0;) {
        while (auto read = in.try_receive()) {
            reads.add(read->value());
            --left;
            if (const auto i = reads.next()) {
                out.send({read->block, *i});
            }
        }
        if (left != 0) {
            co_await in.arrival();
        }
    }
    const Timed timed{stopwatch.seconds(), reads.sum()};
    co_return timed;
}

inline void disk_read_4k_qd32_pool(benchmark::State& state) {
    Pool pool;
    const int fd = test_file().fd();
    Blocks blocks(depth);
    run_batches(state, reads_at_once, sum_below(reads_at_once), [&] {
        return pool.run(timed_asks_at_once(pool.to_client, pool.to_responder, blocks),
                        serve_reads(pool.to_responder, pool.to_client, fd, reads_at_once));
    });
}

}  // namespace bench::asio_disk_io
