// SPDX-License-Identifier: MIT
// The fan-out without a runtime: what two CPUs of this machine do at best when nobody knows which branch is long.
#pragma once

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "fanout_workloads.hpp"
#include "spargio/detail/seams.hpp"

namespace bench::raw_fanout {

/// Two threads that take the branches of a batch off one counter and spin where there is none yet: a branch costs two
/// atomic additions, a join the way of a cache line. Whoever ends the last branch of a request opens the next request.
class TwoThreads {
public:
    explicit TwoThreads(const Fanout& fanout) : fanout_(fanout), left_(fanout.requests), helper_([this] { help(); }) {}
    TwoThreads(const TwoThreads&) = delete;
    TwoThreads& operator=(const TwoThreads&) = delete;
    ~TwoThreads() {
        batch_.store(stop, std::memory_order_release);
        helper_.join();
    }

    Timed run(RequestSeconds seconds) {
        seconds_ = seconds;
        started_ = 0;
        for (auto& left : left_) {
            left.store(branches_each, std::memory_order_relaxed);
        }
        next_.store(0, std::memory_order_relaxed);
        const bool in_turn = fanout_.order == Fanout::Order::InTurn;
        open_.store(in_turn ? branches_each : total(), std::memory_order_relaxed);
        stopwatch_ = Stopwatch();
        const std::uint64_t batch = batch_.load(std::memory_order_relaxed) + 1;
        batch_.store(batch, std::memory_order_release);
        const std::uint64_t sum = take_branches();
        while (helped_.load(std::memory_order_acquire) != batch) {
            spargio::detail::cpu_relax();
        }
        return {stopwatch_.seconds(), sum + sum_of_helper_};
    }

private:
    static constexpr std::uint64_t stop = ~std::uint64_t{0};

    [[nodiscard]] std::size_t total() const noexcept { return fanout_.requests * branches_each; }

    void help() {
        for (std::uint64_t done = 0;;) {
            const std::uint64_t batch = batch_.load(std::memory_order_acquire);
            if (batch == stop) {
                return;
            }
            if (batch == done) {
                spargio::detail::cpu_relax();
                continue;
            }
            sum_of_helper_ = take_branches();
            done = batch;
            helped_.store(done, std::memory_order_release);
        }
    }

    std::uint64_t take_branches() {
        std::uint64_t sum = 0;
        for (;;) {
            const std::size_t taken = next_.fetch_add(1, std::memory_order_relaxed);
            if (taken >= total()) {
                return sum;
            }
            while (open_.load(std::memory_order_acquire) <= taken) {
                spargio::detail::cpu_relax();
            }
            const std::size_t request = taken / branches_each;
            sum += compute_branch(fanout_, request, taken % branches_each);
            if (left_[request].fetch_sub(1, std::memory_order_acq_rel) == 1) {
                end(request);
            }
        }
    }

    void end(std::size_t request) {
        const double ended = stopwatch_.seconds();
        seconds_[request] = ended - started_;
        if (fanout_.order == Fanout::Order::InTurn) {
            started_ = ended;
            open_.store((request + 2) * branches_each, std::memory_order_release);
        }
    }

    const Fanout& fanout_;
    RequestSeconds seconds_;
    Stopwatch stopwatch_;
    double started_ = 0;
    std::uint64_t sum_of_helper_ = 0;
    std::vector<std::atomic<unsigned>> left_;  // Branches of each request that have not ended.
    alignas(128) std::atomic<std::uint64_t> batch_{0};
    alignas(128) std::atomic<std::size_t> next_{0};
    alignas(128) std::atomic<std::size_t> open_{0};
    alignas(128) std::atomic<std::uint64_t> helped_{0};
    std::thread helper_;
};

inline void fanout(benchmark::State& state, const Fanout& fanout) {
    TwoThreads threads(fanout);
    run_fanout(state, fanout, [&](RequestSeconds seconds) { return threads.run(seconds); });
}

}  // namespace bench::raw_fanout
