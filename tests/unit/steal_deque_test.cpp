// SPDX-License-Identifier: MIT
// Tests of the deque of stealable work: the bound, which end gives what, laps, nothing lost or taken twice in races.
#include "steal_deque.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "asymmetric_fence.hpp"
#include "queues.hpp"
#include "spargio/detail/seams.hpp"
#include "support/race.hpp"
#include "support/stress.hpp"

namespace spargio::detail {
namespace {

using test::Item;

const AsymmetricFence symmetric(AsymmetricFence::Policy::Symmetric);

class StealDequeTest : public testing::Test {
protected:
    StealDequeTest() {
        for (std::size_t i = 0; i < items.size(); ++i) {
            items[i].id = i;
        }
    }

    /// Pushes `count` items at once, from `first` on. Returns how many found room.
    std::size_t push(StealDeque& deque, std::size_t first, std::size_t count) {
        return deque.push_many(count, [&](std::size_t i) { return &items[first + i]; });
    }

    std::array<Item, 64> items;
};

TEST_F(StealDequeTest, StartsEmpty) {
    StealDeque deque(4, symmetric);
    EXPECT_EQ(deque.size(), 0U);
    EXPECT_EQ(deque.taken(), 0U);
    EXPECT_EQ(deque.pop(), nullptr);
    EXPECT_EQ(deque.steal(), nullptr);
    EXPECT_EQ(deque.size(), 0U);
    EXPECT_EQ(deque.taken(), 0U) << "nothing was given";
}

TEST_F(StealDequeTest, WithoutThievesTheOwnerHasBothEnds) {
    const AsymmetricFence light(AsymmetricFence::Policy::Light);
    StealDeque deque(4, light);
    EXPECT_EQ(deque.pop(), nullptr);
    for (std::uint64_t lap = 0; lap < 10; ++lap) {
        EXPECT_EQ(push(deque, 0, 5), 4U) << "the ring of four holds four";
        EXPECT_EQ(push(deque, 4, 1), 0U);
        EXPECT_EQ(deque.size(), 4U);
        EXPECT_EQ(deque.pop(), &items[3]) << "the newest";
        EXPECT_EQ(deque.steal(), &items[0]) << "the oldest";
        EXPECT_EQ(push(deque, 4, 3), 2U) << "at either end there is room again";
        EXPECT_EQ(deque.pop(), &items[5]);
        EXPECT_EQ(deque.pop(), &items[4]);
        EXPECT_EQ(deque.pop(), &items[2]);
        EXPECT_EQ(deque.steal(), &items[1]);
        EXPECT_EQ(deque.pop(), nullptr);
        EXPECT_EQ(deque.steal(), nullptr);
        EXPECT_EQ(deque.size(), 0U);
        EXPECT_EQ(deque.taken(), 6 * (lap + 1));
    }
}

TEST_F(StealDequeTest, RoundsItsCapacityUpToAPowerOfTwo) {
    const std::array<std::array<std::size_t, 2>, 8> cases{
        {{0, 1}, {1, 1}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {31, 32}, {33, 64}}};
    for (const auto& [least, capacity] : cases) {
        SCOPED_TRACE(least);
        StealDeque deque(least, symmetric);
        EXPECT_EQ(deque.capacity(), capacity);
        for (std::size_t i = 0; i < capacity; ++i) {
            ASSERT_TRUE(deque.push(&items[i]));
        }
        EXPECT_EQ(deque.size(), capacity);
        EXPECT_FALSE(deque.push(&items[0]));
        EXPECT_EQ(deque.size(), capacity);
    }
}

TEST_F(StealDequeTest, GivesItsOwnerTheNewest) {
    StealDeque deque(8, symmetric);
    EXPECT_EQ(push(deque, 0, 3), 3U);
    EXPECT_EQ(deque.pop(), &items[2]);
    EXPECT_TRUE(deque.push(&items[3]));
    EXPECT_EQ(deque.pop(), &items[3]);
    EXPECT_EQ(deque.pop(), &items[1]);
    EXPECT_EQ(deque.pop(), &items[0]);
    EXPECT_EQ(deque.pop(), nullptr);
}

TEST_F(StealDequeTest, GivesThievesTheOldest) {
    StealDeque deque(8, symmetric);
    EXPECT_EQ(push(deque, 0, 3), 3U);
    EXPECT_EQ(deque.steal(), &items[0]);
    EXPECT_TRUE(deque.push(&items[3]));
    EXPECT_EQ(deque.steal(), &items[1]);
    EXPECT_EQ(deque.steal(), &items[2]);
    EXPECT_EQ(deque.steal(), &items[3]);
    EXPECT_EQ(deque.steal(), nullptr);
}

TEST_F(StealDequeTest, BothEndsMeetAtTheLastItem) {
    StealDeque deque(8, symmetric);
    EXPECT_EQ(push(deque, 0, 3), 3U);
    EXPECT_EQ(deque.steal(), &items[0]);
    EXPECT_EQ(deque.pop(), &items[2]);
    EXPECT_EQ(deque.pop(), &items[1]);
    EXPECT_EQ(deque.steal(), nullptr);
    EXPECT_EQ(deque.pop(), nullptr);
    EXPECT_TRUE(deque.push(&items[3])) << "taken by the owner";
    EXPECT_EQ(deque.steal(), &items[3]);
    EXPECT_EQ(deque.pop(), nullptr);
    EXPECT_TRUE(deque.push(&items[4])) << "taken by a thief";
    EXPECT_EQ(deque.pop(), &items[4]);
}

TEST_F(StealDequeTest, PushesAsManyAsThereIsRoomFor) {
    StealDeque deque(4, symmetric);
    EXPECT_EQ(push(deque, 0, 0), 0U);
    EXPECT_EQ(push(deque, 0, 3), 3U);
    EXPECT_EQ(push(deque, 3, 5), 1U);
    EXPECT_EQ(push(deque, 4, 5), 0U);
    EXPECT_EQ(deque.steal(), &items[0]);
    EXPECT_EQ(deque.steal(), &items[1]);
    EXPECT_EQ(push(deque, 4, 5), 2U);
    EXPECT_EQ(deque.pop(), &items[5]);
    EXPECT_EQ(push(deque, 6, 1), 1U);
    for (const std::size_t id : {2U, 3U, 4U, 6U}) {
        EXPECT_EQ(deque.steal(), &items[id]);
    }
}

TEST_F(StealDequeTest, FullThenDrainedByThievesTakesAllAgain) {
    for (const std::size_t capacity : {1U, 2U, 4U, 8U}) {
        SCOPED_TRACE(capacity);
        StealDeque deque(capacity, symmetric);
        for (std::size_t lap = 0; lap < 5; ++lap) {
            // Each lap begins at another slot.
            EXPECT_EQ(push(deque, 60, 1), 1U);
            EXPECT_EQ(deque.steal(), &items[60]);
            ASSERT_EQ(push(deque, 0, capacity + 1), capacity);
            for (std::size_t i = 0; i < capacity; ++i) {
                ASSERT_EQ(deque.steal(), &items[i]);
            }
            EXPECT_EQ(deque.size(), 0U);
        }
    }
}

TEST_F(StealDequeTest, CountsWhatItHoldsAndWhatItGave) {
    StealDeque deque(8, symmetric);
    EXPECT_EQ(push(deque, 0, 5), 5U);
    EXPECT_EQ(deque.size(), 5U);
    EXPECT_EQ(deque.taken(), 0U);
    EXPECT_NE(deque.steal(), nullptr);
    EXPECT_NE(deque.pop(), nullptr);
    EXPECT_EQ(deque.size(), 3U);
    EXPECT_EQ(deque.taken(), 2U);
    while (deque.pop() != nullptr) {}
    EXPECT_EQ(deque.steal(), nullptr);
    EXPECT_EQ(deque.size(), 0U);
    EXPECT_EQ(deque.taken(), 5U) << "the last one counts once";
}

TEST_F(StealDequeTest, AgreesWithAListOverManyLaps) {
    test::Random random(test::stress_seed());
    for (const std::size_t capacity : {1U, 2U, 4U, 32U}) {
        SCOPED_TRACE(capacity);
        StealDeque deque(capacity, symmetric);
        std::deque<WorkItem*> list;
        std::uint64_t taken = 0;
        for (std::size_t step = 0; step < 200 * capacity + 2000; ++step) {
            if (random.one_in(2)) {
                const std::size_t first = random.below(30);
                const std::size_t wanted = random.below(static_cast<std::uint32_t>(capacity + 2));
                const auto pushed = push(deque, first, wanted);
                ASSERT_EQ(pushed, std::min(wanted, capacity - list.size()));
                for (std::size_t i = 0; i < pushed; ++i) {
                    list.push_back(&items[first + i]);
                }
            } else if (list.empty()) {
                ASSERT_EQ(deque.pop(), nullptr);
                ASSERT_EQ(deque.steal(), nullptr);
            } else if (random.one_in(2)) {
                ASSERT_EQ(deque.pop(), list.back());
                list.pop_back();
                ++taken;
            } else {
                ASSERT_EQ(deque.steal(), list.front());
                list.pop_front();
                ++taken;
            }
            ASSERT_EQ(deque.size(), list.size());
            ASSERT_EQ(deque.taken(), taken);
        }
    }
}

/// An owner that pushes and pops at random, against thieves. Each item is found once, and a thief never finds one that
/// is older than what it found before.
void race_owner_with_thieves(std::size_t capacity, std::size_t thieves) {
    const std::size_t count = test::scaled(300'000, 6'000);
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(150);  // On a busy machine.
    StealDeque deque(capacity, symmetric);
    std::vector<Item> items(count);
    std::vector<atomic<std::uint8_t>> found(count);
    atomic<bool> over{false};
    atomic<std::uint64_t> wrong{0};
    const auto take = [&](WorkItem* item) {
        const auto id = static_cast<Item*>(item)->id;
        found[id].fetch_add(1, std::memory_order_relaxed);
        return id;
    };
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < thieves; ++i) {
        threads.emplace_back([&] {
            std::uint64_t next = 0;
            while (!over.load() || deque.size() != 0) {
                if (WorkItem* item = deque.steal()) {
                    const auto id = take(item);
                    wrong.fetch_add(id < next ? 1 : 0, std::memory_order_relaxed);
                    next = id + 1;
                } else {
                    std::this_thread::yield();
                }
            }
        });
    }
    test::Random random(test::stress_seed());
    std::size_t pushed = 0;
    while (pushed < count && std::chrono::steady_clock::now() < end) {
        const auto wanted = std::min<std::size_t>(count - pushed, 1 + random.below(4));
        for (std::size_t i = 0; i < wanted; ++i) {
            items[pushed + i].id = pushed + i;
        }
        const auto done = deque.push_many(wanted, [&](std::size_t i) { return &items[pushed + i]; });
        pushed += done;
        if (done < wanted && random.one_in(4)) {
            std::this_thread::yield();  // Let the thieves have it.
        }
        for (auto pops = random.below(5); pops != 0; --pops) {
            if (WorkItem* item = deque.pop()) {
                take(item);
            }
        }
    }
    over.store(true);
    for (auto& thread : threads) {
        thread.join();
    }
    for (std::size_t i = 0; i < count; ++i) {
        wrong.fetch_add(found[i].load() != (i < pushed ? 1 : 0) ? 1 : 0);
    }
    EXPECT_EQ(wrong.load(), 0U);
    EXPECT_EQ(deque.size(), 0U);
    EXPECT_EQ(deque.pop(), nullptr);
    EXPECT_EQ(deque.taken(), pushed);
}

TEST(StealDequeRace, EachItemIsTakenOnce) {
    for (const std::size_t capacity : {2U, 64U}) {
        for (const std::size_t thieves : {1U, 2U, 3U}) {
            SCOPED_TRACE(testing::Message() << thieves << " thieves, capacity " << capacity);
            race_owner_with_thieves(capacity, thieves);
        }
    }
}

TEST(StealDequeRace, OfThoseThatMeetAtTheLastItemOneGetsIt) {
    StealDeque deque(1, symmetric);
    Item item;
    std::array<WorkItem*, 3> got{};
    int wrong = 0;
    const auto prepare = [&] { wrong += deque.push(&item) ? 0 : 1; };
    const auto owner = [&](RandomSource& random) {
        test::jitter(random, 4);
        got[0] = deque.pop();
    };
    const auto thief = [&](std::size_t number) {
        return [&, number](RandomSource& random) {
            test::jitter(random, 4);
            got[number] = deque.steal();
        };
    };
    std::uint64_t rounds = 0;
    const auto check = [&] {
        ++rounds;
        wrong += std::count(got.begin(), got.end(), &item) != 1 || deque.size() != 0 || deque.taken() != rounds ? 1 : 0;
    };
    test::race(test::scaled(20'000, 2'000), prepare, owner, {thief(1), thief(2)}, check);
    EXPECT_EQ(wrong, 0);
}

TEST(StealDequeRace, APopThatMeetsThievesAtTwoItemsLosesNone) {
    StealDeque deque(2, symmetric);
    std::array<Item, 2> items;
    std::array<WorkItem*, 3> got{};
    int wrong = 0;
    const auto prepare = [&] { wrong += deque.push(&items[0]) && deque.push(&items[1]) ? 0 : 1; };
    const auto owner = [&](RandomSource& random) {
        test::jitter(random, 6);
        got[0] = deque.pop();
    };
    const auto thief = [&](std::size_t number) {
        return [&, number](RandomSource& random) {
            test::jitter(random, 3);
            got[number] = deque.steal();
        };
    };
    const auto check = [&] {
        for (auto& item : items) {
            wrong += std::count(got.begin(), got.end(), &item) != 1 ? 1 : 0;
        }
        wrong += deque.size() != 0 ? 1 : 0;
    };
    test::race(test::scaled(20'000, 2'000), prepare, owner, {thief(1), thief(2)}, check);
    EXPECT_EQ(wrong, 0);
}

TEST(StealDequeRace, ASlotIsUsedAgainOnlyWhenItsItemIsTaken) {
    StealDeque deque(2, symmetric);
    std::array<Item, 4> items;
    std::array<WorkItem*, 2> got{};
    std::size_t pushed = 0;
    int wrong = 0;
    const auto prepare = [&] { wrong += deque.push(&items[0]) && deque.push(&items[1]) ? 0 : 1; };
    const auto owner = [&](RandomSource& random) {
        test::jitter(random, 4);
        pushed = deque.push_many(2, [&](std::size_t i) { return &items[2 + i]; });
    };
    const auto thief = [&](RandomSource& random) {
        test::jitter(random, 4);
        got = {deque.steal(), deque.steal()};
    };
    const auto check = [&] {
        wrong += got[0] != &items[0] || got[1] != &items[1] || deque.size() != pushed ? 1 : 0;
        for (std::size_t i = 0; i < pushed; ++i) {
            wrong += deque.steal() != &items[2 + i] ? 1 : 0;
        }
    };
    test::race(test::scaled(20'000, 2'000), prepare, owner, {thief}, check);
    EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace spargio::detail
