// SPDX-License-Identifier: MIT
// The loop of a shard, from the first task to the last.
#include <chrono>
#include <utility>

#include "scheduler.hpp"
#include "shard.hpp"
#include "shard_wait.hpp"
#include "spargio/detail/sleep_wait.hpp"

namespace spargio::detail {

namespace {

constexpr unsigned kItemsPerTurn = 64;   // Then the inbox, completions and timers have their turn.
constexpr unsigned kStealableEvery = 8;  // Of these, at least one comes from the stealable queue.
constexpr auto kSafetyTimeout = std::chrono::milliseconds(500);
constexpr auto kLateBell = std::chrono::milliseconds(10);

}  // namespace

void Shard::run() noexcept {
    set_current_shard(this);
    while (!stopping.load(std::memory_order_acquire)) {
        take_arrivals();
        run_items();
        driver->poll();
        fire_timers();
        if (ready.empty() && stolen_ == nullptr && stealable.size() == 0) {
            idle();
        }
    }
    end();
    set_current_shard(nullptr);
}

/// What other threads have brought: tasks, and messages for the tasks that wait for some.
void Shard::take_arrivals() noexcept {
    if (!inbox.empty()) {
        inbox.take_all(ready);
    }
    mailbox.look();
    while (mailbox.deliverable()) {
        EventWait& wait = *mailbox.first_waiter();
        mailbox.remove_waiter(wait);
        wait.count = mailbox.take(wait.into, wait.room);
        if (TaskHeader* root = end_wait(&wait)) {
            schedule_here(root, *this);
        }
    }
}

void Shard::run_items() noexcept {
    for (unsigned turn = 0; turn < kItemsPerTurn; ++turn) {
        WorkItem* item = stopping.load(std::memory_order_relaxed) ? nullptr : next_item(turn);
        if (item == nullptr) {
            return;
        }
        item->run(item, this);
    }
}

WorkItem* Shard::next_item(unsigned turn) noexcept {
    if (stolen_ != nullptr) {
        // No thief can see it here any more: it must not wait behind anything.
        return std::exchange(stolen_, nullptr);
    }
    if (turn == 0) {
        // What overflowed must not wait until some shard's own queue is empty. And before anything else of this turn a
        // stealable item is tried: schedule_here() wakes nobody for one that is alone, and relies on that.
        if (WorkItem* item = core->overflow.pop()) {
            return item;
        }
    }
    if (turn % kStealableEvery != 0) {
        if (WorkItem* item = ready.pop_front()) {
            return item;
        }
    }
    if (WorkItem* item = stealable.pop()) {
        return item;
    }
    if (WorkItem* item = core->overflow.pop()) {
        return item;
    }
    return ready.pop_front();
}

void Shard::fire_timers() noexcept {
    if (timers.empty()) {
        return;
    }
    const auto now = clock::now();
    while (TimerNode* timer = timers.pop_due(now)) {
        counters.timers_fired.add();
        if (TaskHeader* root = end_wait(static_cast<SleepWait*>(timer))) {
            schedule_here(root, *this);
        }
    }
}

/// Nothing of its own to do: look for work of others, spin for a while if that has paid lately, then sleep.
void Shard::idle() noexcept {
    if (spin_.glance([this] { return something_arrived(); })) {
        return;  // An answer, most likely. Nobody has counted on this shard as a searcher.
    }
    core->searching.fetch_add(1, std::memory_order_seq_cst);
    const bool found = steal() || spin_.spin([this] { return something_to_do(); });
    core->searching.fetch_sub(1, std::memory_order_seq_cst);
    if (!found) {
        park();
    }
    // While this shard searched, or was the one that a waker chose, nobody else was woken. It may have found something
    // else to do meanwhile: what it does not take now, another shard must. (tests/models/steal.pml)
    if (ready.empty() && stolen_ == nullptr) {
        static_cast<void>(steal());
    }
    if (something_to_steal()) {
        wake_one_for_stealing(*core, this);
    }
}

/// Takes a stealable item to run next, and some to queue: of its own queue, of the shared one, or of another shard.
/// Whether there was any.
bool Shard::steal() noexcept {
    SPARGIO_CHECK(stolen_ == nullptr, "a stolen item was forgotten");
    stolen_ = stealable.pop();
    if (stolen_ == nullptr) {
        stolen_ = core->overflow.pop();
    }
    if (stolen_ != nullptr) {
        return true;
    }
    const auto count = static_cast<std::uint32_t>(core->shards.size());
    const auto start = count > 1 ? random_.below(count) : 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        Shard& victim = *core->shards[(start + i) % count];
        if (&victim == this || victim.stealable.size() == 0) {
            continue;
        }
        counters.steal_attempts.add();
        WorkList taken;
        const auto stolen = victim.stealable.steal(taken, core->options.steal_budget);
        if (stolen == 0) {
            continue;
        }
        counters.steal_successes.add();
        counters.stealable_stolen.add(stolen);
        stolen_ = taken.pop_front();
        while (WorkItem* item = taken.pop_front()) {
            stealable.put(item);  // Where others may take them from us.
        }
        return true;
    }
    return false;
}

bool Shard::something_to_steal() const noexcept {
    if (core->overflow.size() != 0) {
        return true;
    }
    for (const auto& shard : core->shards) {
        if (shard->stealable.size() != 0) {
            return true;
        }
    }
    return false;
}

bool Shard::something_arrived() noexcept {
    return !inbox.empty() || mailbox.anything_new() || mailbox.deliverable() || driver->has_completions();
}

bool Shard::something_to_do() noexcept {
    return something_arrived() || something_to_steal() || stopping.load(std::memory_order_seq_cst) ||
           (!timers.empty() && timers.next_due() <= clock::now());
}

/// The sleep handshake (park_state.hpp): say that we sleep, look once more, sleep.
void Shard::park() noexcept {
    core->parked.fetch_add(1, std::memory_order_seq_cst);
    park_state.prepare();
    if (!something_to_do()) {
        counters.parks.add();
        const auto asleep = clock::now();
        const auto safety = asleep + kSafetyTimeout;
        const auto deadline = timers.next_due() < safety ? timers.next_due() : safety;
        driver->wait(deadline);
        if (clock::now() >= safety) {
            look_for_lost_wakes();
        }
        spin_.slept(clock::now() - asleep);
    }
    resume_from_park();
}

/// The safety time-out is over. If there is work, and nobody has taken the duty to wake us, a waker may stand between
/// its push and its bell, or somebody else is about to take the work. If neither comes now, a wake was lost: the one
/// thing that must not happen.
void Shard::look_for_lost_wakes() noexcept {
    const bool pushed = !inbox.empty() || mailbox.anything_new();
    const auto waits = [](const StealQueue& queue, std::uint64_t taken) {
        return queue.size() != 0 && queue.taken() == taken;
    };
    const StealQueue* waiting = core->overflow.size() != 0 ? &core->overflow : nullptr;
    for (std::size_t i = 0; waiting == nullptr && i < core->shards.size(); ++i) {
        waiting = core->shards[i]->stealable.size() != 0 ? &core->shards[i]->stealable : nullptr;
    }
    if (!park_state.is_parked() || (!pushed && waiting == nullptr)) {
        return;
    }
    const auto taken = waiting != nullptr ? waiting->taken() : 0;
    const auto patience = clock::now() + kLateBell;
    while (park_state.is_parked() && clock::now() < patience) {
        if (timers.next_due() < patience || driver->has_completions()) {
            return;  // There is something else to do: what waits is found with it.
        }
        driver->wait(patience);
    }
    if (park_state.is_parked() && (pushed || waits(*waiting, taken))) {
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
