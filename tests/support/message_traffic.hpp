// SPDX-License-Identifier: MIT
// Random traffic of messages from everybody to everybody, with books kept on both sides.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "spargio/spargio.hpp"
#include "support/stress.hpp"

namespace spargio::test {

/// Each shard sends to all, itself too, and so do threads that are no shards; each message is the number of those that
/// its sender has sent to that target. Every kind of send, every kind of receive.
class MessageTraffic {
public:
    struct Plan {
        std::size_t shards;
        unsigned threads;                // Senders that are no shards.
        std::uint64_t messages;          // Of each sender, at most;
        std::chrono::milliseconds time;  // in that time.
        bool naps;                       // Senders sleep now and then, so that shards do.
        std::uint64_t seed;
        bool shut_down = false;  // In the middle of it.
    };

    MessageTraffic(Runtime& runtime, const Plan& plan);
    MessageTraffic(const MessageTraffic&) = delete;
    MessageTraffic& operator=(const MessageTraffic&) = delete;
    ~MessageTraffic();

    /// Waits for the senders to end, and until each target has heard so from each.
    void finish();

    [[nodiscard]] std::uint64_t accepted() const;
    [[nodiscard]] std::uint64_t refused() const;
    /// Messages that did not arrive in their turn. After finish(), or a shutdown.
    [[nodiscard]] std::uint64_t out_of_order() const;
    /// Empty if what arrived is what was accepted, pair for pair, in order; else what is wrong first.
    [[nodiscard]] std::string verdict() const;

private:
    static constexpr std::uint16_t kMessage = 0x100;  // Plus the thread, if the sender is none of the shards.
    static constexpr std::uint16_t kEnd = 0x200;

    /// One direction of one pair; written by the sender only.
    struct Sent {
        std::uint32_t count = 0;
        std::uint64_t sum = 0;
    };
    /// The same at the other end; written by the receiver's shard only.
    struct Received {
        std::uint32_t count = 0;
        std::uint64_t sum = 0;
        std::uint32_t out_of_order = 0;
        bool ended = false;
    };
    struct Sender {
        explicit Sender(std::size_t shards) : to(shards) {}
        std::vector<Sent> to;
        std::uint64_t accepted = 0;
        std::uint64_t refused = 0;
    };

    struct Typed {
        RawMsg raw;
        [[nodiscard]] RawMsg encode() const { return raw; }
        static Typed decode(RawMsg message) { return {message}; }
    };

    /// What a random send came to.
    struct Attempt {
        std::size_t accepted = 0;
        std::error_code error;
        std::optional<SendTicket> ticket;
    };

    [[nodiscard]] static std::uint64_t mixed(std::uint32_t value) { return (value + 1) * 0x9E3779B97F4A7C15ULL; }
    [[nodiscard]] std::uint16_t tag_of(std::size_t sender) const;
    Attempt send_some(std::size_t sender, std::size_t target, Random& random);
    void note(std::size_t receiver, const spargio::Event& event);

    Task<> send_from_shard(std::size_t shard, Random random);
    void send_from_thread(std::size_t sender, Random random);
    Task<> receive(std::size_t shard, Random random);
    /// Waits for one message, and takes up to `further` more.
    Task<> take_some(std::size_t shard, std::size_t further);

    const Plan plan_;
    const RuntimeHandle runtime_;
    const std::chrono::steady_clock::time_point until_;
    std::vector<RemoteShard> targets_;
    std::vector<Sender> senders_;                  // The shards, then the threads.
    std::vector<std::vector<Received>> received_;  // [receiver][sender]
    std::vector<JoinHandle<>> tasks_;
    std::vector<std::thread> threads_;
};

}  // namespace spargio::test
