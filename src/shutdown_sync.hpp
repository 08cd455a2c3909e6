// SPDX-License-Identifier: MIT
// Where the shards of a runtime wait for each other while they end.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>

#include "adaptive_spin.hpp"
#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

/// A barrier whose last arriver does something while all others wait; and the latch of the finished shutdown. A mutex
/// will do: it is used a few times in a runtime's life.
class ShutdownSync {
public:
    /// Returns when `parties` shards have arrived. The last one runs `alone()` first.
    template <class F>
    void arrive_and_wait(std::size_t parties, F&& alone) noexcept {
        std::unique_lock lock(mutex_);
        const auto round = round_.load(std::memory_order_relaxed);
        if (++arrived_ == parties) {
            lock.unlock();  // It may run destructors of the user's, which may ask for a shutdown.
            alone();
            lock.lock();
            arrived_ = 0;
            round_.store(round + 1, std::memory_order_release);
            changed_.notify_all();
            return;
        }
        lock.unlock();
        // Usually the others are a few microseconds away, and a blocked thread is woken in fifty.
        const auto over = [&] { return round_.load(std::memory_order_acquire) != round; };
        AdaptiveSpin spin(std::chrono::microseconds(50));
        if (!spin.spin(over)) {
            lock.lock();
            changed_.wait(lock, over);
        }
    }

    void arrive_and_wait(std::size_t parties) noexcept {
        arrive_and_wait(parties, [] {});
    }

    /// True for the first caller, who has to do it.
    [[nodiscard]] bool begin() noexcept {
        const std::lock_guard lock(mutex_);
        return !std::exchange(begun_, true);
    }

    void finish() noexcept {
        const std::lock_guard lock(mutex_);
        finished_ = true;
        changed_.notify_all();
    }

    void wait_finished() noexcept {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return finished_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t arrived_ = 0;
    atomic<std::size_t> round_{0};  // Written under the lock; release: what all did before they arrived.
    bool begun_ = false;
    bool finished_ = false;
};

}  // namespace spargio::detail
