// SPDX-License-Identifier: MIT
// resume_on: the next step of a stealable task runs on the shard it names; a pinned task stays.
#include <atomic>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

class ResumeOn : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(ResumeOn);

TEST_P(ResumeOn, MovesAStealableTaskToEachShard) {
    auto three = runtime(3);
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    for (const auto place : {TaskPlacement::stealable(), TaskPlacement::stealable_preferred(2)}) {
        auto task = handle.spawn_with_placement(place, []() -> Task<> {
            for (int round = 0; round < 100; ++round) {
                for (const ShardId target : {ShardId{1}, ShardId{0}, ShardId{2}, ShardId{2}}) {
                    const auto moved = co_await resume_on(target);
                    EXPECT_TRUE(moved.has_value());
                    EXPECT_EQ(shard_here(), target);
                }
            }
        });
        task.get();
    }
}

TEST_P(ResumeOn, AnUnknownShardIsInvalidShardAndTheTaskGoesOn) {
    auto two = runtime(2);
    for (const auto place : {TaskPlacement::stealable(), TaskPlacement::pinned(1)}) {
        auto task = two.handle().spawn_with_placement(place, []() -> Task<> {
            for (const ShardId unknown : {ShardId{2}, ShardId{0xFFFE}, external_sender}) {
                const auto thread = std::this_thread::get_id();
                const auto moved = co_await resume_on(unknown);
                EXPECT_EQ(moved.error(), RuntimeError::InvalidShard);
                EXPECT_EQ(std::this_thread::get_id(), thread) << "it stays where it is";
            }
        });
        task.get();
    }
}

TEST_P(ResumeOn, APinnedTaskThatNamesAnotherShardStays) {
    auto two = runtime(2);
    const auto handle = two.handle();
    const auto body = []() -> Task<> {
        const auto here = shard_here();
        const auto moved = co_await resume_on(static_cast<ShardId>(1 - here));
        EXPECT_EQ(moved.error(), RuntimeError::InvalidShard);
        EXPECT_EQ(shard_here(), here);
        const auto stayed = co_await resume_on(here);
        EXPECT_TRUE(stayed.has_value()) << "its own shard is no other";
        EXPECT_EQ(shard_here(), here);
    };
    handle.spawn_pinned(0, body).get();
    handle.spawn_pinned(1, body).get();
    handle.spawn_sticky(3, body).get();
    handle.spawn_round_robin(body).get();
    two.block_on(body);
    two.block_on([&]() -> Task<> {
        auto local = ShardCtx::current()->spawn_local(body);
        co_await std::move(local);
    });
}

TEST_P(ResumeOn, InAnAwaitedTaskMovesTheWholeTask) {
    auto two = runtime(2);
    auto task = two.handle().spawn_stealable([]() -> Task<> {
        for (ShardId target = 0; target < 2; ++target) {
            auto inner = [](ShardId to) -> Task<ShardId> {
                static_cast<void>(co_await resume_on(to));
                co_return shard_here();
            }(target);
            const auto there = co_await std::move(inner);
            EXPECT_EQ(there, target);
            EXPECT_EQ(shard_here(), target);
        }
    });
    task.get();
}

// An idle shard would take any stealable work of a busy one; what resume_on sent there has to wait.
TEST_P(ResumeOn, NoThiefTakesTheNextStep) {
    auto two = runtime(2);
    const auto handle = two.handle();
    for (int round = 0; round < 20; ++round) {
        Event blocked;
        Event release;
        auto blocker = handle.spawn_pinned(0, [&] {
            blocked.set();
            release.wait();
        });
        blocked.wait();
        std::vector<JoinHandle<void>> movers;
        Latch about_to_move(10);
        for (int i = 0; i < 10; ++i) {
            movers.push_back(handle.spawn_stealable([&]() -> Task<> {
                about_to_move.arrive();
                const auto moved = co_await resume_on(0);
                EXPECT_TRUE(moved.has_value());
                EXPECT_EQ(shard_here(), 0);
            }));
        }
        about_to_move.wait();
        // The idle shard has had its chances: each of these steps ran there.
        for (int i = 0; i < 20; ++i) {
            EXPECT_EQ(handle.spawn_stealable(shard_here).get(), 1);
        }
        for (const auto& mover : movers) {
            EXPECT_FALSE(mover.done());
        }
        release.set();
        for (auto& mover : movers) {
            mover.get();
        }
        blocker.get();
    }
}

TEST_P(ResumeOn, TheStepsAfterwardsMayMoveAgain) {
    auto two = runtime(2);
    const auto handle = two.handle();
    Event moved_away;
    std::atomic<bool> blocked{false};
    auto task = handle.spawn_stealable([&]() -> Task<> {
        static_cast<void>(co_await resume_on(0));
        auto blocker = ShardCtx::current()->spawn_local([&] {
            blocked.store(true);
            moved_away.wait();
        });
        while (!blocked.load()) {
            co_await yield();
        }
        EXPECT_EQ(shard_here(), 1);
        moved_away.set();
        co_await std::move(blocker);
    });
    task.get();
}

TEST_P(ResumeOn, ManyTasksCrossEachOther) {
    auto three = runtime(3);
    const auto handle = three.handle();
    const NoLateWakes all_woken(handle);
    const auto seed = stress_seed();
    std::vector<JoinHandle<int>> tasks;
    for (unsigned i = 0; i < 30; ++i) {
        tasks.push_back(handle.spawn_stealable([seed, i]() -> Task<int> {
            Random random(seed + i);
            int wrong = 0;
            for (unsigned step = 0; step < scaled(500, 100); ++step) {
                const auto target = static_cast<ShardId>(random.below(3));
                static_cast<void>(co_await resume_on(target));
                wrong += shard_here() != target ? 1 : 0;
                if (random.one_in(4)) {
                    co_await yield();
                }
            }
            co_return wrong;
        }));
    }
    for (auto& task : tasks) {
        EXPECT_EQ(task.get(), 0);
    }
}

TEST_P(ResumeOn, AStoppedTaskStillMoves) {
    auto two = runtime(2);
    Event stopped;
    auto task = two.handle().spawn_stealable([&]() -> Task<> {
        stopped.wait();
        for (ShardId target = 0; target < 2; ++target) {
            const auto moved = co_await resume_on(target);
            EXPECT_TRUE(moved.has_value());
            EXPECT_EQ(shard_here(), target);
        }
    });
    task.request_stop();
    stopped.set();
    task.get();
}

TEST_P(ResumeOn, TheFrameEndsOnTheLastShard) {
    auto two = runtime(2);
    for (ShardId target = 0; target < 2; ++target) {
        std::atomic<int> ended_on{-1};
        struct AtEnd {
            explicit AtEnd(std::atomic<int>& where) : ended_on(where) {}
            AtEnd(const AtEnd&) = delete;
            AtEnd& operator=(const AtEnd&) = delete;
            ~AtEnd() { ended_on.store(shard_here()); }
            std::atomic<int>& ended_on;
        };
        auto task = two.handle().spawn_stealable([&ended_on, target]() -> Task<> {
            const AtEnd guard(ended_on);
            static_cast<void>(co_await resume_on(target));
        });
        task.get();
        EXPECT_EQ(ended_on.load(), target);
    }
}

}  // namespace
}  // namespace spargio::test
