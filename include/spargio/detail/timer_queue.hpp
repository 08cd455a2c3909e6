// SPDX-License-Identifier: MIT
// Deadlines of one shard in user space: a heap with cancel, so that a sleep costs no kernel timer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "spargio/detail/seams.hpp"

namespace spargio::detail {

class Shard;

/// Lives in what waits for the deadline.
struct TimerNode {
    static constexpr std::uint32_t not_queued = ~std::uint32_t{0};

    explicit TimerNode(clock::time_point when, bool is_alarm = false) noexcept : due(when), alarm(is_alarm) {}

    clock::time_point due;
    // Small, since a million sleepers have a million of these.
    std::uint32_t index = not_queued;  // Where the heap has it.
    const bool alarm;                  // An Alarm; else a sleep.
};

/// A deadline of something else than a sleep.
struct Alarm : TimerNode {
    /// What the shard does when the deadline has come, and the node is out of the queue. False: it is too early, for
    /// the next turn; else the alarm may be gone soon.
    using FireFn = bool (*)(Alarm&, Shard&) noexcept;

    Alarm(clock::time_point when, FireFn fn) noexcept : TimerNode(when, true), fire(fn) {}

    const FireFn fire;
    Alarm* put_off = nullptr;  // Another one that is to be put back.
};

/// Implicit 4-ary min-heap (Johnson, "Priority queues with update and finding minimum spanning trees", 1975): half as
/// deep as a binary one, and the four children share a cache line. O(log n) insert and cancel. Not thread safe: one
/// shard.
class TimerQueue {
public:
    [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
    /// The earliest deadline; clock::time_point::max() when empty.
    [[nodiscard]] clock::time_point next_due() const noexcept {
        return heap_.empty() ? clock::time_point::max() : heap_.front().due;
    }

    /// Throws std::bad_alloc when the heap must grow and cannot.
    void insert(TimerNode* node) {
        heap_.push_back(Entry{node->due, node});
        sift_up(heap_.size() - 1);
    }

    /// Requires that the node is queued here.
    void remove(TimerNode* node) noexcept {
        const auto hole = node->index;
        node->index = TimerNode::not_queued;
        const Entry last = heap_.back();
        heap_.pop_back();
        if (hole == heap_.size()) {
            return;
        }
        place(hole, last);
        sift_up(hole);
        sift_down(last.node->index);
    }

    /// Takes out the earliest node if it is due at `now`; else nullptr.
    TimerNode* pop_due(clock::time_point now) noexcept {
        if (heap_.empty() || heap_.front().due > now) {
            return nullptr;
        }
        return pop();
    }

    /// Takes out the earliest node; nullptr when empty.
    TimerNode* pop() noexcept {
        if (heap_.empty()) {
            return nullptr;
        }
        TimerNode* node = heap_.front().node;
        remove(node);
        return node;
    }

private:
    struct Entry {
        clock::time_point due;  // Beside the pointer, so that a comparison does not touch the node.
        TimerNode* node;
    };

    void place(std::size_t index, const Entry& entry) noexcept {
        heap_[index] = entry;
        entry.node->index = static_cast<std::uint32_t>(index);
    }

    void sift_up(std::size_t index) noexcept {
        const Entry moving = heap_[index];
        while (index > 0) {
            const auto parent = (index - 1) / 4;
            if (heap_[parent].due <= moving.due) {
                break;
            }
            place(index, heap_[parent]);
            index = parent;
        }
        place(index, moving);
    }

    void sift_down(std::size_t index) noexcept {
        const Entry moving = heap_[index];
        for (;;) {
            const auto first = index * 4 + 1;
            if (first >= heap_.size()) {
                break;
            }
            const auto last = first + 4 < heap_.size() ? first + 4 : heap_.size();
            auto least = first;
            for (auto child = first + 1; child < last; ++child) {
                if (heap_[child].due < heap_[least].due) {
                    least = child;
                }
            }
            if (moving.due <= heap_[least].due) {
                break;
            }
            place(index, heap_[least]);
            index = least;
        }
        place(index, moving);
    }

    std::vector<Entry> heap_;
};

}  // namespace spargio::detail
