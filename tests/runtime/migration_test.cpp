// SPDX-License-Identifier: MIT
// A task that goes on at another shard after each await sees the shard that it is on.
//
// Compilers keep the address of a thread_local across a suspension if they can see that it is one. Here the library's
// answer is compared with the number that this file keeps for each thread.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

constexpr ShardId kShards = 4;

constinit thread_local ShardId thread_number = external_sender;

// Not inline, as the library's own: see above.
__attribute__((noinline)) ShardId number_of_this_thread() noexcept {
    asm volatile("" ::: "memory");
    return thread_number;
}

/// Notes whether the library and the thread agree, and whether the task has moved since the last look.
class Traveller {
public:
    void look(ShardId expected) {
        const auto* here = ShardCtx::current();
        ASSERT_NE(here, nullptr);
        wrong_ += here->shard_id() != number_of_this_thread() || here->shard_id() != expected ? 1 : 0;
        moves_ += here->shard_id() != last_ ? 1 : 0;
        last_ = here->shard_id();
    }
    [[nodiscard]] std::uint64_t wrong() const noexcept { return wrong_; }
    [[nodiscard]] std::uint64_t moves() const noexcept { return moves_; }

private:
    ShardId last_ = external_sender;
    std::uint64_t wrong_ = 0;
    std::uint64_t moves_ = 0;
};

class Migration : public BackendTest {
protected:
    /// A runtime whose shard threads have their numbers.
    static Runtime numbered() {
        auto four = runtime(kShards);
        for (ShardId shard = 0; shard < kShards; ++shard) {
            four.handle().spawn_pinned(shard, [shard] { thread_number = shard; }).get();
        }
        return four;
    }

    /// Runs `travel(traveller, rounds)` and expects that it has moved in each round.
    template <class Travel>
    static void expect_right_at_each_step(Travel travel) {
        const auto four = numbered();
        const NoLateWakes all_woken(four.handle());
        Traveller traveller;
        const unsigned rounds = scaled(2'000, 200);
        four.handle().spawn_stealable(travel(four.handle(), traveller, rounds)).get();
        EXPECT_EQ(traveller.wrong(), 0U);
        EXPECT_GE(traveller.moves(), std::uint64_t{rounds} - 1);
    }

    Watchdog watchdog_{"a task that moves"};
};
SPARGIO_ON_BOTH_BACKENDS(Migration);

ShardId target_of(unsigned round) {
    return static_cast<ShardId>(round % kShards);
}

Task<> go_to(ShardId target) {
    static_cast<void>(co_await resume_on(target));
}

TEST_P(Migration, ThroughResumeOn) {
    expect_right_at_each_step([](RuntimeHandle, Traveller& traveller, unsigned rounds) -> Task<> {
        for (unsigned round = 0; round < rounds; ++round) {
            static_cast<void>(co_await resume_on(target_of(round)));
            traveller.look(target_of(round));
        }
    });
}

TEST_P(Migration, ThroughAnAwaitedTask) {
    expect_right_at_each_step([](RuntimeHandle, Traveller& traveller, unsigned rounds) -> Task<> {
        for (unsigned round = 0; round < rounds; ++round) {
            co_await go_to(target_of(round));
            traveller.look(target_of(round));
        }
    });
}

// The joiner goes on where the child has ended.
TEST_P(Migration, ThroughAJoin) {
    expect_right_at_each_step([](RuntimeHandle runtime, Traveller& traveller, unsigned rounds) -> Task<> {
        for (unsigned round = 0; round < rounds; ++round) {
            static_cast<void>(co_await resume_on(target_of(round + 1)));
            traveller.look(target_of(round + 1));
            auto child = runtime.spawn_stealable(go_to(target_of(round)));
            co_await std::move(child);
            traveller.look(shard_here());
        }
    });
}

TEST_P(Migration, ThroughAJoinOfAPinnedTask) {
    expect_right_at_each_step([](RuntimeHandle runtime, Traveller& traveller, unsigned rounds) -> Task<> {
        for (unsigned round = 0; round < rounds; ++round) {
            static_cast<void>(co_await resume_on(target_of(round + 1)));
            traveller.look(target_of(round + 1));
            const auto nap = []() -> Task<> { static_cast<void>(co_await sleep_for(std::chrono::microseconds(1))); };
            auto child = runtime.spawn_pinned(target_of(round), nap());
            co_await std::move(child);
            traveller.look(shard_here());
        }
    });
}

// The parent goes on where the last child has ended, or where it forked.
TEST_P(Migration, ThroughAFork) {
    expect_right_at_each_step([](RuntimeHandle, Traveller& traveller, unsigned rounds) -> Task<> {
        for (unsigned round = 0; round < rounds; ++round) {
            static_cast<void>(co_await resume_on(target_of(round + 1)));
            traveller.look(target_of(round + 1));
            co_await fork_join(go_to(target_of(round)), go_to(target_of(round)));
            traveller.look(shard_here());
        }
    });
}

TEST_P(Migration, ThroughAForkOfMany) {
    expect_right_at_each_step([](RuntimeHandle, Traveller& traveller, unsigned rounds) -> Task<> {
        for (unsigned round = 0; round < rounds; ++round) {
            static_cast<void>(co_await resume_on(target_of(round + 1)));
            traveller.look(target_of(round + 1));
            auto child = [target = target_of(round)](std::size_t) { return go_to(target); };
            co_await spawn_many(5, std::move(child));
            traveller.look(shard_here());
        }
    });
}

// Wherever thieves bring it.
TEST_P(Migration, ThroughTheft) {
    auto four = numbered();
    const auto handle = four.handle();
    const NoLateWakes all_woken(handle);
    std::atomic<std::uint64_t> wrong{0};
    const auto work = [&]() -> Task<> {
        for (unsigned round = 0; round < scaled(500, 100); ++round) {
            wrong += ShardCtx::current()->shard_id() != number_of_this_thread() ? 1 : 0;
            co_await yield();
            wrong += ShardCtx::current()->shard_id() != number_of_this_thread() ? 1 : 0;
            auto child = handle.spawn_stealable([] {});
            co_await std::move(child);
        }
    };
    while (handle.stats_snapshot().stealable_stolen == 0) {
        std::vector<JoinHandle<void>> tasks;
        for (int i = 0; i < 16; ++i) {
            tasks.push_back(handle.spawn_stealable_on(0, work()));
        }
        for (auto& task : tasks) {
            task.get();
        }
    }
    EXPECT_EQ(wrong, 0U);
}

}  // namespace
}  // namespace spargio::test
