// SPDX-License-Identifier: MIT
// ShardCtx: what a task asks of its shard, and that nobody else may.
#include <atomic>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"

namespace spargio::test {
namespace {

class ShardContext : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(ShardContext);

TEST_P(ShardContext, IsNullOnAThreadThatIsNoShard) {
    auto one = runtime(1);
    EXPECT_EQ(ShardCtx::current(), nullptr);
    EXPECT_TRUE(one.handle().spawn_blocking([] { return ShardCtx::current() == nullptr; }).get());
    std::thread foreign([] { EXPECT_EQ(ShardCtx::current(), nullptr); });
    foreign.join();
}

TEST_P(ShardContext, KnowsItsShardAndItsRuntime) {
    auto three = runtime(3);
    auto other = runtime(1);
    std::set<ShardCtx*> contexts;
    for (ShardId shard = 0; shard < 3; ++shard) {
        auto asked = three.handle().spawn_pinned(shard, [&] {
            ShardCtx* here = ShardCtx::current();
            EXPECT_EQ(here->shard_id(), shard);
            EXPECT_EQ(here->handle().shard_count(), 3U);
            EXPECT_EQ(here->handle().backend(), GetParam());
            return here;
        });
        contexts.insert(asked.get());
    }
    contexts.insert(other.block_on([] { return ShardCtx::current(); }));
    EXPECT_EQ(contexts.size(), 4U);
}

TEST_P(ShardContext, IsTheSameInEveryStepOfAPinnedTask) {
    auto two = runtime(2);
    auto task = two.handle().spawn_pinned(1, []() -> Task<> {
        ShardCtx* const first = ShardCtx::current();
        for (int i = 0; i < 10; ++i) {
            co_await yield();
            EXPECT_EQ(ShardCtx::current(), first);
        }
    });
    task.get();
}

TEST_P(ShardContext, ChangesWithTheShardOfAStealableTask) {
    auto two = runtime(2);
    auto task = two.handle().spawn_stealable([]() -> Task<> {
        for (int i = 0; i < 20; ++i) {
            const auto target = static_cast<ShardId>(i % 2);
            static_cast<void>(co_await resume_on(target));
            EXPECT_EQ(ShardCtx::current()->shard_id(), target);
        }
    });
    task.get();
}

TEST_P(ShardContext, IsThereAlsoWhileFramesAreDestroyed) {
    Event never;
    Event suspended;
    std::atomic<int> seen{-1};
    struct AtEnd {
        explicit AtEnd(std::atomic<int>& s) : seen(s) {}
        AtEnd(const AtEnd&) = delete;
        AtEnd& operator=(const AtEnd&) = delete;
        ~AtEnd() { seen.store(ShardCtx::current() != nullptr ? ShardCtx::current()->shard_id() : -2); }
        std::atomic<int>& seen;
    };
    {
        auto two = runtime(2);
        two.handle()
            .spawn_pinned(1,
                          [&]() -> Task<> {
                              const AtEnd guard(seen);
                              suspended.set();
                              co_await never.async_wait();
                          })
            .detach();
        suspended.wait();
    }
    EXPECT_EQ(seen.load(), 1);
}

TEST_P(ShardContext, SpawnLocalStaysOnThisShard) {
    auto three = runtime(3);
    for (ShardId shard = 0; shard < 3; ++shard) {
        auto spawner = three.handle().spawn_pinned(shard, [shard]() -> Task<> {
            std::vector<JoinHandle<std::set<ShardId>>> children;
            for (int i = 0; i < 10; ++i) {
                children.push_back(ShardCtx::current()->spawn_local([]() -> Task<std::set<ShardId>> {
                    std::set<ShardId> seen{shard_here()};
                    co_await yield();
                    seen.insert(shard_here());
                    static_cast<void>(co_await sleep_for(std::chrono::microseconds(100)));
                    seen.insert(shard_here());
                    co_return seen;
                }));
            }
            for (auto& child : children) {
                const auto seen = co_await std::move(child);
                EXPECT_EQ(seen, std::set<ShardId>{shard});
            }
        });
        spawner.get();
    }
}

TEST_P(ShardContext, SpawnLocalTakesEverySpawnable) {
    auto one = runtime(1);
    one.block_on([]() -> Task<> {
        ShardCtx& here = *ShardCtx::current();
        auto plain = here.spawn_local([] { return 1; });
        auto callable = here.spawn_local([p = std::make_unique<int>(2)]() -> Task<int> { co_return *p; });
        auto made = []() -> Task<int> { co_return 3; }();
        auto task = here.spawn_local(std::move(made));
        const int first = co_await std::move(plain);
        const int second = co_await std::move(callable);
        const int third = co_await std::move(task);
        EXPECT_EQ(first + second + third, 6);
    });
}

TEST_P(ShardContext, ALocalChildDoesNotRunBeforeItsSpawnersStepEnds) {
    auto one = runtime(1);
    one.block_on([]() -> Task<> {
        bool ran = false;
        auto child = ShardCtx::current()->spawn_local([&] { ran = true; });
        EXPECT_FALSE(ran);
        co_await std::move(child);
        EXPECT_TRUE(ran);
    });
}

TEST_P(ShardContext, MembersThrowOnAForeignThread) {
    auto one = runtime(1);
    ShardCtx* const stolen = one.block_on([] { return ShardCtx::current(); });
    EXPECT_THROW(static_cast<void>(stolen->shard_id()), std::logic_error);
    EXPECT_THROW(static_cast<void>(stolen->handle()), std::logic_error);
    EXPECT_THROW(static_cast<void>(stolen->remote(0)), std::logic_error);
    bool ran = false;
    EXPECT_THROW(stolen->spawn_local([&] { ran = true; }).detach(), std::logic_error);
    finish_step(one.handle(), 0);
    EXPECT_FALSE(ran);
}

TEST_P(ShardContext, MembersThrowOnAnotherShard) {
    auto two = runtime(2);
    auto other = runtime(1);
    ShardCtx* const first = two.handle().spawn_pinned(0, [] { return ShardCtx::current(); }).get();
    const auto use = [first] {
        EXPECT_THROW(static_cast<void>(first->shard_id()), std::logic_error);
        EXPECT_THROW(static_cast<void>(first->handle()), std::logic_error);
        EXPECT_THROW(static_cast<void>(first->remote(0)), std::logic_error);
        EXPECT_THROW(first->spawn_local([] {}).detach(), std::logic_error);
    };
    two.handle().spawn_pinned(1, use).get();
    other.block_on(use);
    two.handle().spawn_blocking(use).get();
}

TEST_P(ShardContext, RemoteGivesEachShardOfTheRuntimeAndNoOther) {
    auto three = runtime(3);
    const auto check = [](const auto& source) {
        for (ShardId shard = 0; shard < 3; ++shard) {
            const auto remote = source.remote(shard);
            EXPECT_TRUE(remote.has_value());
            EXPECT_EQ(remote->id(), shard);
        }
        EXPECT_FALSE(source.remote(3).has_value());
        EXPECT_FALSE(source.remote(external_sender).has_value());
    };
    check(three.handle());
    three.block_on([&] {
        check(*ShardCtx::current());
        check(ShardCtx::current()->handle());
    });
}

TEST_P(ShardContext, NativeLaneSaysWhatIsMissing) {
    auto two = runtime(2);
    EXPECT_EQ(two.handle().native_lane(2).error(), RuntimeError::InvalidShard);
    const auto lane = two.handle().native_lane(0);
    EXPECT_EQ(lane.has_value(), GetParam() == BackendKind::IoUring);
    if (!lane) {
        EXPECT_EQ(lane.error(), RuntimeError::UnsupportedBackend);
    }
}

TEST_P(ShardContext, HandlesOfAllKindsNameTheSameRuntime) {
    auto two = runtime(2);
    auto task = two.handle().spawn_pinned(0, []() -> Task<ShardId> {
        const auto mine = ShardCtx::current()->handle();
        auto child = mine.spawn_pinned(1, shard_here);
        co_return co_await std::move(child);
    });
    EXPECT_EQ(task.get(), 1);
    EXPECT_EQ(two.handle().stats_snapshot().spawn_pinned_submitted, 2U);
}

}  // namespace
}  // namespace spargio::test
