// SPDX-License-Identifier: MIT
// Channel: the bounded queue between the callers and the servers of a boundary.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "adaptive_mutex.hpp"
#include "spargio/boundary_stats.hpp"
#include "spargio/detail/atomic.hpp"
#include "spargio/detail/boundary_call.hpp"
#include "spargio/detail/boundary_channel.hpp"

namespace spargio::detail {

/// One list of calls, first in first out, whose first `capacity` are what is queued, and whose others wait for room: so
/// room goes to them in order, and no step is needed to hand it over. Receivers wait only while the list is empty, in
/// the order they came; a call then goes to the first of them at once.
///
/// Whatever a call or a receiver that was taken out of a list is due (its end, its wake) happens after the lock.
/// tests/models/room.pml is the model.
class Channel {
public:
    explicit Channel(std::size_t capacity) noexcept : capacity_(capacity != 0 ? capacity : 1) {}
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    // See detail/boundary_channel.hpp.
    [[nodiscard]] std::error_code enter(CallHeader& call, bool may_wait_for_room) noexcept;
    [[nodiscard]] Receive try_receive(CallHeader*& call) noexcept;
    /// Takes a call, or enters the wait and arms its task's stop word; the wait's state says what it was if false.
    [[nodiscard]] bool enter_receiver(ReceiveWait& wait) noexcept;
    /// Takes a receiver back. False: it has been given a call, or was closed.
    [[nodiscard]] bool leave_receiver(ReceiveWait& wait) noexcept;
    /// The caller has left, and had not found its call taken. Takes the call out if it is queued; drops the reference
    /// that the one who was faster has kept for us if not.
    void leave_queue(CallHeader& call, CallEnd end) noexcept;

    void add_client() noexcept { clients_.fetch_add(1, std::memory_order_relaxed); }
    void drop_client() noexcept;
    void drop_server() noexcept;
    void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void drop_reference() noexcept;

    /// A call that was taken, or taken out, has ended.
    void count_end(CallEnd end) noexcept {
        ends_[static_cast<std::size_t>(end)].fetch_add(1, std::memory_order_relaxed);
    }
    /// It was counted too early.
    void recount_end(CallEnd from, CallEnd to) noexcept {
        ends_[static_cast<std::size_t>(from)].fetch_sub(1, std::memory_order_relaxed);
        count_end(to);
    }
    [[nodiscard]] boundary::Stats stats() noexcept;

private:
    struct CallList {
        CallHeader* first = nullptr;
        CallHeader* last = nullptr;

        void push_back(CallHeader& call) noexcept;
        void remove(CallHeader& call) noexcept;
    };
    struct ReceiverList {
        ReceiveWait* first = nullptr;
        ReceiveWait* last = nullptr;

        void push_back(ReceiveWait& wait) noexcept;
        void remove(ReceiveWait& wait) noexcept;
    };

    [[nodiscard]] CallHeader* take_first(clock::time_point now, CallList& expired) noexcept;
    [[nodiscard]] bool mark_taken(CallHeader& call) noexcept;
    void end_all(CallList& calls, CallEnd end) noexcept;
    static void end_receivers(ReceiverList& receivers) noexcept;

    // Under the lock.
    AdaptiveMutex mutex_;
    CallList queue_;
    std::size_t size_ = 0;
    ReceiverList receivers_;
    const std::size_t capacity_;
    bool server_gone_ = false;
    bool clients_gone_ = false;
    std::uint64_t calls_ = 0;
    std::uint64_t overloaded_ = 0;
    std::uint64_t refused_ = 0;  // Since the server was gone.
    std::chrono::nanoseconds max_wait_{};

    // Writers: copies of clients, which start from one, and their ends. Drop: releases what its thread did.
    alignas(64) atomic<std::size_t> clients_{1};
    // Apart from what callers write: these are the server's. All clients have one reference, the server one, each
    // request that was taken, each receiver that waits, each caller that was kept one. The last drop acquires what the
    // others did.
    alignas(64) atomic<std::size_t> references_{2};
    // Order nothing.
    atomic<std::uint64_t> ends_[4]{};
};

/// A deadline of tasks as one of threads, which know no other clock than the real one; not before it.
[[nodiscard]] inline clock::time_point real_deadline(clock::time_point deadline) noexcept {
    if (deadline == CallHeader::no_deadline) {
        return deadline;
    }
    const auto left = deadline - timer_now();
    return clock::now() + left;
}

}  // namespace spargio::detail
