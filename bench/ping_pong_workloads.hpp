// SPDX-License-Identifier: MIT
// The message workloads apart from any runtime: sizes, messages, CPUs, and the sums that prove that all of them came.
#pragma once

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "support/affinity.hpp"
#include "support/process_usage.hpp"
#include "support/timed_batches.hpp"

namespace bench {

/// Before each batch of `rounds`, untimed: whoever slept at its start is awake, and what adapts has adapted.
inline constexpr std::uint64_t warm_up_rounds = 16;
inline constexpr std::uint64_t rounds = 256;
inline constexpr std::uint64_t cold_rounds = 64;

inline constexpr std::uint64_t one_way_messages = 2'048;
/// asio_two_worker_batched_64: how many values one message carries.
inline constexpr std::uint64_t values_per_batch = 64;

/// one_way_many_sources: this many shards send to another.
inline constexpr std::uint64_t sources = 3;
inline constexpr std::uint64_t messages_of_all_sources = sources * one_way_messages;
inline constexpr std::uint64_t sum_of_all_sources = sources * sum_below(one_way_messages);

enum class Tag : std::uint16_t {
    Ping,      ///< to the responder, with the number of the round
    Ack,       ///< back, with the same number
    Start,     ///< one_way_many_sources: to a source; its value means nothing
    OneWay,    ///< with its number; nobody answers it
    Flush,     ///< behind the last OneWay of its sender; its value means nothing
    FlushAck,  ///< back, with the sum of the OneWay values
};

struct Message {
    Tag tag{};
    std::uint64_t value = 0;
};

/// What an unexpected message counts as: no workload's sum comes out with one or more of these in it.
inline constexpr std::uint64_t wrong_value = std::uint64_t{1} << 40U;

constexpr std::uint64_t value_of(Message message, Tag expected) noexcept {
    return message.tag == expected ? message.value : wrong_value;
}

/// What the responder sends back.
constexpr Message ack_for(Message ping) noexcept {
    return {Tag::Ack, value_of(ping, Tag::Ping)};
}

/// What the target of one-way messages has got.
class OneWaySum {
public:
    explicit OneWaySum(std::uint64_t senders = 1) noexcept : unfinished_(senders) {}

    /// False once the last sender's Flush is there.
    bool take(Message message) noexcept {
        if (message.tag == Tag::Flush) {
            return --unfinished_ != 0;
        }
        sum_ += value_of(message, Tag::OneWay);
        return true;
    }

    [[nodiscard]] std::uint64_t result() const noexcept { return sum_; }
    [[nodiscard]] Message flush_ack() const noexcept { return {Tag::FlushAck, sum_}; }

private:
    std::uint64_t unfinished_;
    std::uint64_t sum_ = 0;
};

/// one_way_many_sources: the target, then the sources; two CPUs for all of them.
inline std::array<unsigned, 1 + sources> target_and_source_cpus() {
    std::array<unsigned, 1 + sources> cpus{};
    for (std::size_t i = 0; i < cpus.size(); ++i) {
        cpus[i] = nth_cpu(i % 2);
    }
    return cpus;
}

/// run_batches() for the parked ping pong. A variant whose sides do not both block in a round would be a figure of
/// something else, so that is an error. `one_batch` runs the warm-up, too.
template <class OneBatch>
void run_parked_batches(benchmark::State& state, OneBatch one_batch) {
    std::int64_t blocked = 0;
    std::uint64_t all_rounds = 0;
    run_batches(state, rounds, sum_below(rounds), [&] {
        const auto before = voluntary_switches();
        const Timed timed = one_batch();
        blocked += voluntary_switches() - before;
        all_rounds += warm_up_rounds + rounds;
        return timed;
    });
    const double blocked_per_round = static_cast<double>(blocked) / static_cast<double>(all_rounds);
    state.counters["blocked_per_round"] = blocked_per_round;
    // Two, but for the rounds in which a side was preempted until its message was there.
    if (blocked_per_round < 1.5) {
        state.SkipWithError("not parked: the two sides do not block in every round");
    }
}

}  // namespace bench
