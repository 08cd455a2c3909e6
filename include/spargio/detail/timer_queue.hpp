// SPDX-License-Identifier: MIT
// Deadlines of one shard in user space: a timing wheel with cancel, so that a sleep costs no kernel timer.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "spargio/detail/seams.hpp"

namespace spargio::detail {

class Shard;

/// Lives in what waits for the deadline.
struct TimerNode {
    explicit TimerNode(clock::time_point when, bool is_alarm = false) noexcept : due(when), alarm(is_alarm) {}

    [[nodiscard]] bool queued() const noexcept { return after != nullptr; }

    clock::time_point due;  // Not changed while it is queued.
    // Its neighbours in the ring of its slot.
    TimerNode* before = nullptr;
    TimerNode* after = nullptr;
    std::uint8_t level = 0;  // Of the queue's, while it is queued.
    const bool alarm;        // An Alarm; else a sleep.
};

/// A deadline of something else than a sleep.
struct Alarm : TimerNode {
    /// What the shard does when the deadline has come, and the node is out of the queue. False: it is too early, for
    /// the next turn; else the alarm may be gone soon.
    using FireFn = bool (*)(Alarm&, Shard&) noexcept;

    Alarm(clock::time_point when, FireFn fn) noexcept : TimerNode(when, true), fire(fn) {}

    const FireFn fire;
    Alarm* next_alarm = nullptr;  // The shard's, while it fires what is due.
};

/// Hierarchical timing wheel (Varghese and Lauck, "Hashed and hierarchical timing wheels", SOSP 1987) over the bytes of
/// the deadline. A node is on the level of the highest byte in which its deadline differs from the wheel's own time, in
/// the slot of that byte; when the wheel's time comes to a slot, its nodes are spread over the levels below. The lowest
/// byte is of nanoseconds, so that deadlines are met in their exact order (equal ones in any), and a node that is alone
/// in its slot need not be spread.
///
/// O(1) insert and cancel; in its life a node is moved a few times at most, once for each byte that its sleep has.
/// With a million of them in memory what costs is to touch one: a heap, whose every expiry tells a dozen nodes their
/// new places, takes longer. Allocates nothing. Not thread safe: one shard.
///
/// Invariants: no node in a slot is due before `time_`, and `time_` has the same bytes above a slot's level as the
/// slot's nodes. So the first slot of the lowest level that is not empty holds the earliest nodes, but for the slot
/// that is being spread: it has the byte of `time_` on its level, as no other has.
class TimerQueue {
public:
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// The earliest deadline or a time before it: one that was cancelled, the first that a crowded slot may hold, or,
    /// if pop_due() has not done yet, one that has passed. clock::time_point::max() when empty.
    [[nodiscard]] clock::time_point next_due() const noexcept { return next_due_; }

    /// `now` is not looked at unless it is empty.
    void insert(TimerNode* node, clock::time_point now) noexcept {
        if (size_++ == 0) {
            time_ = key_of(now);
            spreading_ = nullptr;  // The nodes of that slot have been removed.
        }
        if (node->due < next_due_) {
            next_due_ = node->due;
        }
        place(node);
    }

    /// Requires that the node is queued here.
    void remove(TimerNode* node) noexcept {
        if (node->level == kLate) {
            unlink(late_, node);
        } else {
            take_out(node->level, slot_of(key_of(node->due), node->level), node);
        }
        leave();
    }

    /// Takes out the earliest node if it is due at `now`; else nullptr. Also nullptr when it has worked for long enough
    /// on a crowded slot: next_due() is not after `now` then, and it is to be called again when others have had their
    /// turn. `now` is not expected to go back: if it does, all is as it should be but for the cost of an insert.
    TimerNode* pop_due(clock::time_point now) noexcept {
        if (next_due_ > now) {
            return nullptr;
        }
        if (late_ != nullptr) {
            TimerNode* node = late_;
            if (node->due > now) {
                next_due_ = node->due;
                return nullptr;
            }
            unlink(late_, node);
            leave();
            return node;
        }
        while (levels_ != 0) {
            if (spreading_ != nullptr && !spread_some()) {
                next_due_ = due_of(time_);
                return nullptr;
            }
            const auto level = static_cast<unsigned>(std::countr_zero(levels_));
            const auto slot = first_slot(level);
            TimerNode* first = slots_[level][slot];
            if (level == 0 || first->after == first) {  // Those of the lowest level are due at the same time.
                if (first->due > now) {
                    next_due_ = first->due;
                    return nullptr;
                }
                take_out(level, slot, first);
                leave();
                return first;
            }
            const auto start = key_of(first->due) >> (level * kDigit) << (level * kDigit);
            if (start > key_of(now)) {
                next_due_ = earliest_or_start(first, start);
                time_ = key_of(now) > time_ ? key_of(now) : time_;  // The bytes above the slots stay the same.
                return nullptr;
            }
            time_ = start;
            spreading_ = &slots_[level][slot];
            spreading_level_ = level;
        }
        next_due_ = clock::time_point::max();
        return nullptr;
    }

    /// Takes out the earliest node; nullptr when empty.
    TimerNode* pop() noexcept {
        TimerNode* node = nullptr;
        while (node == nullptr && size_ != 0) {
            node = pop_due(clock::time_point::max());
        }
        return node;
    }

private:
    static constexpr unsigned kDigit = 8;  // Bits.
    static constexpr unsigned kSlots = 1U << kDigit;
    static constexpr unsigned kLevels = 64 / kDigit;
    static constexpr unsigned kSoon = 2;  // The level whose slots are of 65 us.
    static constexpr std::uint8_t kLate = 255;
    static constexpr int kPairs = 500;  // Some 100 us where each node is a cache miss.

    /// Deadlines in their order as unsigned numbers.
    [[nodiscard]] static std::uint64_t key_of(clock::time_point due) noexcept {
        return static_cast<std::uint64_t>(due.time_since_epoch().count()) ^ (std::uint64_t{1} << 63U);
    }
    [[nodiscard]] static clock::time_point due_of(std::uint64_t key) noexcept {
        return clock::time_point(clock::duration(static_cast<clock::rep>(key ^ (std::uint64_t{1} << 63U))));
    }
    /// Of a key from `time_` on.
    [[nodiscard]] unsigned level_of(std::uint64_t key) const noexcept {
        return static_cast<unsigned>(63 - std::countl_zero((key ^ time_) | 1U)) / kDigit;
    }
    [[nodiscard]] static unsigned slot_of(std::uint64_t key, unsigned level) noexcept {
        return static_cast<unsigned>(key >> (level * kDigit)) % kSlots;
    }

    static void push_back(TimerNode*& first, TimerNode* node) noexcept {
        if (first == nullptr) {
            first = node->before = node->after = node;
        } else {
            insert_before(first, node);
        }
    }
    static void insert_before(TimerNode* next, TimerNode* node) noexcept {
        node->after = next;
        node->before = next->before;
        next->before->after = node;
        next->before = node;
    }
    static void unlink(TimerNode*& first, TimerNode* node) noexcept {
        if (first == node) {
            first = node->after != node ? node->after : nullptr;
        }
        node->before->after = node->after;
        node->after->before = node->before;
        node->before = node->after = nullptr;
    }

    void place(TimerNode* node) noexcept {
        const auto key = key_of(node->due);
        if (key < time_) [[unlikely]] {
            place_late(node);
            return;
        }
        const auto level = level_of(key);
        const auto slot = slot_of(key, level);
        node->level = static_cast<std::uint8_t>(level);
        push_back(slots_[level][slot], node);
        occupied_[level][slot / 64] |= std::uint64_t{1} << (slot % 64);
        levels_ |= 1U << level;
    }

    /// What was due before it came: in order.
    void place_late(TimerNode* node) noexcept {
        node->level = kLate;
        if (late_ == nullptr || node->due >= late_->before->due) {
            push_back(late_, node);
            return;
        }
        TimerNode* next = late_;
        while (next->due <= node->due) {
            next = next->after;
        }
        insert_before(next, node);
        late_ = next == late_ ? node : late_;
    }

    /// Of a level that is not empty.
    [[nodiscard]] unsigned first_slot(unsigned level) const noexcept {
        unsigned word = 0;
        while (occupied_[level][word] == 0) {
            ++word;
        }
        return word * 64 + static_cast<unsigned>(std::countr_zero(occupied_[level][word]));
    }

    void take_out(unsigned level, unsigned slot, TimerNode* node) noexcept {
        unlink(slots_[level][slot], node);
        if (slots_[level][slot] == nullptr) {
            vacate(level, slot);
        }
    }
    void vacate(unsigned level, unsigned slot) noexcept {
        occupied_[level][slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
        for (const auto word : occupied_[level]) {
            if (word != 0) {
                return;
            }
        }
        levels_ &= ~(1U << level);
    }
    void leave() noexcept {
        if (--size_ == 0) {
            next_due_ = clock::time_point::max();
        }
    }

    /// The wheel's time has come to this slot: its nodes go to the levels below. Not too many at a time. Returns
    /// whether that was all; others are before none of them until it was.
    bool spread_some() noexcept {
        TimerNode* first = *spreading_;
        // From both ends: most of the time goes into waiting for nodes to come from memory, and two come at a time.
        TimerNode* last = first != nullptr ? first->before : nullptr;
        for (int pairs = 0; first != nullptr && pairs < kPairs; ++pairs) {
            TimerNode* next = first->after;
            TimerNode* previous = last->before;
            __builtin_prefetch(next);
            __builtin_prefetch(previous);
            if (spreading_level_ == kSoon) {
                prefetch_around(first);
                prefetch_around(last);
            }
            const bool met = first == last || next == last;
            place(first);
            if (first != last) {
                place(last);
            }
            first = met ? nullptr : next;
            last = previous;
        }
        *spreading_ = first;
        if (first != nullptr) {
            first->before = last;
            last->after = first;
            return false;
        }
        vacate(spreading_level_, static_cast<unsigned>(spreading_ - slots_[spreading_level_]));
        spreading_ = nullptr;
        return true;
    }

    /// The rest of the coroutine that will go on: its frame lies around the node.
    static void prefetch_around(const TimerNode* node) noexcept {
        const auto address = reinterpret_cast<std::uintptr_t>(node);
        for (const int lines : {-3, -2, -1, 1}) {
            __builtin_prefetch(reinterpret_cast<const void*>(address + static_cast<std::uintptr_t>(lines * 64)));
        }
    }

    /// What the wait for the nodes of a slot ends at: exactly, if they are few.
    [[nodiscard]] static clock::time_point earliest_or_start(const TimerNode* first, std::uint64_t start) noexcept {
        auto earliest = first->due;
        const TimerNode* node = first->after;
        for (int looks = 0; node != first; node = node->after) {
            if (++looks == kLooks) {
                return due_of(start);
            }
            earliest = node->due < earliest ? node->due : earliest;
        }
        return earliest;
    }
    static constexpr int kLooks = 16;

    std::size_t size_ = 0;
    clock::time_point next_due_ = clock::time_point::max();
    std::uint64_t time_ = 0;
    TimerNode* late_ = nullptr;        // Due before `time_`, in order.
    TimerNode** spreading_ = nullptr;  // The slot that is being spread, if one is.
    unsigned spreading_level_ = 0;
    // A bit for each level, and for each slot, that is not empty.
    std::uint32_t levels_ = 0;
    std::uint64_t occupied_[kLevels][kSlots / 64] = {};
    TimerNode* slots_[kLevels][kSlots] = {};  // One node of each; the others are in a ring with it.
};

}  // namespace spargio::detail
