// SPDX-License-Identifier: MIT
// The spawn workloads apart from any runtime: sizes, counters, and the sums that prove that the work was done.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <latch>

#include "support/timed_batches.hpp"

namespace bench {

inline constexpr std::uint64_t local_joins = 1'000;
inline constexpr std::uint64_t foreign_joins = 256;
inline constexpr std::uint64_t ready_awaits = 10'000;

inline constexpr std::uint64_t workers = 2;
inline constexpr std::uint64_t posts = 1'000'000;
inline constexpr std::uint64_t posts_each = posts / workers;

inline constexpr std::uint64_t yielders = 1'000;
inline constexpr std::uint64_t yields_each = 1'000;
inline constexpr std::uint64_t yields = yielders * yields_each;

inline constexpr std::uint64_t suspended_tasks = 1'000'000;
inline constexpr std::uint64_t idle_shards = 4;

/// post_foreign: what the tasks of one worker touch. Only that worker writes it, so it needs no atomics; a line of its
/// own (two, against the prefetcher of the neighbouring line) keeps it from the other worker's.
struct alignas(128) PostCounter {
    std::uint64_t sum = 0;
    std::uint64_t left = posts_each;
    std::latch* all_done = nullptr;

    void take(std::uint64_t value) noexcept {
        sum += value;
        if (--left == 0) {
            all_done->count_down();
        }
    }
};

/// One batch of post_foreign: `post(worker, value, counter)` has the worker call `counter.take(value)`.
template <class Post>
Timed post_to_all_workers(Post post) {
    std::latch all_done(static_cast<std::ptrdiff_t>(workers));
    std::array<PostCounter, workers> counters;
    for (auto& counter : counters) {
        counter.all_done = &all_done;
    }
    const Stopwatch stopwatch;
    for (std::uint64_t value = 0; value < posts; ++value) {
        const std::size_t worker = value % workers;
        post(worker, value, counters[worker]);
    }
    all_done.wait();
    const double seconds = stopwatch.seconds();
    std::uint64_t sum = 0;
    for (const auto& counter : counters) {
        sum += counter.sum;
    }
    return {seconds, sum};
}

/// yield: counts, and notices a runtime that lets one task go ahead of the others.
class YieldCount {
public:
    void step() noexcept { ++total_; }

    /// Called by each task after its last yield, when all the others must be at their last but one or further.
    void finished() noexcept { in_turn_ = in_turn_ && total_ + yielders + 1 >= yields; }

    [[nodiscard]] std::uint64_t result() const noexcept { return in_turn_ ? total_ : 0; }

private:
    std::uint64_t total_ = 0;
    bool in_turn_ = true;
};

}  // namespace bench
