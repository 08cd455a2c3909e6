// SPDX-License-Identifier: MIT
// What tests order their steps with: an event and a latch that threads block on and tasks await.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
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
/// child that sleeps for ever, and set() stops that child. Who waits or sets already may outlive the event.
class Event {
public:
    Event() = default;
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void set() {
        const auto state = state_;
        const std::lock_guard lock(state->mutex);
        state->set = true;
        state->changed.notify_all();
        for (const Waiter* waiter : state->waiters) {
            waiter->sleeper.request_stop();
        }
    }

    [[nodiscard]] bool is_set() const { return state_->is_set(); }

    void wait() const {
        const auto state = state_;
        std::unique_lock lock(state->mutex);
        state->changed.wait(lock, [&] { return state->set; });
    }

    /// Whether it was set in time.
    [[nodiscard]] bool wait_for(std::chrono::milliseconds limit) const {
        const auto state = state_;
        std::unique_lock lock(state->mutex);
        return state->changed.wait_for(lock, limit, [&] { return state->set; });
    }

    /// True once the event is set; false when the waiting task was stopped before.
    [[nodiscard]] Task<bool> async_wait() const { return wait_in_task(state_); }

private:
    struct Waiter;

    struct State {
        [[nodiscard]] bool is_set() const {
            const std::lock_guard lock(mutex);
            return set;
        }

        mutable std::mutex mutex;
        std::condition_variable changed;
        std::vector<const Waiter*> waiters;
        bool set = false;
    };

    /// Leaves the list when its task goes on, or is destroyed.
    struct Waiter {
        Waiter(std::shared_ptr<State> awaited, JoinHandle<void> child)
            : state(std::move(awaited)), sleeper(std::move(child)) {}
        Waiter(const Waiter&) = delete;
        Waiter& operator=(const Waiter&) = delete;
        ~Waiter() {
            const std::lock_guard lock(state->mutex);
            std::erase(state->waiters, this);
            sleeper.request_stop();
        }

        [[nodiscard]] bool enter() {
            const std::lock_guard lock(state->mutex);
            if (!state->set) {
                state->waiters.push_back(this);
            }
            return !state->set;
        }

        const std::shared_ptr<State> state;
        JoinHandle<void> sleeper;
    };

    static Task<bool> wait_in_task(std::shared_ptr<State> state) {
        {
            Waiter waiter(state, ShardCtx::current()->spawn_local(sleep_for_ever()));
            if (waiter.sleeper.spawn_error()) {
                co_await sleep_for_ever();  // The runtime shuts down, and will destroy the waiting task.
            } else if (waiter.enter()) {
                static_cast<void>(co_await waiter.sleeper.join());
            }
        }
        co_return state->is_set();
    }

    static Task<> sleep_for_ever() { static_cast<void>(co_await sleep_for(std::chrono::hours::max())); }

    std::shared_ptr<State> state_ = std::make_shared<State>();
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
    [[nodiscard]] Task<bool> async_wait() const { return event_.async_wait(); }

private:
    Event event_;
    std::atomic<std::size_t> missing_;
};

}  // namespace spargio::test
