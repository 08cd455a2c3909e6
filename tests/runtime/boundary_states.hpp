// SPDX-License-Identifier: MIT
// The state table of a call across a boundary: every state, and everything that can happen to it there.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "spargio/spargio.hpp"

namespace spargio::test {

using detail::CallEnd;

/// After Taken, the call has ended, and its caller has not gone on yet; in Left and Late the caller has, after a stop
/// or its deadline, and the server still has the request.
enum class State { Queued, WaitsForRoom, Taken, Answered, TimedOut, Canceled, Closed, Left, Late, Count };
enum class Then {
    Take,
    Answer,
    DestroyRequest,
    DropServer,
    DropLastClient,
    Stop,
    Deadline,
    CallersShutdown,
    ServersShutdown,
    Count
};

/// How a call ends that meets `then` in `state`; one that goes on after it is answered. Nothing: it cannot happen
/// there, because what it needs is gone, or because it is a checked failure.
struct StateRow {
    State state;
    Then then;
    std::optional<CallEnd> ends;
};

inline constexpr std::optional<CallEnd> cannot = std::nullopt;

inline constexpr StateRow state_rows[] = {
    {State::Queued, Then::Take, CallEnd::Answered},
    {State::Queued, Then::Answer, cannot},
    {State::Queued, Then::DestroyRequest, cannot},
    {State::Queued, Then::DropServer, CallEnd::Closed},
    {State::Queued, Then::DropLastClient, CallEnd::Answered},
    {State::Queued, Then::Stop, CallEnd::Canceled},
    {State::Queued, Then::Deadline, CallEnd::TimedOut},
    {State::Queued, Then::CallersShutdown, CallEnd::Canceled},
    {State::Queued, Then::ServersShutdown, CallEnd::Closed},

    {State::WaitsForRoom, Then::Take, CallEnd::Answered},
    {State::WaitsForRoom, Then::Answer, cannot},
    {State::WaitsForRoom, Then::DestroyRequest, cannot},
    {State::WaitsForRoom, Then::DropServer, CallEnd::Closed},
    {State::WaitsForRoom, Then::DropLastClient, CallEnd::Answered},
    {State::WaitsForRoom, Then::Stop, CallEnd::Canceled},
    {State::WaitsForRoom, Then::Deadline, CallEnd::TimedOut},
    {State::WaitsForRoom, Then::CallersShutdown, CallEnd::Canceled},
    {State::WaitsForRoom, Then::ServersShutdown, CallEnd::Closed},

    {State::Taken, Then::Take, CallEnd::Answered},
    {State::Taken, Then::Answer, CallEnd::Answered},
    {State::Taken, Then::DestroyRequest, CallEnd::Canceled},
    {State::Taken, Then::DropServer, CallEnd::Answered},
    {State::Taken, Then::DropLastClient, CallEnd::Answered},
    {State::Taken, Then::Stop, CallEnd::Canceled},
    {State::Taken, Then::Deadline, CallEnd::TimedOut},
    {State::Taken, Then::CallersShutdown, CallEnd::Canceled},
    {State::Taken, Then::ServersShutdown, CallEnd::Canceled},

    {State::Answered, Then::Take, CallEnd::Answered},
    {State::Answered, Then::Answer, cannot},  // BoundaryDeathTest has it.
    {State::Answered, Then::DestroyRequest, CallEnd::Answered},
    {State::Answered, Then::DropServer, CallEnd::Answered},
    {State::Answered, Then::DropLastClient, CallEnd::Answered},
    {State::Answered, Then::Stop, CallEnd::Answered},
    {State::Answered, Then::Deadline, CallEnd::Answered},
    {State::Answered, Then::CallersShutdown, CallEnd::Answered},
    {State::Answered, Then::ServersShutdown, CallEnd::Answered},

    {State::TimedOut, Then::Take, CallEnd::TimedOut},
    {State::TimedOut, Then::Answer, cannot},
    {State::TimedOut, Then::DestroyRequest, cannot},
    {State::TimedOut, Then::DropServer, CallEnd::TimedOut},
    {State::TimedOut, Then::DropLastClient, CallEnd::TimedOut},
    {State::TimedOut, Then::Stop, CallEnd::TimedOut},
    {State::TimedOut, Then::Deadline, CallEnd::TimedOut},
    {State::TimedOut, Then::CallersShutdown, CallEnd::TimedOut},
    {State::TimedOut, Then::ServersShutdown, CallEnd::TimedOut},

    {State::Canceled, Then::Take, CallEnd::Canceled},
    {State::Canceled, Then::Answer, cannot},
    {State::Canceled, Then::DestroyRequest, cannot},
    {State::Canceled, Then::DropServer, CallEnd::Canceled},
    {State::Canceled, Then::DropLastClient, CallEnd::Canceled},
    {State::Canceled, Then::Stop, CallEnd::Canceled},
    {State::Canceled, Then::Deadline, CallEnd::Canceled},
    {State::Canceled, Then::CallersShutdown, CallEnd::Canceled},
    {State::Canceled, Then::ServersShutdown, CallEnd::Canceled},

    {State::Closed, Then::Take, cannot},
    {State::Closed, Then::Answer, cannot},
    {State::Closed, Then::DestroyRequest, cannot},
    {State::Closed, Then::DropServer, cannot},
    {State::Closed, Then::DropLastClient, CallEnd::Closed},
    {State::Closed, Then::Stop, CallEnd::Closed},
    {State::Closed, Then::Deadline, CallEnd::Closed},
    {State::Closed, Then::CallersShutdown, CallEnd::Closed},
    {State::Closed, Then::ServersShutdown, cannot},

    {State::Left, Then::Take, CallEnd::Canceled},
    {State::Left, Then::Answer, CallEnd::Canceled},
    {State::Left, Then::DestroyRequest, CallEnd::Canceled},
    {State::Left, Then::DropServer, CallEnd::Canceled},
    {State::Left, Then::DropLastClient, CallEnd::Canceled},
    {State::Left, Then::Stop, CallEnd::Canceled},
    {State::Left, Then::Deadline, CallEnd::Canceled},
    {State::Left, Then::CallersShutdown, CallEnd::Canceled},
    {State::Left, Then::ServersShutdown, CallEnd::Canceled},

    {State::Late, Then::Take, CallEnd::TimedOut},
    {State::Late, Then::Answer, CallEnd::TimedOut},
    {State::Late, Then::DestroyRequest, CallEnd::TimedOut},
    {State::Late, Then::DropServer, CallEnd::TimedOut},
    {State::Late, Then::DropLastClient, CallEnd::TimedOut},
    {State::Late, Then::Stop, CallEnd::TimedOut},
    {State::Late, Then::Deadline, CallEnd::TimedOut},
    {State::Late, Then::CallersShutdown, CallEnd::TimedOut},
    {State::Late, Then::ServersShutdown, CallEnd::TimedOut},
};

constexpr bool each_pair_has_one_row() {
    constexpr auto states = static_cast<std::size_t>(State::Count);
    constexpr auto events = static_cast<std::size_t>(Then::Count);
    std::array<int, states * events> rows{};
    for (const StateRow& row : state_rows) {
        ++rows[static_cast<std::size_t>(row.state) * events + static_cast<std::size_t>(row.then)];
    }
    for (const int count : rows) {
        if (count != 1) {
            return false;
        }
    }
    return true;
}
static_assert(each_pair_has_one_row());

/// Without a default: a new way to end does not compile before it has a state, or a place in the sum.
constexpr State state_after(CallEnd end) {
    switch (end) {
    case CallEnd::Answered:
        return State::Answered;
    case CallEnd::TimedOut:
        return State::TimedOut;
    case CallEnd::Canceled:
        return State::Canceled;
    case CallEnd::Closed:
        return State::Closed;
    }
    return State::Count;
}
inline constexpr CallEnd call_ends[] = {CallEnd::Answered, CallEnd::TimedOut, CallEnd::Canceled, CallEnd::Closed};

[[nodiscard]] inline std::uint64_t counted_as(CallEnd end, const boundary::Stats& stats) {
    switch (end) {
    case CallEnd::Answered:
        return stats.answered;
    case CallEnd::TimedOut:
        return stats.timed_out;
    case CallEnd::Canceled:
        return stats.canceled;
    case CallEnd::Closed:
        return stats.closed;
    }
    return 0;
}

}  // namespace spargio::test
