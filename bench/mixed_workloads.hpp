// SPDX-License-Identifier: MIT
// The mixed workload apart from any runtime: what a request does, when it is due, its latency, and the search for the
// highest rate.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "disk_io_workloads.hpp"
#include "fanout_workloads.hpp"

namespace bench {

using ArrivalClock = std::chrono::steady_clock;

/// A request forks these reads and the 16 branches of fanout_fanin_skewed, in this order, and joins them.
inline constexpr std::size_t reads_each = 8;
inline constexpr std::size_t children_each = reads_each + branches_each;
inline constexpr const Fanout& mixed_branches = fanouts[1];
static_assert(std::string_view(mixed_branches.name) == "fanout_fanin_skewed");

/// Threads of a runtime, each on a CPU of its own; one of them makes the requests.
inline constexpr std::size_t mixed_workers = 2;

inline constexpr std::size_t requests_each_step = 2'000;

/// Requests per second.
inline constexpr int fixed_rates[] = {5'000, 10'000, 20'000};

/// Read `read` of a request, as a number for offset_of() and Block::value_of().
constexpr std::uint64_t read_number(std::size_t request, std::size_t read) noexcept {
    return request * reads_each + read;
}

inline std::uint64_t compute_mixed_branch(std::size_t request, std::size_t branch) {
    return compute_branch(mixed_branches, request % mixed_branches.requests, branch);
}

/// What the children of a request come to, reckoned on one thread.
inline std::uint64_t expected_of(std::size_t request) {
    static const std::vector<std::uint64_t> of_branches = [] {
        std::vector<std::uint64_t> sums(mixed_branches.requests);
        std::uint64_t all = 0;
        for (std::size_t i = 0; i < sums.size(); ++i) {
            for (std::size_t branch = 0; branch < branches_each; ++branch) {
                sums[i] += compute_branch(mixed_branches, i, branch);
            }
            all += sums[i];
        }
        if (all != mixed_branches.expected) {
            throw std::logic_error("the branches compute something else than they should");
        }
        return sums;
    }();
    std::uint64_t of_reads = 0;
    for (std::size_t read = 0; read < reads_each; ++read) {
        of_reads += read_number(request, read);
    }
    return of_branches[request % of_branches.size()] + of_reads;
}

/// Where the reads of one request go.
using RequestBlocks = std::array<Block, reads_each>;

/// Blocks for as many requests as are under way, on any thread. The last that were given back are the first to be used
/// again: they are in the cache.
class BlockStore {
public:
    class Lease {
    public:
        explicit Lease(BlockStore& store) : store_(store), blocks_(store.take()) {}
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        ~Lease() { store_.give_back(std::move(blocks_)); }

        Block& operator[](std::size_t read) noexcept { return (*blocks_)[read]; }

    private:
        BlockStore& store_;
        std::unique_ptr<RequestBlocks> blocks_;
    };

    BlockStore() { free_.reserve(requests_each_step); }

private:
    std::unique_ptr<RequestBlocks> take() {
        {
            const std::lock_guard lock(mutex_);
            if (!free_.empty()) {
                auto blocks = std::move(free_.back());
                free_.pop_back();
                return blocks;
            }
        }
        return std::make_unique<RequestBlocks>();
    }
    void give_back(std::unique_ptr<RequestBlocks> blocks) noexcept {
        const std::lock_guard lock(mutex_);
        free_.push_back(std::move(blocks));
    }

    std::mutex mutex_;
    std::vector<std::unique_ptr<RequestBlocks>> free_;
};

/// The requests of one step: when each is due, which is settled before the first one, and how long each took from then.
/// Nobody who is late makes another one late: the loop is open.
class Step {
public:
    /// Gaps between arrivals are exponentially distributed, the same ones in every step, runtime and run.
    explicit Step(double rate) : due_(requests_each_step), seconds_(requests_each_step) {
        std::mt19937_64 random(requests_each_step);
        double at = 0;
        for (auto& due : due_) {
            const double uniform = static_cast<double>(random() >> 11U) * 0x1p-53;
            at -= std::log1p(-uniform) / rate;
            due = std::chrono::duration_cast<ArrivalClock::duration>(std::chrono::duration<double>(at));
        }
    }

    /// By the source of the requests, before the first.
    void begin() { start_ = ArrivalClock::now(); }
    [[nodiscard]] ArrivalClock::time_point due(std::size_t request) const noexcept { return start_ + due_[request]; }

    /// By each request, on any thread: its children came to `sum`.
    void end(std::size_t request, std::uint64_t sum) {
        seconds_[request] = std::chrono::duration<double>(ArrivalClock::now() - due(request)).count();
        if (sum != expected_of(request)) {
            wrong_.fetch_add(1, std::memory_order_relaxed);
        }
    }

    /// Those of all requests, when all have ended.
    [[nodiscard]] std::vector<double> take_latencies() {
        if (wrong_.load(std::memory_order_relaxed) != 0) {
            throw std::runtime_error("wrong result: a request did not do its work");
        }
        return std::move(seconds_);
    }

private:
    ArrivalClock::time_point start_;
    std::vector<ArrivalClock::duration> due_;
    std::vector<double> seconds_;
    std::atomic<std::size_t> wrong_{0};
};

/// `latencies` in rising order.
inline double percentile(const std::vector<double>& latencies, std::size_t percent) {
    return latencies[latencies.size() * percent / 100];
}

/// `run_step(Step&)` makes the requests of a step and returns when all have ended.
template <class RunStep>
std::vector<double> latencies_at(double rate, RunStep& run_step) {
    Step step(rate);
    run_step(step);
    auto latencies = step.take_latencies();
    std::sort(latencies.begin(), latencies.end());
    return latencies;
}

/// Steps at one rate. The time is the mean latency.
template <class RunStep>
void run_at_rate(benchmark::State& state, int rate, RunStep run_step) {
    static_cast<void>(expected_of(0));
    latencies_at(rate, run_step);
    std::vector<double> all;
    while (state.KeepRunningBatch(requests_each_step)) {
        const auto latencies = latencies_at(rate, run_step);
        double sum = 0;
        for (const auto seconds : latencies) {
            sum += seconds;
        }
        state.SetIterationTime(sum);
        all.insert(all.end(), latencies.begin(), latencies.end());
    }
    std::sort(all.begin(), all.end());
    state.counters["p50_us"] = 1e6 * percentile(all, 50);
    state.counters["p95_us"] = 1e6 * percentile(all, 95);
    state.counters["p99_us"] = 1e6 * percentile(all, 99);
}

inline constexpr double longest_p99 = 1e-3;

/// Whether the rate is kept up with, with a p99 of less than 1 ms: in two steps of at most eight. Whatever else runs on
/// the machine makes a step worse and none better, and one step may be luck.
template <class RunStep>
bool keeps_up(double rate, RunStep& run_step) {
    constexpr int enough = 2;
    constexpr int steps = 8;
    int kept = 0;
    for (int step = 0; step < steps && kept < enough; ++step) {
        kept += percentile(latencies_at(rate, run_step), 99) < longest_p99 ? 1 : 0;
    }
    return kept == enough;
}

/// The highest rate that is kept up with, within two hundredths: doubled until it is not, then bisected. What was
/// missed last is asked for once more, since a disturbance of seconds looks like a rate that is too high; if it is kept
/// up with now, the search goes on from there.
template <class RunStep>
double highest_rate(RunStep run_step) {
    constexpr double first_rate = 4'000;
    constexpr double last_rate = 1'024'000;
    constexpr int bisections = 6;
    constexpr int searches = 3;
    static_cast<void>(expected_of(0));
    latencies_at(first_rate, run_step);
    double kept = 0;
    double missed = first_rate;
    for (int search = 0; search < searches && keeps_up(missed, run_step); ++search) {
        do {
            kept = missed;
            missed *= 2;
        } while (missed < last_rate && keeps_up(missed, run_step));
        for (int i = 0; i < bisections; ++i) {
            const double rate = (kept + missed) / 2;
            (keeps_up(rate, run_step) ? kept : missed) = rate;
        }
    }
    return kept;
}

}  // namespace bench
