// SPDX-License-Identifier: MIT
// The message workloads on Asio: one io_context per shard, in the forms that were fastest (see README.md).
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <pthread.h>

#include "ping_pong_workloads.hpp"
#include "support/asio.hpp"
#include "support/asio_loop.hpp"

namespace bench::asio_ping_pong {

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

/// The same with what Asio brings for it.
template <class T>
class Channel {
public:
    explicit Channel(const LoopExecutor& executor) : channel_(executor, capacity) {}

    void send(T message) { channel_.try_send(asio::error_code(), std::move(message)); }
    Coroutine<T> receive() { return channel_.async_receive(use_loop_awaitable); }

private:
    static constexpr std::size_t capacity = 4'096;  // Never full in a workload, so try_send() always succeeds.

    asio::experimental::concurrent_channel<LoopExecutor, void(asio::error_code, T)> channel_;
};

/// Two loops, and a way from each to the other. The threads end before the boxes, and the boxes before the loops.
template <class ToClient, class ToResponder = ToClient>
struct Pair {
    LoopThread client{client_cpu()};
    LoopThread responder{responder_cpu()};
    ToClient to_client{client.executor()};
    ToResponder to_responder{responder.executor()};

    Pair() = default;
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair() {
        client.join();
        responder.join();
    }

    /// Runs both coroutines; returns what the client's returns. The responder's must end by itself.
    template <class T>
    T run(Coroutine<T> client_side, Coroutine<void> responder_side) {
        asio::co_spawn(responder.executor(), std::move(responder_side), asio::detached);
        return asio::co_spawn(client.executor(), std::move(client_side), asio::use_future).get();
    }
};

template <class Box>
Coroutine<void> respond(Box& in, Box& out, std::uint64_t pings) {
    for (std::uint64_t i = 0; i < pings; ++i) {
        out.send(ack_for(co_await in.receive()));
    }
}

template <class Box>
Coroutine<std::uint64_t> ping(Box& in, Box& out, std::uint64_t pings) {
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < pings; ++i) {
        out.send({Tag::Ping, i});
        sum += value_of(co_await in.receive(), Tag::Ack);
    }
    co_return sum;
}

template <class Box>
Coroutine<Timed> ping_steadily(Box& in, Box& out) {
    co_await ping(in, out, warm_up_rounds);
    const Stopwatch stopwatch;
    const std::uint64_t sum = co_await ping(in, out, rounds);
    const Timed timed{stopwatch.seconds(), sum};
    co_return timed;
}

template <class Box>
Timed steady_batch(Pair<Box>& pair) {
    return pair.run(ping_steadily(pair.to_client, pair.to_responder),
                    respond(pair.to_responder, pair.to_client, warm_up_rounds + rounds));
}

template <template <class> class Box>
void steady_ping_pong_rtt(benchmark::State& state) {
    Pair<Box<Message>> pair;
    run_batches(state, rounds, sum_below(rounds), [&] { return steady_batch(pair); });
}

/// A loop without work blocks, so this is the same.
template <template <class> class Box>
void steady_ping_pong_rtt_parked(benchmark::State& state) {
    Pair<Box<Message>> pair;
    run_parked_batches(state, [&] { return steady_batch(pair); });
}

template <template <class> class Box>
void cold_start_ping_pong(benchmark::State& state) {
    run_batches(state, 1, sum_below(cold_rounds), [&] {
        const Stopwatch stopwatch;
        std::uint64_t sum = 0;
        {
            Pair<Box<Message>> pair;
            sum = pair.run(ping(pair.to_client, pair.to_responder, cold_rounds),
                           respond(pair.to_responder, pair.to_client, cold_rounds));
        }
        return Timed{stopwatch.seconds(), sum};
    });
}

/// As many messages as it has values.
struct Batch {
    Tag tag{};
    std::vector<std::uint64_t> values;
};

/// Counts the OneWay values that come until all senders have flushed. No coroutine per message.
inline Coroutine<OneWaySum> receive_all(Mailbox<Message>& in, std::uint64_t senders) {
    OneWaySum sum(senders);
    for (;;) {
        while (const auto message = in.try_receive()) {
            if (!sum.take(*message)) {
                co_return sum;
            }
        }
        co_await in.arrival();
    }
}

inline Coroutine<OneWaySum> receive_all(Mailbox<Batch>& in, std::uint64_t senders) {
    OneWaySum sum(senders);
    for (;;) {
        while (const auto batch = in.try_receive()) {
            bool more = true;
            for (const auto value : batch->values) {
                more = sum.take({batch->tag, value});
            }
            if (!more) {
                co_return sum;
            }
        }
        co_await in.arrival();
    }
}

inline void send_one_way(Mailbox<Message>& out, std::size_t sender) {
    for (std::uint64_t i = 0; i < one_way_messages; ++i) {
        out.send({Tag::OneWay, i}, sender);
    }
    out.send({Tag::Flush}, sender);
}

inline void send_one_way(Mailbox<Batch>& out, std::size_t sender, std::uint64_t batch_size) {
    for (std::uint64_t i = 0; i < one_way_messages;) {
        Batch batch{Tag::OneWay, std::vector<std::uint64_t>(batch_size)};
        for (auto& value : batch.values) {
            value = i++;
        }
        out.send(std::move(batch), sender);
    }
    out.send({Tag::Flush, {0}}, sender);
}

template <class Box>
Coroutine<void> drain(Box& in, Mailbox<Message>& out) {
    const OneWaySum sum = co_await receive_all(in, 1);
    out.send(sum.flush_ack());
}

/// `batch_size` goes to send_one_way() where messages are batches.
template <class Box, class... BatchSize>
Coroutine<Timed> send_and_drain(Mailbox<Message>& in, Box& out, BatchSize... batch_size) {
    const Stopwatch stopwatch;
    send_one_way(out, 0, batch_size...);
    const std::uint64_t sum = value_of(co_await in.receive(), Tag::FlushAck);
    const Timed timed{stopwatch.seconds(), sum};
    co_return timed;
}

template <class Box, class... BatchSize>
void one_way_batches(benchmark::State& state, BatchSize... batch_size) {
    Pair<Mailbox<Message>, Box> pair;
    run_batches(state, one_way_messages, sum_below(one_way_messages), [&] {
        return pair.run(send_and_drain(pair.to_client, pair.to_responder, batch_size...),
                        drain(pair.to_responder, pair.to_client));
    });
}

inline void steady_one_way_send_drain(benchmark::State& state) {
    one_way_batches<Mailbox<Message>>(state);
}
inline void steady_one_way_send_drain_batched_64(benchmark::State& state) {
    one_way_batches<Mailbox<Batch>>(state, values_per_batch);
}
inline void steady_one_way_send_drain_batched_all(benchmark::State& state) {
    one_way_batches<Mailbox<Batch>>(state, one_way_messages);
}

/// One loop that receives, and the loops that send to it. The threads end before the boxes, and the boxes before the
/// loops.
template <class Box>
struct Star {
    std::deque<LoopThread> loops;  // The target's, then the sources'.
    std::optional<Box> to_target;
    std::deque<Mailbox<Message>> to_sources;

    Star() {
        for (const unsigned cpu : target_and_source_cpus()) {
            loops.emplace_back(cpu);
        }
        to_target.emplace(loops[0].executor(), sources);
        for (std::size_t i = 0; i < sources; ++i) {
            to_sources.emplace_back(loops[1 + i].executor());
        }
    }
    Star(const Star&) = delete;
    Star& operator=(const Star&) = delete;
    ~Star() {
        for (auto& loop : loops) {
            loop.join();
        }
    }
};

template <class Box, class... BatchSize>
Coroutine<void> send_when_started(Mailbox<Message>& in, Box& out, std::size_t sender, BatchSize... batch_size) {
    co_await in.receive();
    send_one_way(out, sender, batch_size...);
}

template <class Box>
Coroutine<Timed> start_and_drain(Star<Box>& star) {
    const Stopwatch stopwatch;
    for (auto& to_source : star.to_sources) {
        to_source.send({Tag::Start});
    }
    const OneWaySum sum = co_await receive_all(*star.to_target, sources);
    const Timed timed{stopwatch.seconds(), sum.result()};
    co_return timed;
}

template <class Box, class... BatchSize>
void many_sources_batches(benchmark::State& state, BatchSize... batch_size) {
    Star<Box> star;
    run_batches(state, messages_of_all_sources, sum_of_all_sources, [&] {
        for (std::size_t i = 0; i < sources; ++i) {
            asio::co_spawn(star.loops[1 + i].executor(),
                           send_when_started(star.to_sources[i], *star.to_target, i, batch_size...), asio::detached);
        }
        return asio::co_spawn(star.loops[0].executor(), start_and_drain(star), asio::use_future).get();
    });
}

inline void one_way_many_sources(benchmark::State& state) {
    many_sources_batches<Mailbox<Message>>(state);
}
inline void one_way_many_sources_batched_all(benchmark::State& state) {
    many_sources_batches<Mailbox<Batch>>(state, one_way_messages);
}

}  // namespace bench::asio_ping_pong
