// SPDX-License-Identifier: MIT
// What the two ends of a boundary channel do with it; the channel itself is in src/boundary_channel.hpp.
#pragma once

#include <chrono>
#include <cstddef>
#include <system_error>

#include "spargio/boundary_stats.hpp"
#include "spargio/detail/atomic.hpp"
#include "spargio/detail/boundary_call.hpp"
#include "spargio/detail/revocable_wait.hpp"

namespace spargio::detail {

/// With one client and one server, which both refer to it.
[[nodiscard]] Channel* make_channel(std::size_t capacity);

// The client's end; any thread.

void add_client(Channel& channel) noexcept;
/// The last one closes it for receivers that find nothing queued.
void drop_client(Channel* channel) noexcept;

/// Puts a call into the queue, or gives it to a receiver that waits. Without `may_wait_for_room`, no more than the
/// capacity are queued, and nobody overtakes those who wait for room. An error: the call's end without the server's
/// side as its owner; its request is there still.
[[nodiscard]] std::error_code enter_call(Channel& channel, CallHeader& call, bool may_wait_for_room) noexcept;

// The server's end; any thread.

void drop_server(Channel* channel) noexcept;

enum class Receive : std::uint8_t { Waiting, Taken, Nothing, Closed, Left, OthersFirst };

/// Who waits for a request: a task, in the awaiter, or with a null root a thread, on its stack.
struct ReceiveWait : RevocableWait {
    explicit ReceiveWait(Channel* of) noexcept;

    Channel* channel;
    TaskHeader* root = nullptr;
    ReceiveWait* before = nullptr;  // The channel's, under its lock.
    ReceiveWait* after = nullptr;
    CallHeader* call = nullptr;  // With Taken: the receiver's, and a reference to the channel with it.
    Receive state = Receive::Waiting;
    // A thread's futex. Writer: whoever has taken the wait out of the channel's list. Release: what it did before.
    atomic<std::uint32_t> woken{0};
};

/// Taken, Nothing or Closed; does not wait.
[[nodiscard]] Receive try_receive(Channel& channel, CallHeader*& call) noexcept;

/// The same for a task: Left if it is stopped; OthersFirst when it has taken very many in this step.
[[nodiscard]] Receive try_receive_in(TaskHeader* root, Channel& channel, CallHeader*& call) noexcept;

/// False: do not suspend: `state` is not Waiting.
[[nodiscard]] bool receive_suspend(ReceiveWait& wait, TaskHeader* root) noexcept;

/// Blocks the thread, which refers to the channel; Nothing: the deadline came first.
[[nodiscard]] Receive receive_block(Channel& channel, CallHeader*& call, clock::time_point deadline) noexcept;

/// Whoever has a request refers to the channel.
void add_reference(Channel& channel) noexcept;
void drop_reference(Channel* channel) noexcept;

[[nodiscard]] boundary::Stats channel_stats(Channel& channel) noexcept;
[[nodiscard]] std::size_t channel_capacity(const Channel& channel) noexcept;

/// What a caller that has no reply is told, and a receiver that has no request.
[[nodiscard]] std::error_code call_error(CallEnd end) noexcept;
[[nodiscard]] std::error_code receive_error(Receive state) noexcept;

/// The deadline of something that begins now; no_deadline for a limit beyond the clock's range.
[[nodiscard]] clock::time_point deadline_in(std::chrono::nanoseconds limit) noexcept;

/// Throws std::logic_error on a shard thread, of whichever runtime.
void refuse_on_any_shard();

}  // namespace spargio::detail
