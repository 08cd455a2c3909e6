// SPDX-License-Identifier: MIT
// Tests of work items and their list.
#include "spargio/detail/work_item.hpp"

#include <array>

#include <gtest/gtest.h>

#include "queues.hpp"

namespace spargio::detail {
namespace {

using test::Item;

TEST(WorkItem, RunsAsTheObjectItStandsFor) {
    struct Counting : WorkItem {
        Counting() noexcept : WorkItem(&count) {}
        static void count(WorkItem* item, Shard*) noexcept { ++static_cast<Counting*>(item)->runs; }
        int runs = 0;
    };
    Counting item;
    WorkItem* base = &item;
    EXPECT_EQ(base->next, nullptr);
    base->run(base, nullptr);
    EXPECT_EQ(item.runs, 1);
}

TEST(WorkList, StartsEmpty) {
    WorkList list;
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(list.size(), 0U);
    EXPECT_EQ(list.pop_front(), nullptr);
    EXPECT_EQ(list.size(), 0U);
}

TEST(WorkList, IsFirstInFirstOut) {
    std::array<Item, 3> items;
    WorkList list;
    for (auto& item : items) {
        list.push_back(&item);
    }
    EXPECT_FALSE(list.empty());
    EXPECT_EQ(list.size(), 3U);
    for (auto& item : items) {
        EXPECT_EQ(list.pop_front(), &item);
    }
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(list.pop_front(), nullptr);
}

TEST(WorkList, WorksOnAfterItRanEmpty) {
    Item a;
    Item b;
    WorkList list;
    list.push_back(&a);
    EXPECT_EQ(list.pop_front(), &a);
    list.push_back(&b);
    list.push_back(&a);
    EXPECT_EQ(list.size(), 2U);
    EXPECT_EQ(list.pop_front(), &b);
    EXPECT_EQ(list.pop_front(), &a);
    EXPECT_TRUE(list.empty());
}

TEST(WorkList, AppendsWhatIsLinkedAlreadyToWhatItHasAndToNothing) {
    std::array<Item, 4> items;
    WorkList list;
    items[0].next = &items[1];
    list.append(&items[0], &items[1], 2);
    items[2].next = &items[3];
    list.append(&items[2], &items[3], 2);
    EXPECT_EQ(list.size(), 4U);
    for (auto& item : items) {
        EXPECT_EQ(list.pop_front(), &item);
    }
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(list.pop_front(), nullptr);
    list.push_back(&items[0]);
    EXPECT_EQ(list.pop_front(), &items[0]);
}

TEST(WorkList, TakesAnItemWhoseLinkIsStale) {
    Item a;
    Item b;
    Item c;
    WorkList first;
    first.push_back(&a);
    first.push_back(&b);
    EXPECT_EQ(first.pop_front(), &a);  // Its link may still name b.
    WorkList second;
    second.push_back(&a);
    EXPECT_EQ(second.pop_front(), &a);
    EXPECT_EQ(second.pop_front(), nullptr);
    second.push_back(&a);
    second.push_back(&c);
    EXPECT_EQ(second.pop_front(), &a);
    EXPECT_EQ(second.pop_front(), &c);
    EXPECT_EQ(first.pop_front(), &b);
}

}  // namespace
}  // namespace spargio::detail
