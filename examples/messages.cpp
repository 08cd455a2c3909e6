// SPDX-License-Identifier: MIT
// Counters spread over the shards: each belongs to one shard, which alone touches it, so it needs no lock. Plain
// threads count words by sending messages, and meet full queues; at the end each shard sends its sum to shard 0.
#include <spargio/spargio.hpp>

#include <cstdint>
#include <iostream>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

using spargio::Event;
using spargio::RawMsg;
using spargio::RemoteShard;
using spargio::ShardCtx;
using spargio::ShardId;
using spargio::Task;

constexpr std::uint32_t words = 1000;
constexpr std::uint32_t times = 100;
constexpr std::uint32_t threads = 3;

// A message is a tag and 32 bits. encode() and decode() make a type of it.
struct Count {
    static constexpr std::uint16_t tag = 1;
    std::uint32_t word;

    [[nodiscard]] RawMsg encode() const { return {tag, word}; }
    static Count decode(RawMsg raw) { return {raw.val}; }
};
struct Done {
    static constexpr std::uint16_t tag = 2;

    [[nodiscard]] RawMsg encode() const { return {tag, 0}; }
    static Done decode(RawMsg) { return {}; }
};
struct Sum {
    static constexpr std::uint16_t tag = 3;
    std::uint32_t value;

    [[nodiscard]] RawMsg encode() const { return {tag, value}; }
    static Sum decode(RawMsg raw) { return {raw.val}; }
};

/// Owns the counters of its shard. A thread's Done comes behind all that the same thread has sent before.
Task<> keep_counters() {
    std::unordered_map<std::uint32_t, std::uint32_t> counters;
    for (std::uint32_t done = 0; done < threads;) {
        const Event event = co_await ShardCtx::current()->next_event();
        if (event.tag == Count::tag) {
            ++counters[event.as<Count>().word];
        } else {
            ++done;
        }
    }
    std::uint32_t sum = 0;
    for (const auto& [word, count] : counters) {
        sum += count;
    }
    ShardCtx::current()->send_nowait(0, Sum{sum}).value();
}

/// On shard 0, which keeps no counters.
Task<std::uint32_t> add_sums(std::size_t shards) {
    std::uint32_t total = 0;
    for (std::size_t i = 1; i < shards; ++i) {
        const Event event = co_await ShardCtx::current()->next_event();
        std::cout << "shard " << event.from << " has counted " << event.as<Sum>().value << '\n';
        total += event.as<Sum>().value;
    }
    co_return total;
}

/// A full queue is an answer, not an error. This thread is no shard: it may wait before it tries again.
template <class M>
void send(const RemoteShard& shard, M message) {
    while (true) {
        const auto sent = shard.send_nowait(message);
        if (sent) {
            return;
        }
        if (sent.error() != spargio::SendError::Backpressure) {
            sent.value();  // throws
        }
        std::this_thread::yield();
    }
}

void count_words(const std::vector<RemoteShard>& counters) {
    for (std::uint32_t time = 0; time < times; ++time) {
        for (std::uint32_t word = 0; word < words; ++word) {
            send(counters[word % counters.size()], Count{word});
        }
    }
    for (const RemoteShard& shard : counters) {
        send(shard, Done{});
    }
}

}  // namespace

int main() {
    // A queue of 64 messages is soon full: what a slow shard has not taken yet costs no more memory than that.
    spargio::Runtime runtime = spargio::RuntimeBuilder().shards(4).msg_ring_queue_capacity(64).build();
    const spargio::RuntimeHandle handle = runtime.handle();
    std::vector<RemoteShard> counters;
    for (ShardId shard = 1; shard < runtime.shard_count(); ++shard) {
        handle.spawn_pinned(shard, keep_counters()).detach();
        counters.push_back(*handle.remote(shard));
    }
    auto total = handle.spawn_pinned(0, add_sums(runtime.shard_count()));

    std::vector<std::thread> senders;
    for (std::uint32_t i = 0; i < threads; ++i) {
        senders.emplace_back([&counters] { count_words(counters); });
    }
    for (std::thread& sender : senders) {
        sender.join();
    }
    std::cout << total.get() << " of " << threads * times * words << " words counted, "
              << handle.stats_snapshot().ring_msgs_backpressure << " sends met a full queue\n";
}
