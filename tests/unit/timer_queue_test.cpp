// SPDX-License-Identifier: MIT
// Tests of the timer queue, among them one against a model.
#include "spargio/detail/timer_queue.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "spargio/detail/seams.hpp"
#include "support/stress.hpp"

namespace spargio::detail {
namespace {

using std::chrono::nanoseconds;

clock::time_point at(std::int64_t tick) {
    return clock::time_point(nanoseconds(tick));
}

TEST(TimerQueue, StartsEmpty) {
    TimerQueue queue;
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(queue.size(), 0U);
    EXPECT_EQ(queue.next_due(), clock::time_point::max());
    EXPECT_EQ(queue.pop(), nullptr);
    EXPECT_EQ(queue.pop_due(clock::time_point::max()), nullptr);
}

TEST(TimerQueue, ANodeIsDueAtItsTimeAndNotBefore) {
    TimerQueue queue;
    TimerNode node(at(100));
    EXPECT_FALSE(node.queued());
    queue.insert(&node, at(0));
    EXPECT_TRUE(node.queued());
    EXPECT_EQ(queue.next_due(), at(100));
    EXPECT_EQ(queue.pop_due(at(99)), nullptr);
    EXPECT_EQ(queue.size(), 1U);
    EXPECT_EQ(queue.pop_due(at(100)), &node);
    EXPECT_FALSE(node.queued());
    EXPECT_TRUE(queue.empty());
}

TEST(TimerQueue, TheEndsOfTimeAreInOrderToo) {
    TimerQueue queue;
    TimerNode last(clock::time_point::max());
    TimerNode first(clock::time_point::min());
    TimerNode middle(at(0));
    queue.insert(&last, at(0));
    queue.insert(&middle, at(0));
    queue.insert(&first, at(0));
    EXPECT_EQ(queue.next_due(), clock::time_point::min());
    EXPECT_EQ(queue.pop(), &first);
    EXPECT_EQ(queue.pop(), &middle);
    EXPECT_EQ(queue.pop_due(clock::time_point::max() - nanoseconds(1)), nullptr);
    EXPECT_EQ(queue.pop_due(clock::time_point::max()), &last);
}

TEST(TimerQueue, EqualDeadlinesAllComeOut) {
    TimerQueue queue;
    std::deque<TimerNode> nodes;
    std::set<TimerNode*> queued;
    for (int i = 0; i < 50; ++i) {
        queue.insert(&nodes.emplace_back(at(7)), at(0));
        queued.insert(&nodes.back());
    }
    while (TimerNode* node = queue.pop_due(at(7))) {
        EXPECT_EQ(queued.erase(node), 1U);
    }
    EXPECT_TRUE(queued.empty() && queue.empty());
}

TEST(TimerQueue, ANodeCanBeQueuedAgain) {
    TimerQueue queue;
    TimerNode node(at(5));
    queue.insert(&node, at(0));
    queue.remove(&node);
    EXPECT_FALSE(node.queued());
    EXPECT_TRUE(queue.empty());
    node.due = at(9);
    queue.insert(&node, at(0));
    EXPECT_EQ(queue.next_due(), at(9));
    EXPECT_EQ(queue.pop(), &node);
}

// Slots of up to ninety nodes on all of the low levels, in four shapes, before the wheel's time and after; from each of
// them, each node in turn.
TEST(TimerQueue, RemovesEachNodeFromAmongTheOthers) {
    const auto check = [](std::size_t size, std::int64_t step, std::size_t victim, clock::time_point looked) {
        TimerQueue queue;
        TimerNode last(clock::time_point::max());  // With it the wheel's time begins.
        queue.insert(&last, looked);
        std::deque<TimerNode> nodes;
        std::multiset<clock::time_point> left;
        for (std::size_t i = 0; i < size; ++i) {
            TimerNode& node = nodes.emplace_back(at(static_cast<std::int64_t>(i * 89 % 97) * step));
            queue.insert(&node, at(0));
            left.insert(node.due);
        }
        queue.remove(&nodes[victim]);
        ASSERT_FALSE(nodes[victim].queued());
        left.erase(left.find(nodes[victim].due));
        for (const auto due : left) {
            TimerNode* node = queue.pop();
            ASSERT_NE(node, nullptr);
            ASSERT_NE(node, &nodes[victim]);
            ASSERT_EQ(node->due, due);
        }
        ASSERT_EQ(queue.pop(), &last);
        ASSERT_TRUE(queue.empty());
        ASSERT_EQ(queue.next_due(), clock::time_point::max());
    };
    for (std::size_t size = 1; size <= 90; ++size) {
        for (const std::int64_t step : {0, 1, 7, 5'000}) {
            for (std::size_t victim = 0; victim < size; ++victim) {
                for (const auto looked : {at(-1), at(40 * step), at(1'000'000)}) {
                    ASSERT_NO_FATAL_FAILURE(check(size, step, victim, looked))
                        << "size " << size << ", step " << step << ", victim " << victim << ", looked at "
                        << looked.time_since_epoch().count();
                }
            }
        }
    }
}

/// A queue beside a sorted set that does the same.
class BesideASortedSet {
public:
    explicit BesideASortedSet(int nodes) {
        for (int i = 0; i < nodes; ++i) {
            idle_.push_back(&nodes_.emplace_back(at(0)));
        }
    }

    [[nodiscard]] RandomSource& random() { return random_; }
    [[nodiscard]] bool any_idle() const { return !idle_.empty(); }
    [[nodiscard]] bool any_queued() const { return !queued_.empty(); }

    void insert(clock::time_point due, clock::time_point now) {
        TimerNode* node = take_from(idle_);
        node->due = due;
        queue_.insert(node, now);
        model_.insert(due);
        queued_.push_back(node);
    }
    void remove() {
        TimerNode* node = take_from(queued_);
        queue_.remove(node);
        ASSERT_FALSE(node->queued());
        model_.erase(model_.find(node->due));
        idle_.push_back(node);
    }
    void pop() {
        if (TimerNode* node = queue_.pop()) {
            popped(node);
        }
    }
    void pop_due(clock::time_point now) {
        while (TimerNode* node = queue_.pop_due(now)) {
            ASSERT_LE(node->due, now);
            ASSERT_NO_FATAL_FAILURE(popped(node));
        }
        ASSERT_TRUE(model_.empty() || *model_.begin() > now);
        ASSERT_GT(queue_.next_due(), now);
    }
    void check() const {
        ASSERT_EQ(queue_.size(), model_.size());
        ASSERT_EQ(queue_.empty(), model_.empty());
        if (model_.empty()) {
            ASSERT_EQ(queue_.next_due(), clock::time_point::max());
        } else {
            ASSERT_LE(queue_.next_due(), *model_.begin());
        }
    }

private:
    TimerNode* take_from(std::vector<TimerNode*>& from) {
        std::swap(from[random_.below(static_cast<std::uint32_t>(from.size()))], from.back());
        TimerNode* node = from.back();
        from.pop_back();
        return node;
    }
    void popped(TimerNode* node) {
        ASSERT_EQ(node->due, *model_.begin());
        ASSERT_FALSE(node->queued());
        model_.erase(model_.begin());
        queued_.erase(std::find(queued_.begin(), queued_.end(), node));
        idle_.push_back(node);
    }

    RandomSource random_{test::stress_seed()};
    TimerQueue queue_;
    std::multiset<clock::time_point> model_;
    std::deque<TimerNode> nodes_;
    std::vector<TimerNode*> idle_;
    std::vector<TimerNode*> queued_;
};

// Phases of growth and of shrinking, so that the queue is full and empty again and again. The time goes back and forth.
TEST(TimerQueue, DoesWhatASortedSetDoes) {
    BesideASortedSet queues(400);
    for (int step = 0; step < 50'000; ++step) {
        const bool grow = step / 1000 % 2 == 0;
        const auto choice = queues.random().below(10);
        if (queues.any_idle() && choice < (grow ? 7U : 2U)) {
            queues.insert(at(queues.random().below(step % 3 == 0 ? 20 : 1'000'000)), at(queues.random().below(1'000)));
        } else if (queues.any_queued() && choice < 9) {
            ASSERT_NO_FATAL_FAILURE(queues.remove());
        } else if (choice == 9) {
            ASSERT_NO_FATAL_FAILURE(queues.pop_due(at(queues.random().below(50'000))));
        } else {
            ASSERT_NO_FATAL_FAILURE(queues.pop());
        }
        ASSERT_NO_FATAL_FAILURE(queues.check());
    }
}

// The time goes on, by nanoseconds or by years, and sleeps are as long: all levels come to be used.
TEST(TimerQueue, MeetsDeadlinesOfAllSizes) {
    for (int scale = 0; scale < 60; ++scale) {
        SCOPED_TRACE(scale);
        BesideASortedSet queues(200);
        std::int64_t now = scale % 2 == 0 ? 0 : 90'000'000'000'000;
        const auto span = [&](int most) {
            const std::uint64_t number = queues.random().next();
            return static_cast<std::int64_t>(number >> (63 - static_cast<int>(number % 32) * most / 31));
        };
        for (int step = 0; step < 2'000 && now < (std::int64_t{1} << 61); ++step) {
            const auto choice = queues.random().below(8);
            if (choice < 5 && queues.any_idle()) {
                queues.insert(at(now + span(scale)), at(now));
            } else if (choice < 6 && queues.any_queued()) {
                ASSERT_NO_FATAL_FAILURE(queues.remove());
            } else {
                now += span(std::max(scale - 5, 0));
                ASSERT_NO_FATAL_FAILURE(queues.pop_due(at(now)));
            }
            ASSERT_NO_FATAL_FAILURE(queues.check());
        }
    }
}

// Ten thousand nodes of one slot are spread in several calls, and what is done between the calls finds them where they
// are.
TEST(TimerQueue, SpreadsACrowdedSlotLittleByLittle) {
    const auto due = [](int i) { return clock::time_point(std::chrono::hours(1) + nanoseconds(i * 7919 % 10'000)); };
    const auto now = clock::time_point(std::chrono::hours(2));
    for (const int removed_after : {1, 5, 1'000}) {
        TimerQueue queue;
        std::deque<TimerNode> nodes;
        for (int i = 0; i < 10'000; ++i) {
            queue.insert(&nodes.emplace_back(due(i)), at(0));
        }
        int calls = 0;
        TimerNode* first = nullptr;
        for (; first == nullptr; ++calls) {
            first = queue.pop_due(now);
            ASSERT_LE(queue.next_due(), now);
            if (calls == removed_after) {
                for (std::size_t i = 0; i < nodes.size(); i += 2) {
                    queue.remove(&nodes[i]);
                }
            }
        }
        EXPECT_GE(calls, 10);
        std::set<clock::time_point> left;
        for (const TimerNode& node : nodes) {
            if (node.queued()) {
                left.insert(node.due);
            }
        }
        EXPECT_LT(first->due, *left.begin());
        EXPECT_EQ(left.size(), removed_after < calls ? 4'999U : 9'999U);
        for (const auto each : left) {
            TimerNode* node = queue.pop();
            ASSERT_NE(node, nullptr);
            ASSERT_EQ(node->due, each);
        }
        EXPECT_TRUE(queue.empty());
    }
    TimerQueue queue;
    std::deque<TimerNode> nodes;
    for (int i = 0; i < 10'000; ++i) {
        queue.insert(&nodes.emplace_back(due(i)), at(0));
    }
    ASSERT_EQ(queue.pop_due(now), nullptr);
    for (TimerNode& node : nodes) {
        queue.remove(&node);
    }
    queue.insert(&nodes[1], at(0));
    queue.insert(&nodes[0], at(0));
    EXPECT_EQ(queue.pop(), &nodes[0]);
    EXPECT_EQ(queue.pop(), &nodes[1]);
}

// A wait until next_due() must not end many times in vain: not for a sleep that is alone, however far off, nor for a
// few.
TEST(TimerQueue, KnowsTheDeadlinesOfAFew) {
    TimerQueue queue;
    std::deque<TimerNode> nodes;
    for (const std::int64_t hours : {1, 1000}) {
        for (int i = 0; i < 5; ++i) {
            queue.insert(&nodes.emplace_back(clock::time_point(std::chrono::hours(hours) + nanoseconds(i))), at(0));
        }
    }
    for (const TimerNode& node : nodes) {
        ASSERT_EQ(queue.pop_due(node.due - nanoseconds(1)), nullptr);
        ASSERT_EQ(queue.next_due(), node.due);
        ASSERT_NE(queue.pop_due(node.due), nullptr);
    }
}

}  // namespace
}  // namespace spargio::detail
