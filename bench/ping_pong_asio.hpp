// SPDX-License-Identifier: MIT
// The message workloads on Asio: one io_context per shard, in the forms that were fastest (see README.md).
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "ping_pong_workloads.hpp"
#include "support/asio.hpp"
#include "support/asio_loop.hpp"
#include "support/asio_mailbox.hpp"
#include "support/asio_pair.hpp"

namespace bench::asio_ping_pong {

/// A mailbox with what Asio brings for it.
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
