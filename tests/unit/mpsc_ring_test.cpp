// SPDX-License-Identifier: MIT
// Tests of the queue from many threads to one: the bound, reservations and gaps, the order, closing.
#include "mpsc_ring.hpp"

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

struct Numbered {
    std::uint32_t producer;
    std::uint32_t number;
};

using Ring = MpscRing<Numbered>;

/// How many of `wanted` were free; they are filled with the numbers of their positions.
std::size_t put(Ring& ring, std::size_t wanted) {
    const auto reserved = ring.reserve(wanted);
    if (!reserved) {
        return 0;
    }
    for (std::size_t i = 0; i < reserved->count; ++i) {
        ring.fill(reserved->first + i, Numbered{0, static_cast<std::uint32_t>(reserved->first + i)});
    }
    return reserved->count;
}

/// Takes `most` at most, and checks that they count up from `first`.
std::size_t take(Ring& ring, std::uint64_t first, std::size_t most) {
    std::vector<Numbered> out(most);
    const auto taken = ring.take(out.data(), most);
    for (std::size_t i = 0; i < taken; ++i) {
        EXPECT_EQ(out[i].number, first + i);
    }
    return taken;
}

TEST(MpscRing, StartsEmpty) {
    Ring ring(3);
    EXPECT_EQ(ring.notice(), 0U);
    EXPECT_TRUE(ring.empty());
    EXPECT_EQ(ring.reserved(), 0U);
    EXPECT_EQ(take(ring, 0, 3), 0U);
}

TEST(MpscRing, HoldsExactlyItsCapacity) {
    for (const auto capacity : test::ring_capacities) {
        SCOPED_TRACE(capacity);
        Ring ring(capacity);
        for (std::size_t i = 0; i < capacity; ++i) {
            ASSERT_EQ(put(ring, 1), 1U);
        }
        EXPECT_EQ(put(ring, 1), 0U);
        EXPECT_EQ(ring.notice(), capacity);
        EXPECT_EQ(put(ring, 1), 0U) << "a look makes no room";
        EXPECT_EQ(take(ring, 0, 1), 1U);
        EXPECT_EQ(put(ring, 2), 1U);
        EXPECT_EQ(put(ring, 1), 0U);
        EXPECT_EQ(ring.notice(), 1U);
        EXPECT_EQ(take(ring, 1, capacity + 1), capacity);
        EXPECT_EQ(put(ring, capacity + 1), capacity);
        EXPECT_EQ(ring.reserved(), 2 * capacity + 1);
    }
}

TEST(MpscRing, ReservesAsManyAsAreFree) {
    Ring ring(100);
    const auto first = ring.reserve(97);
    ASSERT_TRUE(first.has_value());
    EXPECT_EQ(first->first, 0U);
    EXPECT_EQ(first->count, 97U);
    const auto second = ring.reserve(7);
    ASSERT_TRUE(second.has_value());
    EXPECT_EQ(second->first, 97U);
    EXPECT_EQ(second->count, 3U);
    const auto none = ring.reserve(1);
    ASSERT_TRUE(none.has_value()) << "full is not closed";
    EXPECT_EQ(none->count, 0U);
}

TEST(MpscRing, AGapHoldsBackWhatIsBehindIt) {
    Ring ring(3);
    const auto slow = ring.reserve(1);
    const auto fast = ring.reserve(2);
    ASSERT_TRUE(slow && fast);
    ring.fill(fast->first, Numbered{1, 1});
    ring.fill(fast->first + 1, Numbered{1, 2});
    EXPECT_EQ(ring.notice(), 0U);
    EXPECT_EQ(take(ring, 0, 3), 0U);
    ring.fill(slow->first, Numbered{0, 0});
    EXPECT_EQ(ring.notice(), 3U);
    EXPECT_EQ(take(ring, 0, 3), 3U);
    // The same in a later lap, in the middle of a reservation.
    const auto next = ring.reserve(3);
    ASSERT_TRUE(next && next->count == 3);
    ring.fill(next->first, Numbered{0, 3});
    ring.fill(next->first + 2, Numbered{0, 5});
    EXPECT_EQ(ring.notice(), 1U);
    EXPECT_EQ(take(ring, 3, 3), 1U);
    ring.fill(next->first + 1, Numbered{0, 4});
    EXPECT_EQ(ring.notice(), 2U);
    EXPECT_EQ(take(ring, 4, 3), 2U);
}

TEST(MpscRing, ClosedItRefusesNewReservationsAndKeepsOldOnes) {
    Ring ring(3);
    EXPECT_EQ(put(ring, 1), 1U);
    const auto before = ring.reserve(1);
    ASSERT_TRUE(before.has_value());
    EXPECT_EQ(ring.close(), 2U);
    EXPECT_EQ(ring.close(), 2U);
    EXPECT_FALSE(ring.reserve(1).has_value());
    EXPECT_EQ(ring.reserved(), 2U);
    ring.fill(before->first, Numbered{0, 1});
    EXPECT_EQ(ring.notice(), 2U);
    EXPECT_EQ(take(ring, 0, 3), 2U);
    EXPECT_FALSE(ring.reserve(1).has_value()) << "room does not open it";
}

TEST(MpscRing, AFullOneThatIsClosedIsClosed) {
    Ring ring(1);
    EXPECT_EQ(put(ring, 1), 1U);
    ring.close();
    EXPECT_FALSE(ring.reserve(1).has_value());
}

TEST(MpscRing, KeepsTheOrderOverManyLaps) {
    test::Random random(test::stress_seed());
    for (const auto capacity : test::ring_capacities) {
        SCOPED_TRACE(capacity);
        Ring ring(capacity);
        std::uint64_t in = 0;
        std::uint64_t noticed = 0;
        std::uint64_t out = 0;
        while (out < 50 * capacity + 1000) {
            const std::size_t wanted = random.below(static_cast<std::uint32_t>(2 * capacity + 1));
            const auto taken_in = put(ring, wanted);
            ASSERT_EQ(taken_in, std::min<std::uint64_t>(wanted, capacity - (in - out)));
            in += taken_in;
            if (random.one_in(2)) {
                ASSERT_EQ(ring.notice(), in - noticed);
                noticed = in;
            }
            const std::size_t most = random.below(static_cast<std::uint32_t>(capacity + 1));
            const auto taken = take(ring, out, most);
            ASSERT_EQ(taken, std::min<std::uint64_t>(most, noticed - out));
            out += taken;
            ASSERT_EQ(ring.empty(), noticed == out);
        }
    }
}

TEST(MpscRing, KeepsEachProducersOrderAndLosesNothing) {
    constexpr std::uint32_t kProducers = 3;
    for (const auto capacity : test::ring_capacities) {
        SCOPED_TRACE(capacity);
        const std::uint32_t items = test::scaled(100'000, 3'000);                            // Of each producer,
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);  // fewer on a busy machine.
        std::atomic<std::uint32_t> busy{kProducers};
        Ring ring(capacity);
        std::vector<std::thread> producers;
        for (std::uint32_t producer = 0; producer < kProducers; ++producer) {
            producers.emplace_back([&, producer] {
                test::Random random(test::stress_seed() + producer);
                for (std::uint32_t next = 0; next < items && std::chrono::steady_clock::now() < end;) {
                    const auto reserved = ring.reserve(std::min(items - next, 1 + random.below(5)));
                    for (std::size_t i = 0; i < reserved->count; ++i) {
                        ring.fill(reserved->first + i, Numbered{producer, next++});
                    }
                    if (reserved->count == 0) {
                        std::this_thread::yield();
                    }
                }
                --busy;
            });
        }
        std::array<std::uint32_t, kProducers> next{};
        std::vector<Numbered> out(capacity);
        std::uint64_t got = 0;
        std::uint64_t wrong = 0;
        while (busy != 0 || got < ring.reserved()) {
            ring.notice();
            wrong += ring.noticed() - got > capacity ? 1 : 0;
            const auto taken = ring.take(out.data(), capacity);
            for (std::size_t i = 0; i < taken; ++i) {
                wrong += out[i].number != next[out[i].producer]++ ? 1 : 0;
            }
            got += taken;
            if (taken == 0) {
                std::this_thread::yield();
            }
        }
        for (auto& producer : producers) {
            producer.join();
        }
        EXPECT_EQ(wrong, 0U);
        EXPECT_EQ(ring.reserved(), got);
        EXPECT_EQ(ring.notice(), 0U);
    }
}

TEST(MpscRing, OfThoseThatMeetAtTheLastSlotOneGetsIt) {
    std::unique_ptr<Ring> ring;
    std::array<std::size_t, 2> got{};
    int wrong = 0;
    const auto reserve = [&](std::size_t number) {
        return [&ring, &got, number](RandomSource& random) {
            test::jitter(random, 4);
            got[number] = ring->reserve(2)->count;
        };
    };
    const auto prepare = [&] {
        ring = std::make_unique<Ring>(3);
        static_cast<void>(put(*ring, 2));
    };
    const auto check = [&] { wrong += got[0] + got[1] != 1 || ring->reserved() != 3 ? 1 : 0; };
    test::race(test::scaled(20'000, 2'000), prepare, reserve(0), {reserve(1)}, check);
    EXPECT_EQ(wrong, 0);
}

TEST(MpscRing, WhatIsReservedBeforeAConcurrentCloseIsAllThatEverIs) {
    std::unique_ptr<Ring> ring;
    std::size_t accepted = 0;
    std::uint64_t at_close = 0;
    bool reopened = false;
    int wrong = 0;
    const auto put_all = [&](RandomSource& random) {
        accepted = 0;
        reopened = false;
        bool refused = false;
        for (int i = 0; i < 30; ++i) {
            test::jitter(random, 1);
            const auto taken_in = put(*ring, 1 + random.below(2));
            refused |= taken_in == 0;
            reopened |= refused && taken_in != 0;
            accepted += taken_in;
        }
    };
    const auto close = [&](RandomSource& random) {
        test::jitter(random, 40);
        at_close = ring->close();
    };
    const auto check = [&] {
        wrong += at_close != accepted || ring->reserved() != accepted || reopened ? 1 : 0;
        wrong += ring->notice() != accepted ? 1 : 0;
    };
    const auto prepare = [&] { ring = std::make_unique<Ring>(64); };
    test::race(test::scaled(10'000, 2'000), prepare, close, {put_all}, check);
    EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace spargio::detail
