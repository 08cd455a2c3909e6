// SPDX-License-Identifier: MIT
// Messages to a coroutine on an Asio loop, in the form that was fastest (see README.md).
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <pthread.h>

#include "support/asio.hpp"
#include "support/asio_loop.hpp"

namespace bench {

/// Spins a little before it blocks. With std::mutex, whose loser sleeps at once, one way is up to three times as slow.
class AdaptiveMutex {
public:
    void lock() noexcept { pthread_mutex_lock(&mutex_); }
    void unlock() noexcept { pthread_mutex_unlock(&mutex_); }

private:
    pthread_mutex_t mutex_ = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
};

/// Messages to one coroutine of a loop, from other threads. A sender posts to the loop only where it finds its queue
/// empty; the loop takes all that is there at once.
template <class T>
class Mailbox {
public:
    explicit Mailbox(const LoopExecutor& executor, std::size_t senders = 1) : queues_(senders), executor_(executor) {}

    /// Each sender has a queue of its own: one that all share is one and a half times as slow.
    void send(T message, std::size_t sender = 0) {
        Queue& queue = queues_[sender];
        bool was_empty = false;
        {
            const std::lock_guard lock(queue.mutex);
            was_empty = queue.messages.empty();
            queue.messages.push_back(std::move(message));
        }
        if (was_empty) {
            asio::post(executor_, [this] { resume_receiver(); });
        }
    }

    std::optional<T> try_receive() {
        if (next_ == taken_.size()) {
            take_next_queue();
        }
        if (taken_.empty()) {
            return std::nullopt;
        }
        return std::move(taken_[next_++]);
    }

    /// Until messages may be there: to be called after try_receive() gave none.
    Coroutine<void> arrival() {
        auto keep = [this](Receiver receiver) { receiver_.emplace(std::move(receiver)); };
        using Token = const asio::use_awaitable_t<LoopExecutor>&;
        return asio::async_initiate<Token, void()>(std::move(keep), use_loop_awaitable);
    }

    Coroutine<T> receive() {
        std::optional<T> message = try_receive();
        while (!message) {
            co_await arrival();
            message = try_receive();
        }
        co_return std::move(*message);
    }

private:
    using Receiver = asio::detail::awaitable_handler<LoopExecutor>;  // Asio 1.22 has no public type that could hold it.

    // A sender's and the receiver's; two lines, against the prefetcher of the neighbouring line.
    struct alignas(128) Queue {
        AdaptiveMutex mutex;
        std::vector<T> messages;
    };

    /// The receiver has seen all of taken_: takes what is in the first queue that has something.
    void take_next_queue() {
        taken_.clear();
        next_ = 0;
        for (std::size_t i = 0; i < queues_.size() && taken_.empty(); ++i) {
            Queue& queue = queues_[turn_];
            turn_ = turn_ + 1 == queues_.size() ? 0 : turn_ + 1;
            const std::lock_guard lock(queue.mutex);
            taken_.swap(queue.messages);
        }
    }

    /// Does nothing when the receiver found the messages before the post came.
    void resume_receiver() {
        if (receiver_) {
            Receiver receiver = std::move(*receiver_);
            receiver_.reset();
            receiver();
        }
    }

    std::vector<Queue> queues_;
    LoopExecutor executor_;
    // What only the loop's thread touches.
    alignas(128) std::vector<T> taken_;
    std::size_t next_ = 0;
    std::size_t turn_ = 0;
    std::optional<Receiver> receiver_;
};

}  // namespace bench
