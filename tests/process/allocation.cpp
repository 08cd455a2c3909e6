// SPDX-License-Identifier: MIT
// What a spawn allocates, counted in operator new: one block, and none when the pool is warm. The count is of the whole
// program, so it has one of its own.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"

#if SPARGIO_ASAN || SPARGIO_TSAN
#include <sanitizer/allocator_interface.h>
#endif

namespace {

std::atomic<std::uint64_t> blocks_allocated{0};

}  // namespace

#if SPARGIO_ASAN || SPARGIO_TSAN

// A sanitizer brings its own operator new, and tells of every block.
static void count_block(const volatile void*, std::size_t) {
    blocks_allocated.fetch_add(1, std::memory_order_relaxed);
}
static void ignore_block(const volatile void*) {}
static const int counting = __sanitizer_install_malloc_and_free_hooks(count_block, ignore_block);

#else

#include "support/replaced_new.hpp"

void before_allocation() {
    blocks_allocated.fetch_add(1, std::memory_order_relaxed);
}

#endif

namespace spargio::test {
namespace {

constexpr std::size_t mebibyte = std::size_t{1024} * 1024;

// Under AddressSanitizer each frame goes to the allocator, so that a use after free is seen.
constexpr std::uint64_t blocks_of_a_warm_frame = SPARGIO_ASAN;

/// Blocks that were allocated since it was made.
class BlockCount {
public:
    [[nodiscard]] std::uint64_t now() const noexcept {
        return blocks_allocated.load(std::memory_order_relaxed) - before_;
    }

private:
    const std::uint64_t before_ = blocks_allocated.load(std::memory_order_relaxed);
};

Task<int> one() {
    co_return 1;
}

__attribute__((noinline)) void use(char* bytes, std::size_t count) {
    bytes[count - 1] = bytes[0] = 1;
}

/// A frame beyond what the pool keeps.
Task<int> huge() {
    char local[100'000];
    use(local, sizeof local);
    co_await yield();
    use(local, sizeof local);
    co_return local[0];
}

/// What `rounds` rounds of spawn and join have allocated.
struct Spawned {
    std::uint64_t blocks;
    std::uint64_t sum;
};

template <class Spawn>
Task<Spawned> spawn_and_join(unsigned rounds, Spawn spawn) {
    const BlockCount blocks;
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < rounds; ++i) {
        auto child = spawn();
        sum += static_cast<std::uint64_t>(co_await std::move(child));
    }
    co_return Spawned{blocks.now(), sum};
}

class Allocation : public BackendTest {
protected:
    /// Spawns on shard 0, after a warm-up, and expects so many blocks a spawn.
    template <class Spawn>
    static void expect_blocks(const Runtime& runtime, unsigned rounds, std::uint64_t each, Spawn spawn) {
        static_cast<void>(runtime.handle().spawn_pinned(0, spawn_and_join(1000, spawn)).get());
        expect_in_three_attempts(each * rounds, [&] {
            const auto spawned = runtime.handle().spawn_pinned(0, spawn_and_join(rounds, spawn)).get();
            EXPECT_EQ(spawned.sum, rounds);
            return spawned.blocks;
        });
    }

    /// The count is the process's: on a busy machine a thread that starts late adds its own, once.
    template <class Blocks>
    static void expect_in_three_attempts(std::uint64_t expected, Blocks blocks) {
        auto counted = blocks();
        for (int again = 0; again < 2 && counted > expected; ++again) {
            counted = blocks();
        }
        EXPECT_EQ(counted, expected);
    }

    Watchdog watchdog_{"allocation"};
};

TEST_P(Allocation, ALocalSpawnTakesItsFrameFromThePool) {
    const auto owner = runtime(1);
    const auto spawn = [] { return ShardCtx::current()->spawn_local(one()); };
    expect_blocks(owner, scaled(6'100'000, 300'000), blocks_of_a_warm_frame, spawn);
}

TEST_P(Allocation, ASpawnOfAPlainCallableIsOneFrame) {
    const auto owner = runtime(1);
    const auto spawn = [runtime = owner.handle()] { return runtime.spawn_pinned(0, [] { return 1; }); };
    expect_blocks(owner, scaled(1'000'000, 100'000), blocks_of_a_warm_frame, spawn);
}

TEST_P(Allocation, ASpawnOfACoroutineCallableIsTwoFrames) {
    const auto owner = runtime(1);
    const auto spawn = [runtime = owner.handle()] { return runtime.spawn_round_robin([] { return one(); }); };
    expect_blocks(owner, scaled(1'000'000, 100'000), 2 * blocks_of_a_warm_frame, spawn);
}

TEST_P(Allocation, AStealableSpawnTakesItsFrameFromThePool) {
    const auto owner = runtime(1);
    const auto spawn = [runtime = owner.handle()] { return runtime.spawn_stealable(one()); };
    expect_blocks(owner, scaled(1'000'000, 100'000), blocks_of_a_warm_frame, spawn);
}

TEST_P(Allocation, ASpawnTooLargeForThePoolIsOneBlock) {
    const auto owner = runtime(1);
    const auto spawn = [runtime = owner.handle()] { return runtime.spawn_pinned(0, huge()); };
    expect_blocks(owner, 1000, 1, spawn);
}

TEST_P(Allocation, AwaitsSleepsAndYieldsAllocateFramesOnly) {
    const auto owner = runtime(1);
    auto work = [](unsigned rounds) -> Task<std::uint64_t> {
        const BlockCount blocks;
        for (unsigned i = 0; i < rounds; ++i) {
            static_cast<void>(co_await one());
            co_await yield();
            static_cast<void>(co_await sleep_for(std::chrono::microseconds(1)));
            static_cast<void>(co_await resume_on(0));
        }
        co_return blocks.now();
    };
    static_cast<void>(owner.handle().spawn_pinned(0, work(100)).get());
    expect_in_three_attempts(1000 * blocks_of_a_warm_frame,
                             [&] { return owner.handle().spawn_pinned(0, work(1000)).get(); });
}

TEST_P(Allocation, AForeignSpawnThatIsJoinedAllocatesNothingWhenWarm) {
    const auto owner = runtime(2);
    const unsigned rounds = scaled(100'000, 10'000);
    const auto blocks_of = [&](unsigned spawns) {
        const BlockCount blocks;
        for (unsigned i = 0; i < spawns; ++i) {
            EXPECT_EQ(owner.handle().spawn_pinned(static_cast<ShardId>(i % 2), one()).get(), 1);
        }
        return blocks.now();
    };
    static_cast<void>(blocks_of(1000));
    expect_in_three_attempts(rounds * blocks_of_a_warm_frame, [&] { return blocks_of(rounds); });
}

/// Made on shard 0, freed on shard 1: the frames must come back.
TEST_P(Allocation, FramesThatEndOnAnotherShardComeBack) {
    const auto owner = runtime(2);
    const auto handle = owner.handle();
    constexpr unsigned wave = 1000;
    const unsigned waves = scaled(800, 50);
    auto produce = [handle](unsigned count) -> Task<> {
        for (unsigned i = 0; i < count; ++i) {
            for (unsigned k = 1; k < wave; ++k) {
                handle.spawn_pinned(1, one()).detach();
            }
            auto last = handle.spawn_pinned(1, one());
            static_cast<void>(co_await std::move(last));
        }
    };
    handle.spawn_pinned(0, produce(100)).get();
    const auto memory = resident_bytes();
    const BlockCount blocks;
    handle.spawn_pinned(0, produce(waves)).get();
    if (blocks_of_a_warm_frame == 0) {
        // A wave may be in flight as a whole now, and none may have been before; and a shard that loses its CPU while
        // it has the pool's lock sends the other to the allocator.
        EXPECT_LE(blocks.now(), 4 * wave + std::uint64_t{waves} * wave / 100);
    }
    if (!sanitized) {
        EXPECT_LE(resident_bytes(), memory + 2 * mebibyte);
    }
}

/// The same with a thread that comes and goes, and so leaves its pool behind.
TEST_P(Allocation, FramesOfThreadsThatEndComeBack) {
    const auto owner = runtime(1);
    const auto produce = [&owner](unsigned threads) {
        for (unsigned i = 0; i < threads; ++i) {
            std::thread spawner([&owner] {
                for (int k = 0; k < 500; ++k) {
                    owner.handle().spawn_pinned(0, one()).detach();
                }
                finish_step(owner.handle(), 0);
            });
            spawner.join();
        }
    };
    produce(100);
    const auto memory = resident_bytes();
    produce(scaled(1000, 100));
    if (!sanitized) {
        EXPECT_LE(resident_bytes(), memory + 2 * mebibyte);
    }
}

SPARGIO_ON_BOTH_BACKENDS(Allocation);

}  // namespace
}  // namespace spargio::test
