// SPDX-License-Identifier: MIT
// A shard without work: it looks for some, spins, sleeps. src/DESIGN.md, "Stealable work"; tests/models/steal.pml.
#include <algorithm>
#include <chrono>

#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/fork.hpp"

namespace spargio::detail {

namespace {

constexpr auto kSafetyTimeout = std::chrono::milliseconds(500);
constexpr auto kShortestSleep = std::chrono::microseconds(50);
constexpr auto kLateBell = std::chrono::milliseconds(10);

}  // namespace

/// Nothing of its own to do: look for work of others, spin for a while if that has paid lately, then sleep.
void Shard::idle() noexcept {
    stolen_ = settle_forks(*this, nullptr);
    if (stolen_ != nullptr) {
        return;  // A parent goes on, here and now: no other shard need see it.
    }
    const auto may_steal = [this] {
        return !core->searching.load(std::memory_order_relaxed) && core->something_to_steal();
    };
    looking.store(true, std::memory_order_relaxed);
    const bool arrived = spin_.glance([this] { return something_arrived() || stealable.size() != 0; }, may_steal);
    static_cast<void>(looking.exchange(false, std::memory_order_seq_cst));
    if (arrived) {
        // An answer, most likely. Nobody has counted on this shard as a searcher, but for what is in its own queue.
        if (stealable.size() != 0 && (something_arrived() || !runs_next_what_is_alone())) {
            wake_one_for_stealing(*core, this);
        }
        return;
    }
    // One searches, the others sleep: it wakes the next of them when it has found something.
    bool found = false;
    if (!core->searching.exchange(true, std::memory_order_seq_cst)) {
        found = steal() || spin_.spin([this] { return something_to_do(true); }, [this] { return deadline_passed(); });
        core->searching.store(false, std::memory_order_seq_cst);
    }
    if (!found) {
        park();
    }
    // While this shard searched, or was the one that a waker chose, nobody else was woken. It may have found something
    // else to do meanwhile: what it does not take now, another shard must.
    if (ready.empty() && stolen_ == nullptr && inbox.empty()) {
        static_cast<void>(steal());
    }
    if (core->something_to_steal()) {
        wake_one_for_stealing(*core, this);
    }
}

bool Shard::something_arrived() noexcept {
    return !inbox.empty() || mailbox.anything_new() || mailbox.deliverable() || driver->has_completions();
}

bool Shard::something_to_do(bool searcher) noexcept {
    if (something_arrived() || stopping.load(std::memory_order_seq_cst)) {
        return true;
    }
    // What another shard searches for is its affair: when it gives up it looks once more, and wakes us if need be.
    return (searcher || !core->searching.load(std::memory_order_seq_cst)) && core->something_to_steal();
}

bool Shard::deadline_passed() const noexcept {
    return !timers.empty() && timers.next_due() <= timer_now();
}

/// The sleep handshake (park_state.hpp): say that we sleep, look once more, sleep.
void Shard::park() noexcept {
    core->parked.fetch_add(1, std::memory_order_seq_cst);
    park_state.prepare();
    if (!something_to_do(false) && !deadline_passed()) {
        counters.parks.add();
        const auto asleep = clock::now();
        const auto safety = asleep + kSafetyTimeout;
        // Who moves a virtual clock wakes the shards.
        const bool real = virtual_time.load(std::memory_order_relaxed) == nullptr;
        const auto due = std::max(timers.next_due(), asleep + kShortestSleep);
        const auto deadline = real && due < safety ? due : safety;
        driver->wait(deadline);
        const auto awake = clock::now();
        if (awake >= safety) {
            look_for_lost_wakes();
        }
        if (awake < deadline) {  // Else it was known how long the sleep would be.
            spin_.slept(awake - asleep);
        }
    }
    resume_from_park();
}

/// The safety time-out is over. If there is work, and nobody has taken the duty to wake us, a waker may stand between
/// its push and its bell, or somebody else is about to take the work. If neither comes now, a wake was lost: the one
/// thing that must not happen.
void Shard::look_for_lost_wakes() noexcept {
    const bool pushed = !inbox.empty() || mailbox.anything_new();
    const auto taken = [this] {
        std::uint64_t sum = core->overflow.taken();
        for (const auto& shard : core->shards) {
            sum += shard->stealable.taken() + shard->deque.taken();
        }
        return sum;
    };
    const auto taken_before = taken();
    // Beside one that searches or glances, and may have lost its CPU meanwhile, a shard may sleep.
    const auto others_look = [this] {
        return core->searching.load(std::memory_order_seq_cst) ||
               std::any_of(core->shards.begin(), core->shards.end(),
                           [](const auto& shard) { return shard->looking.load(std::memory_order_seq_cst); });
    };
    const auto waiting_still = [this, &others_look] { return core->something_to_steal() && !others_look(); };
    const bool waiting = waiting_still();
    if (!park_state.is_parked() || (!pushed && !waiting)) {
        return;
    }
    const auto patience = clock::now() + kLateBell;
    while (park_state.is_parked() && clock::now() < patience) {
        if (timers.next_due() < patience || driver->has_completions()) {
            return;  // There is something else to do: what waits is found with it.
        }
        driver->wait(patience);
    }
    if (park_state.is_parked() && (pushed || (waiting_still() && taken() == taken_before))) {
        counters.late_wakes.add();
    }
}

void Shard::resume_from_park() noexcept {
    if (park_state.resume() == ParkState::Woken::Notified) {
        driver->expect_bell();
    }
    core->parked.fetch_sub(1, std::memory_order_seq_cst);
}

}  // namespace spargio::detail
