// SPDX-License-Identifier: MIT
// The file workloads on bare system calls, without a runtime: the floor.
#pragma once

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include <liburing.h>
#include <unistd.h>

#include "disk_io_workloads.hpp"
#include "support/affinity.hpp"
#include "support/raw_ring.hpp"

namespace bench::raw_disk_io {

inline void disk_read_rtt_4k_pread(benchmark::State& state) {
    const PinnedScope pinned(client_cpu());
    const int fd = test_file().fd();
    Blocks blocks(1);
    run_batches(state, reads_in_turn, sum_below(reads_in_turn), [&] {
        return warmed_up_reads([&](std::uint64_t count) {
            std::uint64_t sum = 0;
            for (std::uint64_t i = 0; i < count; ++i) {
                const auto into = blocks[0].emptied();
                const auto got = pread(fd, into.data(), into.size(), static_cast<off_t>(offset_of(i)));
                sum += blocks[0].value_of(i, got < 0 ? 0 : static_cast<std::size_t>(got));
            }
            return sum;
        });
    });
}

/// One after the other, into one block after the other: a system call that blocks has no depth.
inline void disk_read_4k_qd32_pread(benchmark::State& state) {
    const PinnedScope pinned(client_cpu());
    const int fd = test_file().fd();
    Blocks blocks(depth);
    run_batches(state, reads_at_once, sum_below(reads_at_once), [&] {
        const Stopwatch stopwatch;
        ReadsAtOnce reads;
        while (const auto i = reads.next()) {
            Block& block = blocks[*i % depth];
            const auto into = block.emptied();
            const auto got = pread(fd, into.data(), into.size(), static_cast<off_t>(offset_of(*i)));
            reads.add(block.value_of(*i, got < 0 ? 0 : static_cast<std::size_t>(got)));
        }
        return Timed{stopwatch.seconds(), reads.sum()};
    });
}

inline std::size_t count_of(const io_uring_cqe& completion) noexcept {
    return completion.res < 0 ? 0 : static_cast<std::size_t>(completion.res);
}

inline void prepare_read(RawRing& ring, int fd, Block& block, std::uint64_t i, std::uint64_t user_data) noexcept {
    io_uring_sqe* sqe = io_uring_get_sqe(ring.get());  // Never full: it has room for all reads in flight.
    const auto into = block.emptied();
    io_uring_prep_read(sqe, fd, into.data(), static_cast<unsigned>(into.size()), offset_of(i));
    sqe->user_data = user_data;
}

/// `enter(ring)` submits.
template <class Enter>
void disk_read_rtt_4k_liburing(benchmark::State& state, Enter enter) {
    const PinnedScope pinned(client_cpu());
    const int fd = test_file().fd();
    RawRing ring(depth);
    Blocks blocks(1);
    run_batches(state, reads_in_turn, sum_below(reads_in_turn), [&] {
        return warmed_up_reads([&](std::uint64_t count) {
            std::uint64_t sum = 0;
            for (std::uint64_t i = 0; i < count; ++i) {
                prepare_read(ring, fd, blocks[0], i, i);
                io_uring_cqe* cqe = nullptr;
                enter(ring);
                while (io_uring_peek_cqe(ring.get(), &cqe) != 0) {
                    ring.submit_and_wait();
                }
                sum += blocks[0].value_of(cqe->user_data, count_of(*cqe));
                io_uring_cqe_seen(ring.get(), cqe);
            }
            return sum;
        });
    });
}

inline void disk_read_rtt_4k_submit_and_wait(benchmark::State& state) {
    disk_read_rtt_4k_liburing(state, [](RawRing& ring) { ring.submit_and_wait(); });
}

/// Waits only if the page cache did not have it.
inline void disk_read_rtt_4k_submit(benchmark::State& state) {
    disk_read_rtt_4k_liburing(state, [](RawRing& ring) { ring.submit(); });
}

/// The reads in flight; a completion's user_data is the number of its block.
class ReadsInFlight {
public:
    ReadsInFlight(RawRing& ring, int fd, Blocks& blocks) noexcept : ring_(ring), fd_(fd), blocks_(blocks) {}

    /// All reads of a batch; the sum of their values.
    std::uint64_t run() {
        for (std::size_t block = 0; block < blocks_.size(); ++block) {
            start_next(block);
        }
        while (in_flight_ != 0) {
            ring_.submit_and_wait();
            take_completions();
        }
        return reads_.sum();
    }

private:
    void start_next(std::size_t block) noexcept {
        if (const auto i = reads_.next()) {
            reading_[block] = *i;
            prepare_read(ring_, fd_, blocks_[block], *i, block);
            ++in_flight_;
        }
    }

    void take_completions() noexcept {
        unsigned head = 0;
        unsigned seen = 0;
        io_uring_cqe* cqe = nullptr;
        io_uring_for_each_cqe(ring_.get(), head, cqe) {
            const std::size_t block = cqe->user_data;
            reads_.add(blocks_[block].value_of(reading_[block], count_of(*cqe)));
            --in_flight_;
            start_next(block);
            ++seen;
        }
        io_uring_cq_advance(ring_.get(), seen);
    }

    RawRing& ring_;
    int fd_;
    Blocks& blocks_;
    std::array<std::uint64_t, depth> reading_{};
    std::size_t in_flight_ = 0;
    ReadsAtOnce reads_;
};

inline void disk_read_4k_qd32_liburing(benchmark::State& state) {
    const PinnedScope pinned(client_cpu());
    const int fd = test_file().fd();
    RawRing ring(depth);
    Blocks blocks(depth);
    run_batches(state, reads_at_once, sum_below(reads_at_once), [&] {
        const Stopwatch stopwatch;
        const std::uint64_t sum = ReadsInFlight(ring, fd, blocks).run();
        return Timed{stopwatch.seconds(), sum};
    });
}

}  // namespace bench::raw_disk_io
