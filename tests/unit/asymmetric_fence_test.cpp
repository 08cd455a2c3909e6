// SPDX-License-Identifier: MIT
// Tests of the fence that an owner leaves out while nobody seeks: its states, refusals, and a deque under it in races.
#include "asymmetric_fence.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "membarrier.hpp"
#include "queues.hpp"
#include "spargio/detail/seams.hpp"
#include "steal_deque.hpp"
#include "support/stress.hpp"

namespace spargio::detail {
namespace {

using Policy = AsymmetricFence::Policy;

bool nobody() {
    return true;
}
bool somebody() {
    return false;
}
bool granted() {
    return true;
}
bool refused() {
    return false;
}

TEST(AsymmetricFence, BeginsWithOwnersThatFence) {
    AsymmetricFence fence(Policy::Adaptive);
    EXPECT_FALSE(fence.look().light());
    EXPECT_FALSE(fence.look().changing());
    int barriers = 0;
    EXPECT_TRUE(fence.begin([&] { return ++barriers != 0; }));
    EXPECT_EQ(barriers, 0) << "nobody has left a fence out";
}

TEST(AsymmetricFence, IsLightFromAnOfferWithoutSeekersToTheNextSeeker) {
    AsymmetricFence fence(Policy::Adaptive);
    for (int round = 0; round < 3; ++round) {
        fence.offer(somebody);
        EXPECT_FALSE(fence.look().light());
        fence.offer(nobody);
        EXPECT_TRUE(fence.look().light());
        int barriers = 0;
        EXPECT_TRUE(fence.begin([&] {
            EXPECT_TRUE(fence.look().changing()) << "owners have to fence before the barrier comes";
            return ++barriers != 0;
        }));
        EXPECT_EQ(barriers, 1);
        EXPECT_FALSE(fence.look().light());
        EXPECT_FALSE(fence.look().changing());
        EXPECT_TRUE(fence.begin([&] { return ++barriers != 0; }));
        EXPECT_EQ(barriers, 1) << "once is enough";
    }
}

TEST(AsymmetricFence, AnOfferThatMeetsASeekerIsNone) {
    AsymmetricFence fence(Policy::Adaptive);
    int barriers = 0;
    fence.offer([&] {
        EXPECT_FALSE(fence.look().light()) << "not before it is known that nobody seeks";
        EXPECT_TRUE(fence.begin([&] { return ++barriers != 0; }));
        return true;  // It has looked before.
    });
    EXPECT_FALSE(fence.look().light());
    fence.offer(nobody);
    EXPECT_TRUE(fence.look().light()) << "the next offer is as good as any";
}

TEST(AsymmetricFence, AnOldOfferDoesNotTakeEffectInANewRound) {
    AsymmetricFence fence(Policy::Adaptive);
    std::promise<void> offered;
    std::promise<void> may_end;
    std::thread slow([&] {
        fence.offer([&] {
            offered.set_value();
            may_end.get_future().wait();
            return true;
        });
    });
    offered.get_future().wait();
    EXPECT_TRUE(fence.begin(granted));
    fence.offer([&] {
        // The state is the one that the first offer has left, but the offer is another.
        may_end.set_value();
        slow.join();
        EXPECT_FALSE(fence.look().light());
        return false;
    });
    EXPECT_FALSE(fence.look().light());
}

TEST(AsymmetricFence, ARefusedBarrierLeavesOwnersFencing) {
    AsymmetricFence fence(Policy::Adaptive);
    StealDeque deque(4, fence);
    std::array<WorkItem, 2> items{WorkItem(nullptr), WorkItem(nullptr)};
    fence.offer(nobody);
    EXPECT_TRUE(deque.push(&items[0]));
    EXPECT_FALSE(fence.begin(refused));
    EXPECT_FALSE(fence.begin(refused)) << "the next one has to pass it too";
    EXPECT_TRUE(fence.look().changing());
    fence.offer(nobody);
    EXPECT_TRUE(fence.look().changing()) << "no offer while somebody waits for a barrier";
    EXPECT_NE(deque.acknowledged(), fence.pending()) << "the owner has not touched its deque since";
    EXPECT_TRUE(deque.push(&items[1]));
    EXPECT_EQ(deque.acknowledged(), fence.pending());
    EXPECT_EQ(deque.steal(), &items[0]);
    EXPECT_TRUE(fence.begin(granted)) << "refused for want of memory, for once";
    EXPECT_FALSE(fence.look().changing());
    fence.offer(nobody);
    EXPECT_FALSE(fence.begin(refused));
    EXPECT_NE(deque.acknowledged(), fence.pending()) << "what it has acknowledged was another round";
    EXPECT_EQ(deque.pop(), &items[1]);
    EXPECT_EQ(deque.acknowledged(), fence.pending()) << "a pop does so as well";
}

TEST(AsymmetricFence, WithoutTheBarrierOwnersAlwaysFence) {
    AsymmetricFence fence(Policy::Symmetric);
    fence.offer(nobody);
    EXPECT_FALSE(fence.look().light());
    EXPECT_TRUE(fence.begin(refused)) << "there is nothing to wait for";
}

TEST(AsymmetricFence, AloneItIsAlwaysLight) {
    AsymmetricFence fence(Policy::Light);
    EXPECT_TRUE(fence.begin(refused));
    EXPECT_TRUE(fence.look().light());
}

using test::Item;

/// An owner that offers whenever it may, against thieves that seek from time to time, on the machine's own memory.
void race_light_owner(std::size_t thieves, bool barrier_works) {
    const std::size_t count = test::scaled(400'000, 20'000);
    // On a busy machine, where it takes some time until none of the thieves seeks while the owner looks.
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
    const auto patience = end + std::chrono::seconds(20);
    AsymmetricFence fence(Policy::Adaptive);
    StealDeque deque(8, fence);
    std::vector<Item> items(count);
    std::vector<atomic<std::uint8_t>> found(count);
    std::vector<atomic<bool>> seeks(thieves);
    atomic<bool> over{false};
    atomic<std::uint64_t> light{0};
    const auto take = [&](WorkItem* item) {
        found[static_cast<Item*>(item)->id].fetch_add(1, std::memory_order_relaxed);
    };
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < thieves; ++i) {
        threads.emplace_back([&, i, random = test::Random(test::stress_seed() + i)]() mutable {
            while (!over.load()) {
                seeks[i].exchange(true, std::memory_order_seq_cst);
                // Where the barrier is refused it works now and then, so that there are more rounds than one.
                const bool works = barrier_works || random.one_in(4);
                if (fence.begin([&] { return works && membarrier_all(); }) || deque.acknowledged() == fence.pending()) {
                    for (auto tries = 1 + random.below(4); tries != 0; --tries) {
                        if (WorkItem* item = deque.steal()) {
                            take(item);
                        }
                    }
                }
                seeks[i].store(false, std::memory_order_release);
                for (auto pause = random.below(400); pause != 0; --pause) {
                    cpu_relax();
                }
            }
        });
    }
    test::Random random(test::stress_seed());
    std::size_t pushed = 0;
    for (auto now = std::chrono::steady_clock::now();
         (pushed < count && now < end) || (light.load() == 0 && now < patience);
         now = std::chrono::steady_clock::now()) {
        fence.offer([&] {
            bool none = true;
            for (const auto& seeker : seeks) {
                none = none && !seeker.load(std::memory_order_seq_cst);
            }
            return none;
        });
        light.fetch_add(fence.look().light() ? 1 : 0);
        for (auto pushes = random.below(4); pushes != 0 && pushed < count; --pushes) {
            items[pushed].id = pushed;
            if (!deque.push(&items[pushed])) {
                break;
            }
            ++pushed;
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
    while (WorkItem* item = deque.pop()) {
        take(item);
    }
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < count; ++i) {
        wrong += found[i].load() != (i < pushed ? 1 : 0) ? 1 : 0;
    }
    EXPECT_EQ(wrong, 0U);
    EXPECT_EQ(deque.taken(), pushed);
    EXPECT_NE(light.load(), 0U) << "the mode that this is about was never on";
}

TEST(AsymmetricFenceRace, EachItemIsTakenOnce) {
    if (!membarrier_is_there()) {
        GTEST_SKIP() << "membarrier(2) is not available";
    }
    for (const std::size_t thieves : {1U, 2U}) {
        SCOPED_TRACE(thieves);
        race_light_owner(thieves, true);
    }
}

TEST(AsymmetricFenceRace, EachItemIsTakenOnceWhereTheBarrierIsOftenRefused) {
    if (!membarrier_is_there()) {
        GTEST_SKIP() << "membarrier(2) is not available";
    }
    race_light_owner(1, false);
}

}  // namespace
}  // namespace spargio::detail
