// SPDX-License-Identifier: MIT
// Tests of the inbox: order, the duty to wake, closing.
#include "inbox.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "queues.hpp"
#include "spargio/detail/seams.hpp"
#include "support/race.hpp"
#include "support/stress.hpp"

namespace spargio::detail {
namespace {

struct Produced : WorkItem {
    explicit Produced(int n = 0) noexcept : WorkItem(&test::do_nothing), number(n) {}
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
    std::array<Produced, 3> items;
    Inbox inbox;
    EXPECT_EQ(inbox.try_push(&items[0]), Push::WasEmpty);
    EXPECT_EQ(inbox.try_push(&items[1]), Push::Queued);
    EXPECT_EQ(inbox.push(&items[2]), Push::Queued);
    EXPECT_FALSE(inbox.empty());
}

TEST(Inbox, EachTakeBeginsANewDuty) {
    Produced a;
    Produced b;
    Inbox inbox;
    WorkList out;
    EXPECT_EQ(inbox.try_push(&a), Push::WasEmpty);
    EXPECT_EQ(inbox.take_all(out), 1U);
    EXPECT_TRUE(inbox.empty());
    EXPECT_EQ(inbox.push(&b), Push::WasEmpty);
    EXPECT_EQ(inbox.take_all(out), 1U);
}

TEST(Inbox, GivesTheOldestFirstBehindWhatTheListHolds) {
    std::array<Produced, 5> items;
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
    Produced before;
    Produced after;
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
    Produced a;
    Produced b;
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

TEST(Inbox, CountsWhatItTookButNotWakesNorWhatItRefused) {
    std::array<Produced, 4> items;
    Inbox inbox;
    WorkList out;
    EXPECT_EQ(inbox.accepted(), 0U);
    static_cast<void>(inbox.try_push(&items[0]));
    static_cast<void>(inbox.try_push(&items[1]));
    static_cast<void>(inbox.push(&items[2]));
    inbox.take_all(out);
    inbox.close();
    static_cast<void>(inbox.try_push(&items[3]));
    EXPECT_EQ(inbox.accepted(), 2U);
}

TEST(Inbox, FollowsNoHint) {
    std::array<Produced, 2> items;
    Inbox inbox;
    WorkList out;
    items[1].back = reinterpret_cast<Produced*>(std::uintptr_t{0xDEAD0000BEE0});  // Long gone.
    static_cast<void>(inbox.try_push(&items[0]));
    static_cast<void>(inbox.try_push(&items[1]));
    EXPECT_EQ(inbox.take_all(out), 2U);
    EXPECT_EQ(out.pop_front(), &items[0]);
    EXPECT_EQ(out.pop_front(), &items[1]);
}

constexpr std::size_t kProducers = 4;
constexpr std::size_t kItems = 20'000;  // Of each producer.

TEST(Inbox, KeepsEachProducersOrderAndOwesOneWakeForEachNonEmptyPeriod) {
    Inbox inbox;
    std::vector<std::deque<Produced>> items(kProducers);
    std::atomic<std::uint64_t> wakes{0};
    std::vector<std::thread> producers;
    for (std::size_t p = 0; p < kProducers; ++p) {
        for (std::size_t i = 0; i < kItems; ++i) {
            items[p].emplace_back(static_cast<int>(i)).producer = p;
        }
        producers.emplace_back([&inbox, &wakes, &mine = items[p]] {
            for (Produced& item : mine) {
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
            const auto* item = static_cast<Produced*>(base);
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
    Inbox inbox;
    Produced mine;
    Produced other;
    bool owes = false;
    bool other_owes = false;
    int wrong = 0;
    const auto push_mine = [&](RandomSource& random) {
        test::jitter(random, 3);
        owes = inbox.try_push(&mine) == Push::WasEmpty;
    };
    const auto push_other = [&](RandomSource& random) {
        test::jitter(random, 3);
        other_owes = inbox.try_push(&other) == Push::WasEmpty;
    };
    const auto check = [&] {
        wrong += owes == other_owes ? 1 : 0;
        WorkList out;
        wrong += inbox.take_all(out) != 2 ? 1 : 0;
        wrong += out.pop_front() != (owes ? &mine : &other) ? 1 : 0;
    };
    test::race(
        test::scaled(30'000, 5'000), [] {}, push_mine, {push_other}, check);
    EXPECT_EQ(wrong, 0);
}

TEST(Inbox, WhatWasAcceptedBeforeAConcurrentCloseIsTaken) {
    std::unique_ptr<Inbox> inbox;
    std::array<Produced, 40> items;
    std::size_t accepted = 0;
    bool reopened = false;
    int wrong = 0;
    const auto push_all = [&](RandomSource& random) {
        accepted = 0;
        reopened = false;
        bool refused = false;
        for (Produced& item : items) {
            test::jitter(random, 1);
            if (inbox->try_push(&item) == Push::Refused) {
                refused = true;
            } else {
                ++accepted;
                reopened |= refused;
            }
        }
    };
    std::size_t taken = 0;
    WorkList out;
    const auto close = [&](RandomSource& random) {
        test::jitter(random, 40);
        taken = inbox->take_all(out);
        inbox->close();
    };
    const auto check = [&] {
        taken += inbox->take_all(out);
        wrong += taken != accepted || out.size() != taken || reopened ? 1 : 0;
        for (std::size_t i = 0; i < accepted; ++i) {
            wrong += out.pop_front() != &items[i] ? 1 : 0;
        }
    };
    test::race(
        test::scaled(10'000, 2'000), [&inbox] { inbox = std::make_unique<Inbox>(); }, close, {push_all}, check);
    EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace spargio::detail
