// SPDX-License-Identifier: MIT
// The word that decides who owes a sleeping shard its wake: the sleep handshake.
#pragma once

#include <cstdint>

#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

/// Sleeper: prepare(), look at every queue once more, block in the kernel, resume().
/// Waker: publish the item, then notify(); true means that this waker, and no other, rings the bell for this sleep.
///
/// Why nothing is lost: the sleeper stores Parked and then loads the queues, the waker stores to a queue and then loads
/// this word, all sequentially consistent. In the single order of these four one store comes before the other side's
/// load: either the sleeper sees the item, or the waker sees Parked. (Dekker's argument; modelled in
/// tests/models/park.pml.)
///
///     Running  --prepare()-->  Parked  --notify()-->  Notified  --resume()-->  Running
///                              Parked  --resume()-->  Running      (found work, a completion or a time-out came first)
class ParkState {
public:
    static constexpr std::uint32_t running = 0;
    static constexpr std::uint32_t parked = 1;
    static constexpr std::uint32_t notified = 2;

    enum class [[nodiscard("Notified means that a bell is on its way")]] Woken : std::uint8_t{Alone, Notified};

    /// Sleeper: from here on wakers ring.
    void prepare() noexcept { word_.store(parked, std::memory_order_seq_cst); }

    /// Sleeper: awake, whoever caused it. Notified: a waker took the duty to ring, so one bell has come or will come.
    Woken resume() noexcept {
        return word_.exchange(running, std::memory_order_seq_cst) == notified ? Woken::Notified : Woken::Alone;
    }

    /// Waker, after its item is published: true for exactly one waker per sleep, who must ring now.
    [[nodiscard("true is the duty to ring the bell")]] bool notify() noexcept {
        auto expected = word_.load(std::memory_order_seq_cst);
        return expected == parked &&
               word_.compare_exchange_strong(expected, notified, std::memory_order_seq_cst, std::memory_order_relaxed);
    }

    /// For a waker's choice among sleepers, and for statistics.
    [[nodiscard]] bool is_parked() const noexcept { return word_.load(std::memory_order_seq_cst) == parked; }

    /// The futex that the queue driver sleeps on: it blocks only while the word is still Parked.
    [[nodiscard]] atomic<std::uint32_t>& word() noexcept { return word_; }

private:
    // Writers: the shard (prepare, resume), any waker (notify). Readers: wakers. Sequentially consistent throughout.
    alignas(cache_line) atomic<std::uint32_t> word_{running};
};

}  // namespace spargio::detail
