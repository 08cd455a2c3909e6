// SPDX-License-Identifier: MIT
// What tests order their steps with: an event and a latch that threads block on and tasks await.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "spargio/join_handle.hpp"
#include "spargio/shard_ctx.hpp"
#include "spargio/task.hpp"
#include "spargio/time.hpp"

namespace spargio::test {

/// Set once, by any thread. wait() blocks the thread, on purpose also that of a shard; async_wait() suspends the task,
/// so that its shard goes on and may fall asleep. Made of nothing but the public contract: a task that waits joins a
/// child that sleeps for ever, and set() stops that child.
class Event {
public:
    Event() = default;
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void set() {
        // All of it under the lock: a waiter, and with it the event, cannot be gone before the last line.
        const std::lock_guard lock(mutex_);
        set_ = true;
        changed_.notify_all();
        for (Waiter* waiter : waiters_) {
            waiter->sleeper.request_stop();
        }
    }

    [[nodiscard]] bool is_set() const {
        const std::lock_guard lock(mutex_);
        return set_;
    }

    void wait() const {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return set_; });
    }

    /// Whether it was set in time.
    [[nodiscard]] bool wait_for(std::chrono::milliseconds limit) const {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, limit, [this] { return set_; });
    }

    /// True once the event is set; false when the waiting task was stopped before.
    Task<bool> async_wait() {
        {
            Waiter waiter(*this, ShardCtx::current()->spawn_local(sleep_for_ever()));
            if (waiter.sleeper.spawn_error()) {
                co_await sleep_for_ever();  // The runtime shuts down, and will destroy the waiting task.
            } else if (waiter.enter()) {
                static_cast<void>(co_await waiter.sleeper.join());
            }
        }
        co_return is_set();
    }

private:
    /// Leaves the list when its task goes on, or is destroyed.
    struct Waiter {
        Waiter(Event& awaited, JoinHandle<void> child) : event(awaited), sleeper(std::move(child)) {}
        Waiter(const Waiter&) = delete;
        Waiter& operator=(const Waiter&) = delete;
        ~Waiter() {
            const std::lock_guard lock(event.mutex_);
            std::erase(event.waiters_, this);
            sleeper.request_stop();
        }

        [[nodiscard]] bool enter() {
            const std::lock_guard lock(event.mutex_);
            if (!event.set_) {
                event.waiters_.push_back(this);
            }
            return !event.set_;
        }

        Event& event;
        JoinHandle<void> sleeper;
    };

    static Task<> sleep_for_ever() { static_cast<void>(co_await sleep_for(std::chrono::hours::max())); }

    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::vector<Waiter*> waiters_;
    bool set_ = false;
};

/// An event that the last of `count` arrivals sets.
class Latch {
public:
    explicit Latch(std::size_t count) : missing_(count) {
        if (count == 0) {
            event_.set();
        }
    }

    void arrive() {
        if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            event_.set();
        }
    }
    void arrive_and_wait() {
        arrive();
        event_.wait();
    }

    [[nodiscard]] bool is_open() const { return event_.is_set(); }
    void wait() const { event_.wait(); }
    [[nodiscard]] bool wait_for(std::chrono::milliseconds limit) const { return event_.wait_for(limit); }
    Task<bool> async_wait() { return event_.async_wait(); }

private:
    Event event_;
    std::atomic<std::size_t> missing_;
};

}  // namespace spargio::test
