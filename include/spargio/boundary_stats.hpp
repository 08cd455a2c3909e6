// SPDX-License-Identifier: MIT
// The counters of a boundary channel.
#pragma once

#include <chrono>
#include <cstdint>

namespace spargio::boundary {

/// A snapshot, taken with Client::stats() or Server::stats(). When no call is under way, calls = answered + overloaded
/// + timed_out + canceled + closed: each call is counted once, by how it ended. A call whose caller left after the
/// server had taken it counts when the server is through with it.
struct Stats {
    std::uint64_t calls = 0;              ///< made, refused ones included
    std::uint64_t answered = 0;           ///< the caller got, or can get, a reply
    std::uint64_t overloaded = 0;         ///< refused by try_call() for want of room
    std::uint64_t timed_out = 0;          ///< the deadline passed first
    std::uint64_t canceled = 0;           ///< the caller left, also by Ticket::wait_for() running out, which gives it
                                          ///< Timeout; or the request was destroyed without an answer
    std::uint64_t closed = 0;             ///< the server was gone, or went away while the request was queued
    std::uint64_t depth = 0;              ///< gauge: requests queued, with those of callers that wait for room, and
                                          ///< those that have expired, until their callers or a receiver see it
    std::chrono::nanoseconds max_wait{};  ///< the longest that a request was queued before the server took it

    [[nodiscard]] bool operator==(const Stats&) const = default;
};

}  // namespace spargio::boundary
