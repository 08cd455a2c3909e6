// SPDX-License-Identifier: MIT
// The ping pong without a runtime: what two CPUs need at least to answer each other, spinning or blocking.
#pragma once

#include <benchmark/benchmark.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <exception>
#include <future>
#include <optional>
#include <thread>
#include <utility>

#include <liburing.h>

#include "ping_pong_workloads.hpp"
#include "spargio/detail/seams.hpp"
#include "support/affinity.hpp"
#include "support/futex_cell.hpp"
#include "support/raw_ring.hpp"

namespace bench::raw_ping_pong {

/// `ping(count)` makes that many rounds and returns the sum of the acks. The caller is the client, and pinned.
template <class Ping>
Timed warmed_up(Ping ping) {
    ping(warm_up_rounds);
    const Stopwatch stopwatch;
    const std::uint64_t sum = ping(rounds);
    return {stopwatch.seconds(), sum};
}

/// As FutexCell, but the receiver spins: what is measured is the way of a cache line from one CPU to the other.
class SpinningCell {
public:
    void send(std::uint32_t value) noexcept {
        value_ = value;
        sent_.store(sent_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }

    std::uint32_t receive() noexcept {
        while (sent_.load(std::memory_order_acquire) == received_) {
            spargio::detail::cpu_relax();
        }
        ++received_;
        return value_;
    }

private:
    alignas(128) std::atomic<std::uint32_t> sent_{0};
    std::uint32_t value_ = 0;  // On the same line.
    alignas(128) std::uint32_t received_ = 0;
};

/// One batch between two threads, with a cell each way.
template <class Cell>
Timed ping_pong_over() {
    Cell to_client;
    Cell to_responder;
    const std::jthread responder([&] {
        const PinnedScope responder_pinned(responder_cpu());
        for (std::uint64_t i = 0; i < warm_up_rounds + rounds; ++i) {
            to_client.send(to_responder.receive());
        }
    });
    return warmed_up([&](std::uint64_t count) {
        std::uint64_t sum = 0;
        for (std::uint32_t i = 0; i < count; ++i) {
            to_responder.send(i);
            sum += to_client.receive();
        }
        return sum;
    });
}

inline void steady_ping_pong_rtt_spinning(benchmark::State& state) {
    const PinnedScope pinned(client_cpu());
    run_batches(state, rounds, sum_below(rounds), ping_pong_over<SpinningCell>);
}

inline void steady_ping_pong_rtt_parked_futex(benchmark::State& state) {
    const PinnedScope pinned(client_cpu());
    run_parked_batches(state, ping_pong_over<FutexCell>);
}

/// A message lies in the completion that MSG_RING makes on the receiver's ring.
class MessageRing : private RawRing {
public:
    MessageRing() : RawRing(entries) {}

    using RawRing::fd;

    void send(int receiver, Message message) {
        prepare(receiver, message);
        require(io_uring_submit(get()));
    }

    Message receive() {
        io_uring_cqe* cqe = nullptr;
        int result = -EINTR;
        while (result == -EINTR) {
            result = io_uring_wait_cqe(get(), &cqe);
        }
        require(result);
        const Message message{static_cast<Tag>(cqe->res), cqe->user_data};
        require(cqe->res);  // The send's own completion, which comes where it failed only.
        io_uring_cqe_seen(get(), cqe);
        return message;
    }

    /// Both in one system call, but for a signal in between.
    Message send_and_receive(int receiver, Message message) {
        prepare(receiver, message);
        submit_and_wait();
        return receive();
    }

private:
    static constexpr unsigned entries = 8;

    void prepare(int receiver, Message message) noexcept {
        io_uring_sqe* sqe = io_uring_get_sqe(get());  // Never full: each send is submitted.
        io_uring_prep_msg_ring(sqe, receiver, static_cast<unsigned>(message.tag), message.value, 0);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
};

/// For a thread of its own: tells its ring's descriptor, or why there is none. What fails later ends the program.
inline void respond(int client, std::promise<int> to_this) {
    const PinnedScope pinned(responder_cpu());
    std::optional<MessageRing> ring;
    try {
        ring.emplace();
    } catch (...) {
        to_this.set_exception(std::current_exception());
        return;
    }
    to_this.set_value(ring->fd());
    Message ping = ring->receive();
    for (std::uint64_t i = 1; i < warm_up_rounds + rounds; ++i) {
        ping = ring->send_and_receive(client, ack_for(ping));
    }
    ring->send(client, ack_for(ping));
}

inline void steady_ping_pong_rtt_parked_msg_ring(benchmark::State& state) {
    const PinnedScope pinned(client_cpu());
    run_parked_batches(state, [] {
        MessageRing ring;
        std::promise<int> promise;
        auto ready = promise.get_future();
        const std::jthread responder(respond, ring.fd(), std::move(promise));
        const int to_responder = ready.get();
        return warmed_up([&](std::uint64_t count) {
            std::uint64_t sum = 0;
            for (std::uint64_t i = 0; i < count; ++i) {
                sum += value_of(ring.send_and_receive(to_responder, {Tag::Ping, i}), Tag::Ack);
            }
            return sum;
        });
    });
}

}  // namespace bench::raw_ping_pong
