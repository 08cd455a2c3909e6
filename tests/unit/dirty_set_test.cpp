// SPDX-License-Identifier: MIT
// Tests of the set of queues that have something new: the duty to wake, what a clear visits, nothing missed.
#include "dirty_set.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "spargio/detail/seams.hpp"
#include "support/race.hpp"
#include "support/stress.hpp"

namespace spargio::detail {
namespace {

constexpr std::array<std::size_t, 8> kSizes{1, 2, 64, 65, 512, 513, 1000, 4000};

std::vector<std::size_t> clear(DirtySet& set) {
    std::vector<std::size_t> announced;
    std::vector<std::size_t> visited;
    set.clear([&](std::size_t bit) { announced.push_back(bit); }, [&](std::size_t bit) { visited.push_back(bit); });
    EXPECT_EQ(announced, visited) << "nobody else was marking";
    return visited;
}

TEST(DirtySet, StartsClean) {
    for (const auto size : kSizes) {
        DirtySet set(size);
        EXPECT_FALSE(set.any());
        EXPECT_TRUE(clear(set).empty());
    }
}

TEST(DirtySet, EachBitIsFoundAndCleared) {
    for (const auto size : kSizes) {
        DirtySet set(size);
        for (std::size_t bit = 0; bit < size; ++bit) {
            ASSERT_TRUE(set.mark(bit)) << bit << " of " << size;
            ASSERT_TRUE(set.any());
            ASSERT_EQ(clear(set), std::vector<std::size_t>{bit});
            ASSERT_FALSE(set.any());
        }
    }
}

TEST(DirtySet, TheFirstMarkOfAWordOwesTheWakeAndLaterOnesRelyOnIt) {
    DirtySet set(130);
    EXPECT_TRUE(set.mark(5));
    EXPECT_FALSE(set.mark(5));
    EXPECT_FALSE(set.mark(0));
    EXPECT_FALSE(set.mark(63));
    EXPECT_TRUE(set.mark(64));
    EXPECT_FALSE(set.mark(127));
    EXPECT_TRUE(set.mark(129));
    EXPECT_EQ(clear(set), (std::vector<std::size_t>{0, 5, 63, 64, 127, 129}));
    EXPECT_TRUE(set.mark(63)) << "each clear begins a new duty";
    EXPECT_FALSE(set.mark(5));
}

TEST(DirtySet, AClearVisitsExactlyTheMarkedOnesInOrder) {
    test::Random random(test::stress_seed());
    for (const auto size : kSizes) {
        SCOPED_TRACE(size);
        DirtySet set(size);
        for (int round = 0; round < 100; ++round) {
            std::set<std::size_t> marked;
            std::set<std::size_t> words;
            for (auto marks = random.below(40); marks != 0; --marks) {
                const std::size_t bit = random.below(static_cast<std::uint32_t>(size));
                ASSERT_EQ(set.mark(bit), words.insert(bit / 64).second);
                marked.insert(bit);
            }
            ASSERT_EQ(set.any(), !marked.empty());
            ASSERT_EQ(clear(set), std::vector<std::size_t>(marked.begin(), marked.end()));
        }
    }
}

TEST(DirtySet, AMarkDuringALookIsLeftForTheNextClear) {
    DirtySet set(64);
    EXPECT_TRUE(set.mark(3));
    EXPECT_FALSE(set.mark(9));
    std::vector<std::size_t> visited;
    set.clear([](std::size_t) {},
              [&](std::size_t bit) {
                  visited.push_back(bit);
                  EXPECT_EQ(set.mark(bit), bit == 3) << "the word is empty again before the first look";
              });
    EXPECT_EQ(visited, (std::vector<std::size_t>{3, 9}));
    EXPECT_TRUE(set.any());
    EXPECT_EQ(clear(set), (std::vector<std::size_t>{3, 9}));
}

TEST(DirtySet, AMarkAfterTheAnnouncementsIsLookedAtOrLeft) {
    DirtySet set(64);
    EXPECT_TRUE(set.mark(3));
    std::vector<std::size_t> visited;
    set.clear([&](std::size_t) { EXPECT_FALSE(set.mark(9)); }, [&](std::size_t bit) { visited.push_back(bit); });
    for (const auto bit : clear(set)) {
        visited.push_back(bit);
    }
    EXPECT_EQ(visited, (std::vector<std::size_t>{3, 9}));
}

/// A queue's stand-in: what was published last.
using Items = std::vector<std::atomic<std::uint64_t>>;

TEST(DirtySet, NothingThatIsMarkedWhileItIsClearedIsMissed) {
    constexpr std::size_t size = 130;
    DirtySet set(size);
    Items published(size);
    std::vector<std::uint64_t> seen(size);
    std::vector<std::uint64_t> expected(size);
    std::atomic<bool> over{false};
    std::uint64_t wakes = 0;
    std::uint64_t periods = 0;  // Words that a clear found.
    std::uint64_t next = 0;
    int wrong = 0;
    const auto look = [&] {
        std::set<std::size_t> words;
        set.clear([](std::size_t) {},
                  [&](std::size_t bit) {
                      seen[bit] = published[bit].load(std::memory_order_relaxed);
                      words.insert(bit / 64);
                  });
        periods += words.size();
    };
    const auto publish = [&](RandomSource& random) {
        for (int i = 0; i < 60; ++i) {
            const std::size_t bit = random.below(2) == 0 ? random.below(3) : random.below(size);
            published[bit].store(++next, std::memory_order_relaxed);
            expected[bit] = next;
            wakes += set.mark(bit) ? 1 : 0;
        }
        over.store(true, std::memory_order_release);
    };
    const auto clear_all = [&](RandomSource& random) {
        while (!over.load(std::memory_order_acquire)) {
            test::jitter(random, 3);
            look();
        }
    };
    const auto prepare = [&] { over.store(false); };
    const auto check = [&] {
        look();
        wrong += set.any() || seen != expected ? 1 : 0;
    };
    test::race(test::scaled(5'000, 1'000), prepare, clear_all, {publish}, check);
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(wakes, periods) << "one wake for each time that a word was not empty";
}

TEST(DirtySet, OfTwoThatMeetAtAnEmptyWordOneOwesTheWake) {
    std::unique_ptr<DirtySet> set;
    std::array<bool, 2> owes{};
    int wrong = 0;
    const auto mark = [&](std::size_t number) {
        return [&set, &owes, number](RandomSource& random) {
            test::jitter(random, 3);
            owes[number] = set->mark(number * 7);
        };
    };
    const auto check = [&] {
        wrong += owes[0] == owes[1] ? 1 : 0;
        wrong += clear(*set) != std::vector<std::size_t>{0, 7} ? 1 : 0;
    };
    const auto prepare = [&] { set = std::make_unique<DirtySet>(9); };
    test::race(test::scaled(20'000, 2'000), prepare, mark(0), {mark(1)}, check);
    EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace spargio::detail
