// SPDX-License-Identifier: MIT
// Tests of the memory for task blocks: reuse, frees on other threads, ends of threads, bounds.
#include "spargio/detail/frame_pool.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <semaphore>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "support/allocations.hpp"

namespace spargio::detail {
namespace {

using test::allocations;

// What a thread may keep of one size, and what all threads together may keep in the shared store.
constexpr std::uint64_t kOfThread = 2 * pool_batch;
constexpr std::uint64_t most_in_store(std::size_t bytes) {
    return pool_max_shared_bytes / bytes;
}

void free_all(std::vector<void*>& blocks, std::size_t bytes) {
    for (void* block : blocks) {
        pool_free(block, bytes);
    }
    blocks.clear();
}

TEST(FramePool, GivesAlignedBlocksOfEverySizeThatDoNotOverlap) {
    std::vector<std::pair<unsigned char*, std::size_t>> blocks;
    for (std::size_t bytes = 16; bytes <= pool_max_block + 600; ++bytes) {
        auto* block = static_cast<unsigned char*>(pool_allocate(bytes));
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 16, 0U);
        std::memset(block, static_cast<int>(bytes % 251), bytes);
        blocks.emplace_back(block, bytes);
    }
    std::size_t damaged = 0;
    for (const auto& [block, bytes] : blocks) {
        for (std::size_t i = 0; i < bytes; ++i) {
            damaged += block[i] != bytes % 251 ? 1 : 0;
        }
        pool_free(block, bytes);
    }
    EXPECT_EQ(damaged, 0U);
}

TEST(FramePool, TheLastBlockFreedIsTheNextGiven) {
    if (SPARGIO_ASAN) {
        GTEST_SKIP() << "with AddressSanitizer the pool passes each call on";
    }
    void* first = pool_allocate(200);
    pool_free(first, 200);
    void* second = pool_allocate(200);
    EXPECT_EQ(second, first);
    void* third = pool_allocate(200);
    EXPECT_NE(third, second);
    pool_free(second, 200);
    pool_free(third, 200);
}

TEST(FramePool, AskedForTheSameAgainAllocatesNothing) {
    if (!test::allocations_are_counted) {
        GTEST_SKIP() << "a sanitizer has its own allocator";
    }
    std::vector<void*> blocks;
    blocks.reserve(pool_batch);
    std::uint64_t before = 0;
    for (int round = 0; round < 100; ++round) {
        for (std::size_t i = 0; i < pool_batch; ++i) {
            blocks.push_back(pool_allocate(300));
        }
        free_all(blocks, 300);
        before = round == 0 ? allocations() : before;
    }
    EXPECT_EQ(allocations(), before);
}

TEST(FramePool, LargeBlocksComeFromTheAllocator) {
    if (!test::allocations_are_counted) {
        GTEST_SKIP() << "a sanitizer has its own allocator";
    }
    for (int round = 0; round < 3; ++round) {
        const auto before = allocations();
        void* block = pool_allocate(pool_max_block + 1);
        EXPECT_EQ(allocations(), before + 1);
        pool_free(block, pool_max_block + 1);
    }
}

TEST(FramePool, AThreadThatOnlyFreesKeepsABoundedNumber) {
    if (!test::allocations_are_counted) {
        GTEST_SKIP() << "a sanitizer has its own allocator";
    }
    constexpr std::uint64_t kBlocks = 20'000;
    static_assert(kBlocks > kOfThread + most_in_store(400));
    std::vector<void*> blocks;
    blocks.reserve(kBlocks);
    const auto allocate = [&blocks] {
        const auto before = allocations();
        for (std::uint64_t i = 0; i < kBlocks; ++i) {
            blocks.push_back(pool_allocate(400));
        }
        return allocations() - before;
    };
    allocate();
    for (int round = 0; round < 4; ++round) {
        free_all(blocks, 400);
        const auto kept = kBlocks - allocate();
        EXPECT_GE(kept, pool_batch);
        EXPECT_LE(kept, kOfThread + most_in_store(400));
    }
    free_all(blocks, 400);
}

TEST(FramePool, BlocksFreedOnAnotherThreadComeBack) {
    if (!test::allocations_are_counted) {
        GTEST_SKIP() << "a sanitizer has its own allocator";
    }
    constexpr std::size_t kBytes = 500;
    constexpr int kRounds = 50;
    constexpr int kBlocks = 500;
    std::vector<void*> blocks;
    blocks.reserve(kBlocks);
    std::binary_semaphore full(0);
    std::binary_semaphore empty(0);
    std::thread frees([&] {
        for (int round = 0; round < kRounds; ++round) {
            full.acquire();
            free_all(blocks, kBytes);
            empty.release();
        }
    });
    const auto before = allocations();
    for (int round = 0; round < kRounds; ++round) {
        for (int i = 0; i < kBlocks; ++i) {
            blocks.push_back(pool_allocate(kBytes));
        }
        full.release();
        empty.acquire();
    }
    frees.join();
    // The first round's, what the other thread holds back, and a few for the thread itself.
    EXPECT_LE(allocations() - before, kBlocks + kOfThread + 8);
}

/// Uses two batches of 700 bytes, and gives back how many of them the allocator had to make.
std::uint64_t use_two_batches() {
    std::vector<void*> blocks;
    blocks.reserve(2 * pool_batch);
    const auto before = allocations();
    for (std::size_t i = 0; i < 2 * pool_batch; ++i) {
        blocks.push_back(pool_allocate(700));
    }
    const auto made = allocations() - before;
    free_all(blocks, 700);
    return made;
}

TEST(FramePool, AThreadThatEndsLeavesABatchForOthers) {
    if (!test::allocations_are_counted) {
        GTEST_SKIP() << "a sanitizer has its own allocator";
    }
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    std::thread([&] { first = use_two_batches(); }).join();
    std::thread([&] { second = use_two_batches(); }).join();
    EXPECT_GE(first, 2 * pool_batch);
    EXPECT_LE(second, first - pool_batch);
}

// A thread-local object that is made before the pool's own is destroyed after it.
struct FreesLate {
    ~FreesLate() {
        if (block != nullptr) {
            pool_free(block, 250);
            void* another = pool_allocate(250);
            *freed = another != nullptr;
            pool_free(another, 250);
        }
    }
    void* block = nullptr;
    bool* freed = nullptr;
};

TEST(FramePool, WorksWhileAThreadsObjectsAreDestroyed) {
    bool freed = false;
    std::thread([&freed] {
        thread_local FreesLate late;
        late.freed = &freed;
        late.block = pool_allocate(250);
        pool_free(pool_allocate(250), 250);  // Opens this thread's lists, which end before `late`.
    }).join();
    EXPECT_TRUE(freed);
}

TEST(FramePool, ManyThreadsHandBlocksRound) {
    constexpr std::size_t kThreads = 4;
    constexpr std::size_t kBlocks = 200;
    constexpr int kRounds = 30;
    // Each thread frees what its neighbour allocated in the round before.
    std::vector<std::vector<unsigned char*>> held(kThreads);
    std::atomic<int> damaged{0};
    for (int round = 0; round < kRounds; ++round) {
        std::vector<std::vector<unsigned char*>> made(kThreads);
        std::vector<std::thread> threads;
        for (std::size_t t = 0; t < kThreads; ++t) {
            threads.emplace_back([&, t] {
                const auto stamp = static_cast<unsigned char>(1 + t + static_cast<std::size_t>(round) * kThreads);
                for (std::size_t i = 0; i < kBlocks; ++i) {
                    made[t].push_back(static_cast<unsigned char*>(pool_allocate(160)));
                    std::memset(made[t].back(), stamp, 160);
                    if (!held[t].empty()) {
                        unsigned char* other = held[t].back();
                        held[t].pop_back();
                        damaged += other[0] != other[159] ? 1 : 0;
                        pool_free(other, 160);
                    }
                }
                for (unsigned char* mine : made[t]) {
                    damaged += mine[0] != stamp || mine[159] != stamp ? 1 : 0;
                }
            });
        }
        for (auto& thread : threads) {
            thread.join();
        }
        for (std::size_t t = 0; t < kThreads; ++t) {
            held[(t + 1) % kThreads] = std::move(made[t]);
        }
    }
    for (auto& blocks : held) {
        for (unsigned char* block : blocks) {
            pool_free(block, 160);
        }
    }
    EXPECT_EQ(damaged.load(), 0);
}

}  // namespace
}  // namespace spargio::detail
