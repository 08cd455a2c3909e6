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
    EXPECT_EQ(node.index, TimerNode::not_queued);
    queue.insert(&node);
    EXPECT_EQ(queue.next_due(), at(100));
    EXPECT_EQ(queue.pop_due(at(99)), nullptr);
    EXPECT_EQ(queue.size(), 1U);
    EXPECT_EQ(queue.pop_due(at(100)), &node);
    EXPECT_EQ(node.index, TimerNode::not_queued);
    EXPECT_TRUE(queue.empty());
}

TEST(TimerQueue, TheEndsOfTimeAreInOrderToo) {
    TimerQueue queue;
    TimerNode last(clock::time_point::max());
    TimerNode first(clock::time_point::min());
    TimerNode middle(at(0));
    queue.insert(&last);
    queue.insert(&middle);
    queue.insert(&first);
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
        queue.insert(&nodes.emplace_back(at(7)));
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
    queue.insert(&node);
    queue.remove(&node);
    EXPECT_EQ(node.index, TimerNode::not_queued);
    EXPECT_TRUE(queue.empty());
    node.due = at(9);
    queue.insert(&node);
    EXPECT_EQ(queue.next_due(), at(9));
    EXPECT_EQ(queue.pop(), &node);
}

// Heaps of all sizes up to three levels of four children, in three shapes; from each, each position in turn.
TEST(TimerQueue, RemovesFromEveryPosition) {
    for (std::size_t size = 1; size <= 90; ++size) {
        for (const std::uint64_t shape : {1U, 7U, 89U}) {
            for (std::size_t position = 0; position < size; ++position) {
                TimerQueue queue;
                std::deque<TimerNode> nodes;
                std::multiset<clock::time_point> left;
                for (std::size_t i = 0; i < size; ++i) {
                    TimerNode& node = nodes.emplace_back(at(static_cast<std::int64_t>(i * shape % 97)));
                    queue.insert(&node);
                    left.insert(node.due);
                }
                const auto victim = std::find_if(nodes.begin(), nodes.end(),
                                                 [&](const TimerNode& node) { return node.index == position; });
                ASSERT_NE(victim, nodes.end());
                queue.remove(&*victim);
                left.erase(left.find(victim->due));
                for (const auto due : left) {
                    TimerNode* node = queue.pop();
                    ASSERT_NE(node, nullptr);
                    ASSERT_NE(node, &*victim);
                    ASSERT_EQ(node->due, due) << "size " << size << ", shape " << shape << ", position " << position;
                }
                ASSERT_TRUE(queue.empty());
            }
        }
    }
}

TEST(TimerQueue, DoesWhatASortedSetDoes) {
    RandomSource random(test::stress_seed());
    TimerQueue queue;
    std::multiset<clock::time_point> model;
    std::deque<TimerNode> nodes;
    std::vector<TimerNode*> idle;
    std::vector<TimerNode*> queued;
    for (int i = 0; i < 400; ++i) {
        idle.push_back(&nodes.emplace_back(at(0)));
    }
    const auto take_from = [&random](std::vector<TimerNode*>& from) {
        std::swap(from[random.below(static_cast<std::uint32_t>(from.size()))], from.back());
        TimerNode* node = from.back();
        from.pop_back();
        return node;
    };
    const auto popped = [&](TimerNode* node) {
        ASSERT_EQ(node->due, *model.begin());
        ASSERT_EQ(node->index, TimerNode::not_queued);
        model.erase(model.begin());
        queued.erase(std::find(queued.begin(), queued.end(), node));
        idle.push_back(node);
    };
    for (int step = 0; step < 50'000; ++step) {
        // Phases of growth and of shrinking, so that the heap is full and empty again and again.
        const bool grow = step / 1000 % 2 == 0;
        const auto choice = random.below(10);
        if (!idle.empty() && choice < (grow ? 7U : 2U)) {
            TimerNode* node = take_from(idle);
            node->due = at(random.below(step % 3 == 0 ? 20 : 1'000'000));
            queue.insert(node);
            model.insert(node->due);
            queued.push_back(node);
        } else if (!queued.empty() && choice < 9) {
            TimerNode* node = take_from(queued);
            queue.remove(node);
            model.erase(model.find(node->due));
            idle.push_back(node);
        } else if (choice == 9) {
            const auto now = at(random.below(50'000));
            while (TimerNode* node = queue.pop_due(now)) {
                ASSERT_LE(node->due, now);
                ASSERT_NO_FATAL_FAILURE(popped(node));
            }
            ASSERT_TRUE(model.empty() || *model.begin() > now);
        } else if (TimerNode* node = queue.pop()) {
            ASSERT_NO_FATAL_FAILURE(popped(node));
        }
        ASSERT_EQ(queue.size(), model.size());
        ASSERT_EQ(queue.empty(), model.empty());
        ASSERT_EQ(queue.next_due(), model.empty() ? clock::time_point::max() : *model.begin());
    }
}

}  // namespace
}  // namespace spargio::detail
