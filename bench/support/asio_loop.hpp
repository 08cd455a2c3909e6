// SPDX-License-Identifier: MIT
// Asio's coroutines on an io_context that one thread runs.
#pragma once

#include <exception>
#include <optional>
#include <thread>
#include <utility>

#include "support/affinity.hpp"
#include "support/asio.hpp"

namespace bench {

// The type-erased default executor makes every step up to twice as slow.
using LoopExecutor = asio::io_context::executor_type;
template <class T, class Executor = LoopExecutor>
using Coroutine = asio::awaitable<T, Executor>;

inline constexpr asio::use_awaitable_t<LoopExecutor> use_loop_awaitable;

/// An io_context with one thread that blocks in run().
class LoopThread {
public:
    explicit LoopThread(std::optional<unsigned> cpu = std::nullopt) {
        thread_ = std::thread([this, cpu] {
            std::optional<PinnedScope> pinned;
            if (cpu) {
                pinned.emplace(*cpu);
            }
            loop_.run();
        });
    }
    LoopThread(const LoopThread&) = delete;
    LoopThread& operator=(const LoopThread&) = delete;
    ~LoopThread() { join(); }

    /// Waits until the loop has nothing left to do. What its handlers use must live until then.
    void join() {
        guard_.reset();
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    LoopExecutor executor() { return loop_.get_executor(); }

private:
    // The hint says that one thread runs the loop; others may still post to it.
    asio::io_context loop_{1};
    asio::executor_work_guard<LoopExecutor> guard_{loop_.get_executor()};
    std::thread thread_;
};

/// Runs one coroutine to its end on a fresh-started loop, on the calling thread.
template <class T>
T run_on(asio::io_context& loop, Coroutine<T> coroutine) {
    std::optional<T> result;
    asio::co_spawn(loop, std::move(coroutine), [&](std::exception_ptr error, T value) {
        if (error) {
            std::rethrow_exception(error);
        }
        result = std::move(value);
    });
    loop.restart();
    loop.run();
    return *std::move(result);
}

}  // namespace bench
