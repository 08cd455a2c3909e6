// SPDX-License-Identifier: MIT
// Coroutines on Asio's thread pool, and how one of them waits for those it has forked.
#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <utility>

#include "support/asio.hpp"
#include "support/asio_loop.hpp"

namespace bench {

using PoolExecutor = asio::thread_pool::executor_type;
template <class T>
using PoolCoroutine = Coroutine<T, PoolExecutor>;

inline constexpr asio::use_awaitable_t<PoolExecutor> use_pool_awaitable;

/// Waits once for a number of children: a counter, and the last child runs the parent on in its own handler, which
/// costs no way through the queue. `Executor` is the parent's.
template <class Executor>
class AsioJoin {
public:
    explicit AsioJoin(std::size_t children) noexcept : left_(children + 1) {}
    AsioJoin(const AsioJoin&) = delete;
    AsioJoin& operator=(const AsioJoin&) = delete;

    /// By each child, on a thread of the parent's executor, as the last thing that it does.
    void arrive() {
        if (is_last()) {
            Handler parent = std::move(*parent_);
            parent();
        }
    }

    /// By the parent: whether all children have arrived, and it need not wait.
    [[nodiscard]] bool done() const noexcept { return left_.load(std::memory_order_acquire) == 1; }

    /// Awaitable, by the parent.
    auto wait() {
        auto keep = [this](Handler parent) {
            parent_.emplace(std::move(parent));
            if (is_last()) {
                Handler last = std::move(*parent_);  // Off this object, which may end as soon as the parent runs.
                asio::post(std::move(last));
            }
        };
        using Token = const asio::use_awaitable_t<Executor>&;
        static constexpr asio::use_awaitable_t<Executor> token;
        return asio::async_initiate<Token, void()>(std::move(keep), token);
    }

private:
    using Handler = asio::detail::awaitable_handler<Executor>;  // Asio 1.22 has no public type that could hold it.

    /// The children and the parent count down. Release: a child's result, the parent's handler. Acquire: both.
    bool is_last() noexcept { return left_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

    std::atomic<std::size_t> left_;
    std::optional<Handler> parent_;
};

}  // namespace bench
