// SPDX-License-Identifier: MIT
// The message workloads on spargio, for either backend.
#pragma once

#include <spargio/spargio.hpp>

#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "ping_pong_workloads.hpp"

namespace bench::spargio_ping_pong {

using spargio::BackendKind;
using spargio::Event;
using spargio::JoinHandle;
using spargio::RawMsg;
using spargio::Runtime;
using spargio::RuntimeBuilder;
using spargio::ShardCtx;
using spargio::ShardId;
using spargio::Task;

inline constexpr ShardId client = 0;
inline constexpr ShardId responder = 1;
inline constexpr std::size_t events_at_a_time = 256;

inline RawMsg raw(Message message) {
    return {static_cast<std::uint16_t>(message.tag), static_cast<std::uint32_t>(message.value)};
}

inline Message message_of(Event event) {
    return {static_cast<Tag>(event.tag), event.val};
}

inline void send(ShardId target, Message message) {
    const RawMsg out = raw(message);
    ShardCtx::current()->send_raw_nowait(target, out.tag, out.val).value();
}

inline RuntimeBuilder pair_of_shards(BackendKind backend) {
    RuntimeBuilder builder;
    builder.backend(backend).shards(2).thread_affinity({client_cpu(), responder_cpu()});
    return builder;
}

/// Answers until the runtime goes.
inline Task<> answer_pings() {
    for (;;) {
        const auto event = co_await ShardCtx::current()->next_event();
        send(event.from, ack_for(message_of(event)));
    }
}

inline Task<std::uint64_t> ping(std::uint64_t count) {
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        send(responder, {Tag::Ping, i});
        const auto event = co_await ShardCtx::current()->next_event();
        sum += value_of(message_of(event), Tag::Ack);
    }
    co_return sum;
}

inline Task<Timed> timed_rounds() {
    static_cast<void>(co_await ping(warm_up_rounds));
    const Stopwatch stopwatch;
    const auto sum = co_await ping(rounds);
    const Timed timed{stopwatch.seconds(), sum};
    co_return timed;
}

inline void steady_ping_pong_rtt(benchmark::State& state, BackendKind backend) {
    auto runtime = pair_of_shards(backend).ring_entries(256).build();
    const auto handle = runtime.handle();
    handle.spawn_pinned(responder, answer_pings()).detach();
    run_batches(state, rounds, sum_below(rounds), [&] { return handle.spawn_pinned(client, timed_rounds()).get(); });
}

inline void steady_ping_pong_rtt_parked(benchmark::State& state, BackendKind backend) {
    auto runtime = pair_of_shards(backend).ring_entries(256).idle_spin(std::chrono::microseconds(0)).build();
    const auto handle = runtime.handle();
    handle.spawn_pinned(responder, answer_pings()).detach();
    run_parked_batches(state, [&] { return handle.spawn_pinned(client, timed_rounds()).get(); });
}

inline void cold_start_ping_pong(benchmark::State& state, BackendKind backend) {
    run_batches(state, 1, sum_below(cold_rounds), [&] {
        const Stopwatch stopwatch;
        std::uint64_t sum = 0;
        {
            const auto runtime = pair_of_shards(backend).build();
            const auto handle = runtime.handle();
            handle.spawn_pinned(responder, answer_pings()).detach();
            sum = handle.spawn_pinned(client, ping(cold_rounds)).get();
        }
        return Timed{stopwatch.seconds(), sum};
    });
}

/// Adds up what comes until every sender has said Flush.
inline Task<OneWaySum> add_up(std::uint64_t senders) {
    std::array<Event, events_at_a_time> events;
    OneWaySum sum(senders);
    for (bool more = true; more;) {
        const auto count = co_await ShardCtx::current()->next_events(events);
        for (std::size_t i = 0; i < count; ++i) {
            more = sum.take(message_of(events[i]));
        }
    }
    co_return sum;
}

inline Task<> answer_flushes() {
    for (;;) {
        const auto sum = co_await add_up(1);
        send(client, sum.flush_ack());
    }
}

inline std::vector<RawMsg> one_way_batch() {
    std::vector<RawMsg> batch;
    batch.reserve(one_way_messages);
    for (std::uint64_t i = 0; i < one_way_messages; ++i) {
        batch.push_back(raw({Tag::OneWay, i}));
    }
    return batch;
}

/// All of the batch, in as many calls as the queue's room asks for.
inline Task<> send_all(ShardId target, const std::vector<RawMsg>& batch) {
    std::span<const RawMsg> rest = batch;
    while (!rest.empty()) {
        const auto accepted = ShardCtx::current()->send_many_raw_nowait(target, rest);
        rest = rest.subspan(accepted.value_or(0));
        if (!rest.empty()) {
            co_await spargio::yield();
        }
    }
}

inline Task<Timed> one_way() {
    const Stopwatch stopwatch;
    const auto batch = one_way_batch();
    co_await send_all(responder, batch);
    ShardCtx::current()->flush();
    const RawMsg flush = raw({Tag::Flush, 0});
    const auto ticket = ShardCtx::current()->send_raw(responder, flush.tag, flush.val);
    const auto event = co_await ShardCtx::current()->next_event();
    const auto seen = co_await *ticket;
    const Timed timed{stopwatch.seconds(), seen ? value_of(message_of(event), Tag::FlushAck) : wrong_value};
    co_return timed;
}

inline void steady_one_way_send_drain(benchmark::State& state, BackendKind backend) {
    auto runtime = pair_of_shards(backend).ring_entries(4096).build();
    const auto handle = runtime.handle();
    handle.spawn_pinned(responder, answer_flushes()).detach();
    run_batches(state, one_way_messages, sum_below(one_way_messages),
                [&] { return handle.spawn_pinned(client, one_way()).get(); });
}

inline Task<> send_when_told() {
    for (;;) {
        const auto start = co_await ShardCtx::current()->next_event();
        const auto batch = one_way_batch();
        co_await send_all(start.from, batch);
        send(start.from, {Tag::Flush, 0});
    }
}

inline Task<Timed> add_up_all_sources() {
    const Stopwatch stopwatch;
    for (ShardId source = 1; source <= sources; ++source) {
        send(source, {Tag::Start, 0});
    }
    const auto sum = co_await add_up(sources);
    const Timed timed{stopwatch.seconds(), sum.result()};
    co_return timed;
}

inline void one_way_many_sources(benchmark::State& state, BackendKind backend) {
    const auto cpus = target_and_source_cpus();
    auto runtime = RuntimeBuilder()
                       .backend(backend)
                       .shards(cpus.size())
                       .thread_affinity({cpus.begin(), cpus.end()})
                       .ring_entries(4096)
                       .build();
    const auto handle = runtime.handle();
    for (ShardId source = 1; source <= sources; ++source) {
        handle.spawn_pinned(source, send_when_told()).detach();
    }
    run_batches(state, messages_of_all_sources, sum_of_all_sources,
                [&] { return handle.spawn_pinned(0, add_up_all_sources()).get(); });
}

}  // namespace bench::spargio_ping_pong
