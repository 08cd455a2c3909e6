// SPDX-License-Identifier: MIT
// Tests of the queue from one thread to one other: the bound, the order, what is visible when.
#include "spsc_ring.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
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

/// Stages `count` items that count up from `first`.
void stage(SpscRing& ring, std::uint64_t first, std::size_t count) {
    ring.stage(count, [first](std::size_t i) { return first + i; });
}

/// Takes `count` at most, and checks that they count up from `first`.
std::size_t take(SpscRing& ring, std::uint64_t first, std::size_t count) {
    return ring.take(count, [&](std::size_t i, std::uint64_t item) { EXPECT_EQ(item, first + i); });
}

TEST(SpscRing, StartsEmpty) {
    SpscRing ring(3);
    EXPECT_EQ(ring.notice(), 0U);
    EXPECT_EQ(ring.noticed(), 0U);
    EXPECT_EQ(ring.staged(), 0U);
    EXPECT_EQ(ring.unpublished(), 0U);
    EXPECT_TRUE(ring.empty());
    EXPECT_FALSE(ring.arrived());
    EXPECT_EQ(take(ring, 0, 3), 0U);
    ring.publish();
    EXPECT_FALSE(ring.arrived()) << "nothing was staged";
}

TEST(SpscRing, CarriesAllBitsOfAnItem) {
    constexpr std::uint64_t most = (std::uint64_t{1} << SpscRing::item_bits) - 1;
    SpscRing ring(2);
    for (const std::uint64_t item : {most, std::uint64_t{0}, most - 1, std::uint64_t{1}}) {
        stage(ring, item, 1);
        ring.publish();
        EXPECT_EQ(ring.notice(), 1U);
        EXPECT_EQ(take(ring, item, 1), 1U);
    }
}

// A slot says of itself whether it is of this lap. What says so has fewer bits than a position, and begins again.
TEST(SpscRing, MoreLapsThanALapHasNumbers) {
    SpscRing ring(1);
    for (std::uint64_t i = 0; i < 200'000; ++i) {
        ASSERT_FALSE(ring.arrived());
        ASSERT_EQ(ring.notice(), 0U);
        stage(ring, i, 1);
        ASSERT_FALSE(ring.arrived());
        ring.publish();
        ASSERT_TRUE(ring.arrived());
        ASSERT_EQ(ring.notice(), 1U);
        ASSERT_FALSE(ring.arrived()) << "a full ring, and all of it noticed";
        ASSERT_EQ(take(ring, i, 1), 1U);
    }
}

TEST(SpscRing, HoldsExactlyItsCapacity) {
    for (const auto capacity : test::ring_capacities) {
        SCOPED_TRACE(capacity);
        SpscRing ring(capacity);
        EXPECT_EQ(ring.room(capacity + 5), capacity);
        for (std::size_t i = 0; i < capacity; ++i) {
            ASSERT_EQ(ring.room(1), 1U);
            stage(ring, i, 1);
        }
        EXPECT_EQ(ring.room(1), 0U) << "staged items count";
        ring.publish();
        EXPECT_EQ(ring.room(1), 0U);
        EXPECT_EQ(ring.notice(), capacity);
        EXPECT_EQ(ring.room(1), 0U) << "a look makes no room";
        EXPECT_EQ(take(ring, 0, 1), 1U);
        EXPECT_EQ(ring.room(2), 1U);
        EXPECT_EQ(take(ring, 1, capacity), capacity - 1);
        EXPECT_EQ(ring.room(capacity + 1), capacity);
    }
}

TEST(SpscRing, GivesNoMoreRoomThanIsWanted) {
    SpscRing ring(100);
    EXPECT_EQ(ring.room(0), 0U);
    EXPECT_EQ(ring.room(7), 7U);
    stage(ring, 0, 97);
    EXPECT_EQ(ring.room(2), 2U);
    EXPECT_EQ(ring.room(7), 3U);
}

TEST(SpscRing, WhatIsStagedIsInvisibleUntilItIsPublished) {
    SpscRing ring(100);
    stage(ring, 0, 3);
    EXPECT_EQ(ring.staged(), 3U);
    EXPECT_EQ(ring.unpublished(), 3U);
    EXPECT_EQ(ring.notice(), 0U);
    EXPECT_EQ(take(ring, 0, 10), 0U);
    EXPECT_FALSE(ring.arrived());
    ring.publish();
    EXPECT_TRUE(ring.arrived());
    stage(ring, 3, 2);
    EXPECT_EQ(ring.unpublished(), 2U);
    EXPECT_EQ(take(ring, 0, 10), 0U) << "published, but the consumer has not looked";
    EXPECT_TRUE(ring.empty());
    EXPECT_EQ(ring.notice(), 3U);
    EXPECT_EQ(ring.notice(), 0U);
    EXPECT_EQ(ring.noticed(), 3U);
    EXPECT_FALSE(ring.empty());
    EXPECT_EQ(take(ring, 0, 10), 3U);
    EXPECT_TRUE(ring.empty());
    ring.publish();
    EXPECT_EQ(ring.unpublished(), 0U);
    EXPECT_EQ(ring.notice(), 2U);
    EXPECT_EQ(take(ring, 3, 10), 2U);
}

TEST(SpscRing, KeepsTheOrderOverManyLaps) {
    test::Random random(test::stress_seed());
    for (const auto capacity : test::ring_capacities) {
        SCOPED_TRACE(capacity);
        SpscRing ring(capacity);
        std::uint64_t put = 0;
        std::uint64_t published = 0;
        std::uint64_t noticed = 0;
        std::uint64_t got = 0;
        while (got < 50 * capacity + 1000) {
            const std::size_t wanted = random.below(static_cast<std::uint32_t>(2 * capacity + 1));
            const auto room = ring.room(wanted);
            ASSERT_EQ(room, std::min<std::uint64_t>(wanted, capacity - (put - got)));
            stage(ring, put, room);
            put += room;
            if (random.one_in(2)) {
                ring.publish();
                published = put;
            }
            if (random.one_in(2)) {
                ASSERT_EQ(ring.notice(), published - noticed);
                noticed = published;
            }
            const std::size_t most = random.below(static_cast<std::uint32_t>(capacity + 1));
            const auto taken = take(ring, got, most);
            ASSERT_EQ(taken, std::min<std::uint64_t>(most, noticed - got));
            got += taken;
            ASSERT_EQ(ring.empty(), noticed == got);
        }
    }
}

TEST(SpscRing, BetweenTwoThreadsKeepsBoundAndOrder) {
    for (const auto capacity : test::ring_capacities) {
        SCOPED_TRACE(capacity);
        const std::uint64_t items = test::scaled(400'000, 10'000);
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);  // On a busy machine.
        std::atomic<std::uint64_t> last{~std::uint64_t{0}};  // How many the producer has put, once it is known.
        SpscRing ring(capacity);
        std::thread producer([&] {
            test::Random random(test::stress_seed() + 1);
            std::uint64_t put = 0;
            while (put < items && std::chrono::steady_clock::now() < end) {
                const auto room = ring.room(std::min<std::uint64_t>(items - put, 1 + random.below(40)));
                stage(ring, put, room);
                put += room;
                if (room == 0 || random.one_in(3)) {
                    ring.publish();
                }
                if (room == 0) {
                    std::this_thread::yield();
                }
            }
            ring.publish();
            last = put;
        });
        test::Random random(test::stress_seed() + 2);
        std::uint64_t got = 0;
        std::uint64_t wrong = 0;
        while (got < last) {
            const auto before = ring.noticed();
            const auto fresh = ring.notice();
            wrong += ring.noticed() - got > capacity || ring.noticed() != before + fresh ? 1 : 0;
            const auto most = 1 + random.below(static_cast<std::uint32_t>(capacity));
            const auto taken =
                ring.take(most, [&](std::size_t, std::uint64_t item) { wrong += item != got++ ? 1 : 0; });
            if (taken == 0) {
                std::this_thread::yield();
            }
        }
        producer.join();
        EXPECT_EQ(wrong, 0U);
    }
}

TEST(SpscRing, APublishThatMeetsALookIsSeenByItOrByTheNext) {
    std::unique_ptr<SpscRing> ring;
    std::uint64_t seen = 0;
    int wrong = 0;
    const auto look = [&](RandomSource& random) {
        test::jitter(random, 6);
        seen = ring->notice();
    };
    const auto publish = [&](RandomSource& random) {
        test::jitter(random, 6);
        stage(*ring, 0, 2);
        ring->publish();
        stage(*ring, 2, 1);
    };
    // The look may come between the first word and the index, and then it sees one of the two.
    const auto check = [&] { wrong += seen + ring->notice() != 2 || take(*ring, 0, 3) != 2 ? 1 : 0; };
    const auto prepare = [&] { ring = std::make_unique<SpscRing>(3); };
    test::race(test::scaled(20'000, 2'000), prepare, look, {publish}, check);
    EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace spargio::detail
