// SPDX-License-Identifier: MIT
// The loop of a shard, from the first task to the last.
#include <chrono>
#include <system_error>
#include <utility>

#include "scheduler.hpp"
#include "shard.hpp"
#include "shard_wait.hpp"
#include "spargio/detail/sleep_wait.hpp"

namespace spargio::detail {

namespace {

// Of the items of a turn: that one is stealable if there is one, and before it the inbox is looked at. What is pinned
// and what is not share a shard equally, and neither waits behind several long steps of the other.
constexpr unsigned kStealableEvery = 2;
// What is oldest in the deque waits for what is made on top of it, for ever if nobody steals and that never ends.
// Rarely, since the oldest is the largest part of a tree, and each one begun early makes the tree wider.
constexpr auto kOldestEvery = std::chrono::milliseconds(2);
// Steps are taken for long where there is that much time between two turns' looks: then a look at the clock costs
// nothing beside a few of them. (After a sleep, too: four looks in one turn.)
constexpr auto kLongTurn = std::chrono::milliseconds(1);
// Of pushes that were ordered by a locked instruction, some 3 ns each, and as much at its pop: then a look at the clock
// is worth it.
constexpr std::uint64_t kPushesPerLook = 256;

}  // namespace

void Shard::run() noexcept {
    set_current_shard(this);
    while (!stopping.load(std::memory_order_acquire)) {
        take_arrivals();
        run_items();
        if (deque.fenced_pushes() - fenced_pushes_ >= kPushesPerLook) [[unlikely]] {
            spare_fences();
        }
        deque.answer_seekers();
        driver->poll();
        fire_timers();
        if (unpublished != nullptr) [[unlikely]] {
            publish_messages();  // Sent outside of any step: by a stop's callback, or while an operation was prepared.
        }
        if (!something_of_its_own()) {
            idle();
            fire_timers();  // What was due while it slept, before what came later.
        }
    }
    end();
    set_current_shard(nullptr);
}

bool Shard::something_of_its_own() const noexcept {
    return !ready.empty() || stolen_ != nullptr || stealable.size() != 0 || deque.size() != 0;
}

/// What other threads have brought: tasks, and messages for the tasks that wait for some.
void Shard::take_arrivals() noexcept {
    if (!inbox.empty()) {
        take_inbox();
    }
    if (mailbox.worth_a_look()) {
        mailbox.look_in_turn();
    }
    if (mailbox.deliverable()) {
        serve_waiters();
    }
}

void Shard::serve_waiters() noexcept {
    while (mailbox.deliverable()) {
        EventWait* wait = next_waiter();
        if (wait == nullptr) {
            return;
        }
        if (wait->root()->kind != TaskKind::Stealable) {
            wait->kept = mailbox.keep(wait->room);
        } else if (mailbox.keeps_some()) {
            return;  // They are the oldest, and for those that came before.
        } else {
            wait->count = mailbox.take(wait->into, wait->room);
        }
        mailbox.remove_waiter(*wait);
        if (TaskHeader* root = end_wait(wait)) {
            schedule_here(root, *this);
        }
    }
}

clock::time_point Shard::inbox_time() noexcept {
    if (inbox_time_ == clock::time_point::min()) {
        inbox_time_ = timer_now();
    }
    return inbox_time_;
}

/// Those in front of it that a stop has reached end without a message, since what they were given might be lost with
/// them; the stop's own message, on its way here, lets them go on.
EventWait* Shard::next_waiter() noexcept {
    EventWait* wait = mailbox.first_waiter();
    while (wait != nullptr && wait->root()->stop.stop_requested()) {
        mailbox.remove_waiter(*wait);
        wait->error = std::errc::operation_canceled;
        if (TaskHeader* root = end_wait(wait)) {
            schedule_here(root, *this);
        }
        wait = mailbox.first_waiter();
    }
    return wait;
}

/// The queues in turn: pinned tasks, then the newest of the deque, then what came from elsewhere, then the shared
/// queue. Every few items the other way round, so that nothing waits for long for what comes before it. (As a call of
/// its own it makes a yield 2 ns longer.)
[[gnu::always_inline]] inline WorkItem* Shard::next_item() noexcept {
    if (stolen_ != nullptr) {
        // No thief can see it here any more: it must not wait behind anything.
        return std::exchange(stolen_, nullptr);
    }
    if (stealable_waiting() == 0 && core->overflow.size() == 0) {
        oldest_since_ = {};
        return ready.pop_front();
    }
    if (alone_) {
        alone_ = false;
        if (WorkItem* item = stealable.pop()) {
            return item;
        }
    }
    if (turn_ % other_end_every == 0) {
        if (WorkItem* item = longest_waiting()) {
            return item;
        }
    }
    if (turn_ % kStealableEvery != 0) {
        if (WorkItem* item = ready.pop_front()) {
            return item;
        }
    }
    if (WorkItem* item = deque.pop()) {
        return item;
    }
    if (WorkItem* item = stealable.pop()) {
        return item;
    }
    if (WorkItem* item = take_overflow()) {
        return item;
    }
    return ready.pop_front();
}

void Shard::run_items() noexcept {
    for (turn_ = 0; turn_ < items_per_turn; ++turn_) {
        WorkItem* item = stopping.load(std::memory_order_relaxed) ? nullptr : next_item();
        if (item == nullptr) {
            return;
        }
        const auto first = turn_;
        // Where steps are short so is the rest of a turn of them.
        static_assert(items_per_turn % other_end_every == 0);
        const auto next_look = (turn_ / other_end_every + 1) * other_end_every;
        chain_end_ = long_steps_ || next_look == other_end_every ? next_look : items_per_turn;
        item->run(item, this);  // And perhaps some of the next: next_of_turn().
        // Where steps are long, what comes from outside should not wait for a whole turn of them.
        if ((turn_ + 1) / kStealableEvery != first / kStealableEvery && !inbox.empty()) {
            take_inbox();
        }
    }
}

/// The deque's oldest item, if it is time, or a stealable one of the other queues.
WorkItem* Shard::longest_waiting() noexcept {
    if (looks_at_oldest(turn_)) {
        if (WorkItem* item = oldest_in_deque()) {
            return item;
        }
    }
    // The one first and the other first by turns: both may always have something.
    const bool shared_first = turns_++ % 2 != 0;
    WorkItem* item = shared_first ? take_overflow() : stealable.pop();
    if (item == nullptr) {
        item = shared_first ? stealable.pop() : take_overflow();
    }
    return item;
}

WorkItem* Shard::oldest_in_deque() noexcept {
    if (deque.size() == 0) {
        oldest_since_ = {};
        return nullptr;
    }
    const auto now = clock::now();
    if (turn_ == other_end_every) {
        long_steps_ = now - std::exchange(turn_looked_at_, now) >= kLongTurn;
    }
    if (oldest_since_ == clock::time_point()) {
        oldest_since_ = now;
    }
    if (now - oldest_since_ < kOldestEvery) {
        return nullptr;
    }
    oldest_since_ = now;
    return deque.steal();
}

void Shard::fire_timers() noexcept {
    if (timers.empty()) {
        return;
    }
    const auto now = timer_now();
    Alarm* too_early = nullptr;
    Alarm* met = nullptr;  // Of one time, behind the sleeps of that time: they are over when a deadline would end them.
    const auto fire_met = [this, &met, &too_early] {
        while (met != nullptr) {
            Alarm& alarm = *std::exchange(met, met->next_alarm);
            if (!alarm.fire(alarm, *this)) {
                alarm.next_alarm = std::exchange(too_early, &alarm);
            }
        }
    };
    while (TimerNode* timer = timers.pop_due(now)) {
        if (met != nullptr && timer->due != met->due) {
            fire_met();
        }
        if (timer->alarm) {
            auto& alarm = static_cast<Alarm&>(*timer);
            alarm.next_alarm = std::exchange(met, &alarm);
            continue;
        }
        counters.timers_fired.add();
        if (TaskHeader* root = end_wait(static_cast<SleepWait*>(timer))) {
            schedule_here(root, *this);
        }
    }
    fire_met();
    // After the others, which it must not keep from firing.
    while (too_early != nullptr) {
        timers.insert(std::exchange(too_early, too_early->next_alarm), now);
    }
}

}  // namespace spargio::detail
