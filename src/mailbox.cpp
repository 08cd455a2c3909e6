// SPDX-License-Identifier: MIT
// Noticing, taking and waiting for messages.
#include "mailbox.hpp"

#include <bit>
#include <new>

#include "scheduler.hpp"
#include "shard.hpp"
#include "shard_wait.hpp"

namespace spargio::detail {

Mailbox::Mailbox(std::size_t shards, std::size_t capacity)
    : capacity_(capacity),
      foreign_(shards),
      dirty_(shards + 1),
      lanes_(new atomic<Lane*>[shards]()),
      unread_bits_((shards + 1 + 63) / 64) {}

Mailbox::~Mailbox() {
    for (std::size_t source = 0; source < foreign_; ++source) {
        delete lanes_[source].load(std::memory_order_acquire);
    }
    delete foreign_lane_.load(std::memory_order_acquire);
}

Lane& Mailbox::lane_from(ShardId source, Shard& self) {
    Lane* lane = lanes_[source].load(std::memory_order_relaxed);
    if (lane == nullptr) [[unlikely]] {
        lane = new Lane(source, self, capacity_);
        lanes_[source].store(lane, std::memory_order_release);
    }
    return *lane;
}

ForeignLane* Mailbox::foreign_lane() {
    ForeignLane* lane = foreign_lane_.load(std::memory_order_acquire);
    if (lane == nullptr) [[unlikely]] {
        const std::lock_guard lock(foreign_mutex_);
        lane = foreign_lane_.load(std::memory_order_relaxed);
        if (lane == nullptr && !foreign_closed_) {
            lane = new ForeignLane(capacity_);
            foreign_lane_.store(lane, std::memory_order_release);
        }
    }
    return lane;
}

template <class F>
auto Mailbox::with_lane(std::size_t number, F&& f) noexcept {
    return number == foreign_ ? f(*foreign_lane_.load(std::memory_order_acquire))
                              : f(*lanes_[number].load(std::memory_order_acquire));
}

/// Notices what is new in the lane of that number. Returns whether there was something.
template <class AnyLane>
bool Mailbox::look_at(std::size_t number, AnyLane& lane) noexcept {
    const auto fresh = lane.ring.notice();
    if (fresh == 0) {
        return false;
    }
    lane.receipts.seen(lane.ring.noticed());
    unread_ += fresh;
    unread_bits_[number / 64] |= std::uint64_t{1} << (number % 64);
    seen_.add(fresh);
    return true;
}

void Mailbox::look_in_turn() noexcept {
    hot_alone_ = hot_ != nullptr && look_at(hot_->from, *hot_) && !hot_alone_;
    if (!hot_alone_) {
        look();
    }
}

void Mailbox::look() noexcept {
    if (closed_) {
        return;  // The destructor of a task may still ask.
    }
    dirty_.clear([this](std::size_t number) { with_lane(number, [](auto& lane) { lane.ring.prefetch(); }); },
                 [this](std::size_t number) {
                     const bool found = with_lane(number, [this, number](auto& lane) { return look_at(number, lane); });
                     if (found && number != foreign_) {
                         hot_ = lanes_[number].load(std::memory_order_relaxed);
                     }
                 });
}

/// The first lane with unread messages from the cursor on. There is one.
std::size_t Mailbox::next_unread() noexcept {
    auto word = cursor_ / 64;
    auto bits = unread_bits_[word] & (~std::uint64_t{0} << (cursor_ % 64));
    while (bits == 0) {
        word = (word + 1) % unread_bits_.size();
        bits = unread_bits_[word];
    }
    return word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
}

void Mailbox::take_oldest(Event* out, std::size_t count) noexcept {
    while (count != 0) {
        const auto number = next_unread();
        const auto taken = with_lane(number, [&](auto& lane) {
            const auto some = lane.take(out, count);
            if (lane.ring.empty()) {
                unread_bits_[number / 64] &= ~(std::uint64_t{1} << (number % 64));
            }
            return some;
        });
        unread_ -= taken;
        out += taken;
        count -= taken;
        cursor_ = number < foreign_ ? number + 1 : 0;
    }
}

void Mailbox::add_waiter(EventWait& wait) noexcept {
    wait.before = last_waiter_;
    wait.after = nullptr;
    (last_waiter_ != nullptr ? last_waiter_->after : first_waiter_) = &wait;
    last_waiter_ = &wait;
}

void Mailbox::remove_waiter(EventWait& wait) noexcept {
    (wait.before != nullptr ? wait.before->after : first_waiter_) = wait.after;
    (wait.after != nullptr ? wait.after->before : last_waiter_) = wait.before;
}

void Mailbox::close_foreign() noexcept {
    const std::lock_guard lock(foreign_mutex_);
    foreign_closed_ = true;
    if (ForeignLane* lane = foreign_lane_.load(std::memory_order_relaxed)) {
        static_cast<void>(lane->ring.close());
    }
}

void Mailbox::close() noexcept {
    closed_ = true;
    for (std::size_t source = 0; source < foreign_; ++source) {
        if (Lane* lane = lanes_[source].load(std::memory_order_acquire)) {
            failed_.add(lane->ring.staged() - lane->ring.noticed());
            lane->receipts.close();
        }
    }
    if (ForeignLane* lane = foreign_lane_.load(std::memory_order_acquire)) {
        failed_.add(lane->ring.reserved() - lane->ring.noticed());
        lane->receipts.close();
    }
}

std::uint64_t Mailbox::foreign_accepted() const noexcept {
    const ForeignLane* lane = foreign_lane_.load(std::memory_order_acquire);
    return lane != nullptr ? lane->ring.reserved() : 0;
}

void run_event_stop(WorkItem* item, Shard* here) noexcept {
    auto& wait = static_cast<EventWait&>(*item);
    if (stop_came_first(wait, *here)) {
        here->mailbox.remove_waiter(wait);
        wait.error = std::errc::operation_canceled;
    } else if (wait.error == std::errc()) {  // Else next_waiter() has seen the stop.
        wait.root()->stop.note_value();
    }
    schedule_here(wait.root(), *here);
}

EventWait::EventWait(Executor* of, Event* out, std::size_t most) noexcept
    : ShardWait(&run_event_stop), shard(of), into(out), room(most) {}

}  // namespace spargio::detail
