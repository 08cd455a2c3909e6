// SPDX-License-Identifier: MIT
// Tests of the queue of stealable work: bounds, closing, what a thief gets, nothing lost between threads.
#include "steal_queue.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "queues.hpp"

namespace spargio::detail {
namespace {

using Offer = StealQueue::Offer;
constexpr std::size_t kNoBound = ~std::size_t{0};

using test::Item;

class StealQueueTest : public testing::Test {
protected:
    /// Offers the first `count` items.
    void fill(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            ASSERT_EQ(queue.offer(&items[i], kNoBound), Offer::Taken);
        }
    }

    StealQueue queue;
    std::array<Item, 16> items;
};

TEST_F(StealQueueTest, StartsEmpty) {
    WorkList out;
    EXPECT_EQ(queue.size(), 0U);
    EXPECT_EQ(queue.pop(), nullptr);
    EXPECT_EQ(queue.steal(out, 8), 0U);
    EXPECT_TRUE(out.empty());
}

TEST_F(StealQueueTest, TheOldestGoesFirst) {
    fill(3);
    EXPECT_EQ(queue.size(), 3U);
    EXPECT_EQ(queue.pop(), &items[0]);
    EXPECT_EQ(queue.pop(), &items[1]);
    EXPECT_EQ(queue.size(), 1U);
    EXPECT_EQ(queue.pop(), &items[2]);
    EXPECT_EQ(queue.size(), 0U);
    EXPECT_EQ(queue.pop(), nullptr);
}

TEST_F(StealQueueTest, TakesAsManyAsTheBound) {
    EXPECT_EQ(queue.offer(&items[0], 0), Offer::Full);
    EXPECT_EQ(queue.offer(&items[0], 2), Offer::Taken);
    EXPECT_EQ(queue.offer(&items[1], 2), Offer::Taken);
    EXPECT_EQ(queue.offer(&items[2], 2), Offer::Full);
    EXPECT_EQ(queue.size(), 2U);
    EXPECT_EQ(queue.pop(), &items[0]);
    EXPECT_EQ(queue.offer(&items[2], 2), Offer::Taken);
    EXPECT_EQ(queue.pop(), &items[1]);
    EXPECT_EQ(queue.pop(), &items[2]);
}

TEST_F(StealQueueTest, PutKnowsNoBound) {
    EXPECT_EQ(queue.offer(&items[0], 1), Offer::Taken);
    queue.put(&items[1]);
    EXPECT_EQ(queue.size(), 2U);
    EXPECT_EQ(queue.offer(&items[2], 2), Offer::Full);
}

TEST_F(StealQueueTest, ClosedItRefusesNewTasksOnly) {
    fill(1);
    queue.close();
    EXPECT_EQ(queue.offer(&items[1], kNoBound), Offer::Closed);
    EXPECT_EQ(queue.offer(&items[1], 1), Offer::Closed) << "closed comes before full";
    queue.put(&items[2]);
    EXPECT_EQ(queue.size(), 2U);
    EXPECT_EQ(queue.pop(), &items[0]);
    EXPECT_EQ(queue.pop(), &items[2]);
    EXPECT_EQ(queue.pop(), nullptr);
}

TEST_F(StealQueueTest, AThiefGetsTheOlderHalfRoundedUp) {
    for (const std::size_t waiting : {1U, 2U, 3U, 4U, 9U, 10U}) {
        SCOPED_TRACE(waiting);
        fill(waiting);
        WorkList out;
        const auto half = (waiting + 1) / 2;
        EXPECT_EQ(queue.steal(out, kNoBound), half);
        EXPECT_EQ(out.size(), half);
        EXPECT_EQ(queue.size(), waiting - half);
        for (std::size_t i = 0; i < waiting; ++i) {
            EXPECT_EQ(i < half ? out.pop_front() : queue.pop(), &items[i]);
        }
    }
}

TEST_F(StealQueueTest, AThiefGetsNoMoreThanItsBudget) {
    fill(16);
    WorkList out;
    EXPECT_EQ(queue.steal(out, 3), 3U);
    EXPECT_EQ(queue.steal(out, 1), 1U);
    EXPECT_EQ(queue.steal(out, 0), 0U);
    EXPECT_EQ(queue.size(), 12U);
    EXPECT_EQ(queue.steal(out, 100), 6U);
    EXPECT_EQ(out.size(), 10U);
    for (std::size_t i = 0; i < 10; ++i) {
        EXPECT_EQ(out.pop_front(), &items[i]);
    }
}

// Two producers, an owner and two thieves: each item is found once, and a full queue loses nothing.
TEST(StealQueueRace, EachItemIsTakenOnce) {
    constexpr std::size_t kProducers = 2;
    constexpr std::size_t kItems = 5'000;  // Of each producer.
    constexpr std::size_t kBound = 64;
    StealQueue queue;
    std::deque<Item> items;
    std::vector<std::atomic<int>> found(kProducers * kItems);
    for (std::size_t id = 0; id < found.size(); ++id) {
        items.emplace_back(id);
    }
    std::atomic<std::size_t> taken{0};
    std::atomic<std::size_t> most{0};
    const auto take = [&](WorkItem* item) {
        found[static_cast<Item*>(item)->id].fetch_add(1);
        taken.fetch_add(1);
    };
    std::vector<std::thread> threads;
    for (std::size_t p = 0; p < kProducers; ++p) {
        threads.emplace_back([&, p] {
            for (std::size_t i = 0; i < kItems; ++i) {
                while (queue.offer(&items[p * kItems + i], kBound) == Offer::Full) {
                    std::this_thread::yield();
                }
            }
        });
    }
    threads.emplace_back([&] {
        while (taken.load() < found.size()) {
            if (WorkItem* item = queue.pop()) {
                take(item);
            } else {
                std::this_thread::yield();
            }
        }
    });
    for (std::size_t budget : {1U, 8U}) {
        threads.emplace_back([&, budget] {
            while (taken.load() < found.size()) {
                const auto size = queue.size();
                for (auto seen = most.load(); size > seen && !most.compare_exchange_weak(seen, size);) {}
                WorkList out;
                if (queue.steal(out, budget) == 0) {
                    std::this_thread::yield();
                }
                while (WorkItem* item = out.pop_front()) {
                    take(item);
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    std::size_t wrong = 0;
    for (const auto& count : found) {
        wrong += count.load() != 1 ? 1 : 0;
    }
    EXPECT_EQ(wrong, 0U);
    EXPECT_EQ(queue.size(), 0U);
    EXPECT_LE(most.load(), kBound);
}

}  // namespace
}  // namespace spargio::detail
