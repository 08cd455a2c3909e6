// SPDX-License-Identifier: MIT
// Tests of ShardCtx: it belongs to its thread.
#include "spargio/shard_ctx.hpp"

#include <optional>
#include <stdexcept>
#include <utility>

#include <gtest/gtest.h>

#include "small_runtime.hpp"

namespace spargio {
namespace {

TEST(ShardCtx, AThreadThatIsNoShardHasNone) {
    EXPECT_EQ(ShardCtx::current(), nullptr);
    const Runtime runtime = test::small_runtime();
    EXPECT_EQ(ShardCtx::current(), nullptr);
    const bool on_pool = runtime.handle().spawn_blocking([] { return ShardCtx::current() == nullptr; }).get();
    EXPECT_TRUE(on_pool);
}

TEST(ShardCtx, NamesItsShard) {
    const Runtime runtime = test::small_runtime(2);
    const auto id_here = [] { return ShardCtx::current()->shard_id(); };
    EXPECT_EQ(runtime.handle().spawn_pinned(0, id_here).get(), 0);
    EXPECT_EQ(runtime.handle().spawn_pinned(1, id_here).get(), 1);
}

TEST(ShardCtx, GivesHandleAndNeighbours) {
    const Runtime runtime = test::small_runtime(2);
    const auto count = [] { return ShardCtx::current()->handle().shard_count(); };
    EXPECT_EQ(runtime.handle().spawn_pinned(0, count).get(), 2U);
    const auto neighbour = [] { return ShardCtx::current()->remote(1)->id(); };
    EXPECT_EQ(runtime.handle().spawn_pinned(0, neighbour).get(), 1);
    const auto nobody = [] { return ShardCtx::current()->remote(2).has_value(); };
    EXPECT_FALSE(runtime.handle().spawn_pinned(0, nobody).get());
}

TEST(ShardCtx, ThrowsOnAnotherThread) {
    const Runtime runtime = test::small_runtime(2);
    ShardCtx* ctx = runtime.handle().spawn_pinned(0, [] { return ShardCtx::current(); }).get();
    ASSERT_NE(ctx, nullptr);
    const auto use = [ctx] {
        EXPECT_THROW(static_cast<void>(ctx->shard_id()), std::logic_error);
        EXPECT_THROW(static_cast<void>(ctx->handle()), std::logic_error);
        EXPECT_THROW(static_cast<void>(ctx->remote(0)), std::logic_error);
        EXPECT_THROW(static_cast<void>(ctx->spawn_local([] {})), std::logic_error);
    };
    use();
    runtime.handle().spawn_pinned(1, use).get();
}

TEST(ShardCtx, SpawnLocalStaysOnTheShard) {
    const Runtime runtime = test::small_runtime(2);
    auto child_shard = []() -> Task<ShardId> {
        auto child = ShardCtx::current()->spawn_local([] { return ShardCtx::current()->shard_id(); });
        co_return co_await std::move(child);
    };
    EXPECT_EQ(runtime.handle().spawn_pinned(1, child_shard).get(), 1);
}

}  // namespace
}  // namespace spargio
