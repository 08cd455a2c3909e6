// SPDX-License-Identifier: MIT
// The mixed workload on Asio: one loop that two threads run, reads with pread(2) (see README.md).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "mixed_workloads.hpp"
#include "support/affinity.hpp"
#include "support/asio.hpp"
#include "support/asio_join.hpp"
#include "support/asio_loop.hpp"

#if !defined(ASIO_HAS_IO_URING_AS_DEFAULT)
#error "Asio's timers wake its loop faster through io_uring: define ASIO_HAS_IO_URING and ASIO_DISABLE_EPOLL."
#endif

namespace bench::asio_mixed {

using Join = AsioJoin<LoopExecutor>;
using Timer = asio::basic_waitable_timer<ArrivalClock, asio::wait_traits<ArrivalClock>, LoopExecutor>;

/// A handler for each child of a request.
class ForkHandlers {
public:
    static constexpr std::size_t arrivals = children_each;

    template <class RunChild>
    void operator()(const LoopExecutor& executor, const RunChild& run_child, Join& join) {
        for (std::size_t child = 0; child < children_each; ++child) {
            asio::post(executor, [&run_child, &join, child] {
                run_child(child);
                join.arrive();
            });
        }
    }
};

/// A handler for each thread, which takes the request's next child until none is left: what a handler costs is not paid
/// for each child. The children must be plain functions that do not wait.
class ForkClaims {
public:
    static constexpr std::size_t arrivals = mixed_workers;

    template <class RunChild>
    void operator()(const LoopExecutor& executor, const RunChild& run_child, Join& join) {
        for (std::size_t thread = 0; thread < arrivals; ++thread) {
            asio::post(executor, [this, &run_child, &join] {
                for (auto child = claim(); child < children_each; child = claim()) {
                    run_child(child);
                }
                join.arrive();
            });
        }
    }

private:
    std::size_t claim() noexcept { return next_.fetch_add(1, std::memory_order_relaxed); }

    std::atomic<std::size_t> next_{0};
};

/// A loop on two threads with a CPU each, and what its requests share.
template <class Fork>
class Server {
public:
    Server() {
        for (std::size_t thread = 0; thread < mixed_workers; ++thread) {
            threads_.emplace_back([this, cpu = nth_cpu(thread)] {
                const PinnedScope pinned(cpu);
                loop_.run();
            });
        }
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server() {
        guard_.reset();
        for (auto& thread : threads_) {
            thread.join();
        }
    }

    void run_step(Step& step) { asio::co_spawn(executor_, make_requests(step), asio::use_future).get(); }

private:
    [[nodiscard]] std::uint64_t read(std::uint64_t number, Block& block) const noexcept {
        const auto into = block.emptied();
        const auto got = pread(fd_, into.data(), into.size(), static_cast<off_t>(offset_of(number)));
        return block.value_of(number, got < 0 ? 0 : static_cast<std::size_t>(got));
    }

    Coroutine<void> run_request(Step& step, std::size_t request, Join& requests) {
        BlockStore::Lease blocks(store_);
        std::array<std::uint64_t, children_each> results;
        const auto run_child = [&, this](std::size_t child) {
            results[child] = child < reads_each ? read(read_number(request, child), blocks[child])
                                                : compute_mixed_branch(request, child - reads_each);
        };
        Join join(Fork::arrivals);
        Fork fork;
        fork(executor_, run_child, join);
        co_await join.wait();
        std::uint64_t sum = 0;
        for (const auto result : results) {
            sum += result;
        }
        step.end(request, sum);
        requests.arrive();
    }

    Coroutine<void> make_requests(Step& step) {
        Join requests(requests_each_step);
        Timer timer(executor_);
        step.begin();
        for (std::size_t request = 0; request < requests_each_step; ++request) {
            if (ArrivalClock::now() < step.due(request)) {
                timer.expires_at(step.due(request));
                co_await timer.async_wait(use_loop_awaitable);
            }
            // It runs to its wait at once: that is no more than posting its children.
            asio::co_spawn(executor_, run_request(step, request, requests), asio::detached);
        }
        co_await requests.wait();
    }

    const int fd_ = test_file().fd();
    BlockStore store_;
    asio::io_context loop_{static_cast<int>(mixed_workers)};
    const LoopExecutor executor_ = loop_.get_executor();
    asio::executor_work_guard<LoopExecutor> guard_{executor_};
    std::vector<std::thread> threads_;
};

}  // namespace bench::asio_mixed
