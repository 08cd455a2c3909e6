// SPDX-License-Identifier: MIT
// A shard without work: it looks for some, spins, sleeps. src/DESIGN.md, "Stealable work"; tests/models/steal.pml.
#include <algorithm>
#include <chrono>
#include <utility>

#include "membarrier.hpp"
#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/fork.hpp"

namespace spargio::detail {

namespace {

constexpr auto kSafetyTimeout = std::chrono::milliseconds(500);
constexpr auto kShortestSleep = std::chrono::microseconds(50);
// A waker may have lost its CPU between its push and its bell, or the shard that is to take what waits for any, before
// it does: where CPUs are short, for several slices of others.
constexpr auto kLate = std::chrono::milliseconds(50);
// A barrier interrupts every CPU that runs a thread of the process, so owners rely on it again after such a time only.
constexpr auto kQuiet = std::chrono::microseconds(100);
// How long a shard sleeps when something may have been pushed that it cannot see.
constexpr auto kWithoutBarrier = std::chrono::milliseconds(1);

}  // namespace

/// Nothing of its own to do: look for work of others, spin for a while if that has paid lately, then sleep.
void Shard::idle() noexcept {
    stolen_ = settle_forks(*this, nullptr);
    if (stolen_ != nullptr) {
        return;  // A parent goes on, here and now: no other shard need see it.
    }
    const auto may_steal = [this] { return !core->searching.load(std::memory_order_relaxed) && something_to_steal(); };
    attention.store(Attention::Glance, std::memory_order_release);
    const bool arrived = spin_.glance([this] { return something_arrived() || stealable.size() != 0; }, may_steal);
    static_cast<void>(attention.exchange(arrived ? Attention::Work : Attention::Search, std::memory_order_seq_cst));
    if (arrived) {
        // An answer, most likely. Nobody has counted on this shard as a searcher, but for what is in its own queue.
        if (stealable.size() != 0 && (something_arrived() || !takes_next_if_alone())) {
            wake_one_for_stealing(*core, this);
        }
        return;
    }
    begin_search();
    search();
    // Releases what it has taken.
    attention.store(Attention::Work, std::memory_order_release);
}

/// Looks for work of others, and sleeps if there is none.
void Shard::search() noexcept {
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
    if (something_to_steal()) {
        wake_one_for_stealing(*core, this);
    }
}

/// From here on owners fence. If the barrier is refused, each does so from its next look at the fence on, and until it
/// has said so its deque is left alone.
void Shard::begin_search() noexcept {
    searches.add();
    auto& fence = core->fence;
    sees_all_deques_ = fence.begin([] { return membarrier_all(); });
    if (!sees_all_deques_) {
        awaited_ = fence.pending();
    }
}

/// Whether what `other` has put into its deque, and taken from it, can be seen here. This shard seeks, or it is a hint.
bool Shard::sees_deque(const Shard& other) const noexcept {
    // In this order: who has searched, and works again, has acknowledged before, if it has touched its deque.
    return sees_all_deques_ || &other == this || other.attention.load(std::memory_order_seq_cst) == Attention::Search ||
           other.deque.acknowledged() >= awaited_;
}

bool Shard::something_to_steal_at(const Shard& victim) const noexcept {
    return victim.stealable.size() != 0 || (victim.deque.size() != 0 && sees_deque(victim));
}

/// Anywhere, for this shard to take.
bool Shard::something_to_steal() const noexcept {
    // The shared queue first: a shard that has taken from it may have put an item of its own beside it, silently,
    // before.
    return core->overflow.size() != 0 ||
           std::any_of(core->shards.begin(), core->shards.end(),
                       [this](const auto& shard) { return something_to_steal_at(*shard); });
}

/// An owner that pushes much, beside shards that have not sought work for a while, tries to do without fences.
void Shard::spare_fences() noexcept {
    fenced_pushes_ = deque.fenced_pushes();
    const auto now = clock::now();
    if (now - searches_read_at_ < kQuiet || core->parked.load(std::memory_order_relaxed) != 0) {
        return;
    }
    searches_read_at_ = now;
    std::uint64_t sum = 0;
    for (const auto& shard : core->shards) {
        sum += shard->searches.get();
    }
    if (std::exchange(searches_, sum) == sum) {
        core->fence.offer([this] {
            return std::none_of(core->shards.begin(), core->shards.end(), [](const auto& shard) {
                return shard->attention.load(std::memory_order_seq_cst) == Attention::Search;
            });
        });
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
    return (searcher || !core->searching.load(std::memory_order_seq_cst)) && something_to_steal();
}

bool Shard::deadline_passed() const noexcept {
    return !timers.empty() && timers.next_due() <= timer_now();
}

/// The sleep handshake (park_state.hpp): say that we sleep, look once more, sleep.
void Shard::park() noexcept {
    core->parked.fetch_add(1, std::memory_order_seq_cst);
    park_state.prepare();
    // Before the look: what is seen after it only would be neither looked at nor told.
    const bool sees_all = sees_all_deques_ || std::all_of(core->shards.begin(), core->shards.end(),
                                                          [this](const auto& shard) { return sees_deque(*shard); });
    if (!something_to_do(false) && !deadline_passed()) {
        counters.parks.add();
        const auto asleep = clock::now();
        const auto safety = asleep + kSafetyTimeout;
        // Who moves a virtual clock wakes the shards.
        const bool real = virtual_time.load(std::memory_order_relaxed) == nullptr;
        const auto due = std::max(timers.next_due(), asleep + kShortestSleep);
        const auto known = real && due < safety ? due : safety;
        const auto deadline = sees_all ? known : std::min(known, asleep + kWithoutBarrier);
        const auto operations = counters.native_ended.get();
        driver->wait(deadline);
        const auto awake = clock::now();
        if (awake >= safety &&
            counters.native_ended.get() == operations) {  // Else there is work that it has brought itself.
            look_for_lost_wakes();
        }
        if (awake < deadline) {  // Else it was known how long the sleep would be.
            spin_.slept(awake - asleep);
        }
    }
    resume_from_park();
}

/// The safety time-out is over. If there is work, and no bell has come, a waker may stand between its push and its
/// bell, or somebody else is about to take the work. If neither comes now, a wake was lost: the one thing that must not
/// happen.
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
               std::any_of(core->shards.begin(), core->shards.end(), [](const auto& shard) {
                   return shard->attention.load(std::memory_order_seq_cst) == Attention::Glance;
               });
    };
    const auto waiting_still = [this, &others_look] { return something_to_steal() && !others_look(); };
    const bool waiting = waiting_still();
    if (!pushed && !waiting) {
        return;
    }
    const auto patience = clock::now() + kLate;
    const auto operations = counters.native_ended.get();
    while (!driver->bell_heard() && clock::now() < patience) {
        if (timers.next_due() < patience || driver->has_completions()) {
            return;  // There is something else to do: what waits is found with it.
        }
        driver->wait(patience);
        if (counters.native_ended.get() != operations) {
            return;
        }
    }
    if (!driver->bell_heard() && (pushed || (waiting_still() && taken() == taken_before))) {
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
