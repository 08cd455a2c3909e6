// SPDX-License-Identifier: MIT
// Tests of the inbox: order, the duty to wake, closing.
#include "spargio/detail/inbox.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "spargio/detail/seams.hpp"
#include "start_line.hpp"
#include "support/stress.hpp"

namespace spargio::detail {
namespace {

void do_nothing(WorkItem*, Shard*) noexcept {}

struct Item : WorkItem {
    explicit Item(int n = 0) noexcept : WorkItem(&do_nothing), number(n) {}
    int number;
    std::size_t producer = 0;
};

TEST(Inbox, StartsEmpty) {
    Inbox inbox;
    WorkList out;
    EXPECT_TRUE(inbox.empty());
    EXPECT_EQ(inbox.take_all(out), 0U);
    EXPECT_TRUE(out.empty());
}

TEST(Inbox, TheFirstPushOwesTheWakeAndLaterOnesRelyOnIt) {
    std::array<Item, 3> items;
    Inbox inbox;
    EXPECT_EQ(inbox.try_push(&items[0]), Push::WasEmpty);
    EXPECT_EQ(inbox.try_push(&items[1]), Push::Queued);
    EXPECT_EQ(inbox.push(&items[2]), Push::Queued);
    EXPECT_FALSE(inbox.empty());
}

TEST(Inbox, EachTakeBeginsANewDuty) {
    Item a;
    Item b;
    Inbox inbox;
    WorkList out;
    EXPECT_EQ(inbox.try_push(&a), Push::WasEmpty);
    EXPECT_EQ(inbox.take_all(out), 1U);
    EXPECT_TRUE(inbox.empty());
    EXPECT_EQ(inbox.push(&b), Push::WasEmpty);
    EXPECT_EQ(inbox.take_all(out), 1U);
}

TEST(Inbox, GivesTheOldestFirstBehindWhatTheListHolds) {
    std::array<Item, 5> items;
    Inbox inbox;
    WorkList out;
    out.push_back(&items[0]);
    for (std::size_t i = 1; i < items.size(); ++i) {
        static_cast<void>(inbox.try_push(&items[i]));
    }
    EXPECT_EQ(inbox.take_all(out), 4U);
    EXPECT_EQ(out.size(), 5U);
    for (auto& item : items) {
        EXPECT_EQ(out.pop_front(), &item);
    }
    EXPECT_EQ(out.pop_front(), nullptr);
}

TEST(Inbox, ClosingRefusesNewItemsAndKeepsOldOnes) {
    Item before;
    Item after;
    Inbox inbox;
    EXPECT_EQ(inbox.try_push(&before), Push::WasEmpty);
    inbox.close();
    EXPECT_EQ(inbox.try_push(&after), Push::Refused);
    EXPECT_EQ(after.next, nullptr);
    EXPECT_FALSE(inbox.empty());
    WorkList out;
    EXPECT_EQ(inbox.take_all(out), 1U);
    EXPECT_EQ(out.pop_front(), &before);
    EXPECT_TRUE(inbox.empty());
    EXPECT_EQ(inbox.try_push(&after), Push::Refused);  // A take does not open it again.
}

TEST(Inbox, AClosedInboxStillTakesWakes) {
    Item a;
    Item b;
    Inbox inbox;
    inbox.close();
    inbox.close();
    EXPECT_TRUE(inbox.empty());
    EXPECT_EQ(inbox.push(&a), Push::WasEmpty);
    EXPECT_EQ(inbox.push(&b), Push::Queued);
    WorkList out;
    EXPECT_EQ(inbox.take_all(out), 2U);
    EXPECT_EQ(out.pop_front(), &a);
    EXPECT_EQ(out.pop_front(), &b);
    EXPECT_EQ(inbox.try_push(&a), Push::Refused);
}

constexpr std::size_t kProducers = 4;
constexpr std::size_t kItems = 20'000;  // Of each producer.

TEST(Inbox, KeepsEachProducersOrderAndOwesOneWakeForEachNonEmptyPeriod) {
    Inbox inbox;
    std::vector<std::vector<Item>> items(kProducers);
    std::atomic<std::uint64_t> wakes{0};
    std::vector<std::thread> producers;
    for (std::size_t p = 0; p < kProducers; ++p) {
        for (std::size_t i = 0; i < kItems; ++i) {
            items[p].emplace_back(static_cast<int>(i)).producer = p;
        }
        producers.emplace_back([&inbox, &wakes, &mine = items[p]] {
            for (Item& item : mine) {
                if (inbox.try_push(&item) == Push::WasEmpty) {
                    wakes.fetch_add(1, std::memory_order_relaxed);
                }
            }
        });
    }
    std::array<int, kProducers> expected{};
    std::uint64_t periods = 0;  // A take that finds something ends one.
    std::size_t taken = 0;
    bool in_order = true;
    while (taken < kProducers * kItems) {
        WorkList out;
        const auto count = inbox.take_all(out);
        periods += count != 0 ? 1 : 0;
        taken += count;
        while (WorkItem* base = out.pop_front()) {
            const auto* item = static_cast<Item*>(base);
            in_order &= item->number == expected[item->producer]++;
        }
    }
    for (auto& producer : producers) {
        producer.join();
    }
    EXPECT_TRUE(in_order);
    EXPECT_TRUE(inbox.empty());
    EXPECT_EQ(wakes.load(), periods);
}

TEST(Inbox, OfTwoThatMeetAtTheEmptyInboxOneOwesTheWake) {
    const unsigned rounds = test::scaled(30'000, 5'000);
    const auto seed = test::stress_seed();
    Inbox inbox;
    Item mine;
    Item other;
    bool other_owes = false;
    test::StartLine line(2);
    std::thread producer([&] {
        RandomSource random(seed + 1);
        for (unsigned round = 0; round < rounds; ++round) {
            line.arrive_and_wait();
            test::spin(random.below(4));
            other_owes = inbox.try_push(&other) == Push::WasEmpty;
            line.arrive_and_wait();
        }
    });
    RandomSource random(seed);
    unsigned wrong = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        line.arrive_and_wait();
        test::spin(random.below(4));
        const bool owes = inbox.try_push(&mine) == Push::WasEmpty;
        line.arrive_and_wait();
        wrong += owes == other_owes ? 1 : 0;
        WorkList out;
        wrong += inbox.take_all(out) != 2 ? 1 : 0;
        wrong += out.pop_front() != (owes ? &mine : &other) ? 1 : 0;
    }
    producer.join();
    EXPECT_EQ(wrong, 0U);
}

TEST(Inbox, WhatWasAcceptedBeforeAConcurrentCloseIsTaken) {
    for (int round = 0; round < 200; ++round) {
        Inbox inbox;
        std::array<std::vector<Item>, kProducers> items;
        std::atomic<std::size_t> accepted{0};
        std::atomic<bool> reopened{false};
        std::atomic<std::size_t> started{0};
        std::vector<std::thread> producers;
        for (auto& mine : items) {
            mine.resize(200);
            producers.emplace_back([&] {
                started.fetch_add(1);
                bool refused = false;
                for (Item& item : mine) {
                    if (inbox.try_push(&item) == Push::Refused) {
                        refused = true;
                    } else {
                        accepted.fetch_add(1);
                        if (refused) {
                            reopened.store(true);
                        }
                    }
                }
            });
        }
        while (started.load() != kProducers) {
            std::this_thread::yield();
        }
        WorkList out;
        std::size_t taken = inbox.take_all(out);
        inbox.close();
        for (auto& producer : producers) {
            producer.join();
        }
        taken += inbox.take_all(out);
        EXPECT_EQ(taken, accepted.load());
        EXPECT_EQ(out.size(), taken);
        EXPECT_FALSE(reopened.load());
    }
}

}  // namespace
}  // namespace spargio::detail
