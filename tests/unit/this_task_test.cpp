// SPDX-License-Identifier: MIT
// Tests of what a task asks for itself: yield, resume_on, its stop token.
#include "spargio/this_task.hpp"

#include <array>
#include <concepts>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>

#include <gtest/gtest.h>

#include "small_runtime.hpp"
#include "spargio/error.hpp"
#include "spargio/runtime_handle.hpp"
#include "spargio/shard_ctx.hpp"

namespace spargio {
namespace {

static_assert(std::same_as<decltype(yield().await_resume()), void>);
static_assert(std::same_as<decltype(resume_on(ShardId{0}).await_resume()), Result<void>>);
static_assert(std::same_as<decltype(this_task::stop_token().await_resume()), std::stop_token>);

ShardId shard_here() {
    return ShardCtx::current()->shard_id();
}

Task<> append(std::string& log, char name) {
    for (int i = 0; i < 3; ++i) {
        log += name;
        co_await yield();
    }
}

TEST(Yield, LetsOthersOfTheShardRun) {
    const Runtime runtime = test::small_runtime();
    std::string log;
    auto both = [&log]() -> Task<> {
        auto a = ShardCtx::current()->spawn_local(append(log, 'a'));
        auto b = ShardCtx::current()->spawn_local(append(log, 'b'));
        co_await std::move(a);
        co_await std::move(b);
    };
    runtime.handle().spawn_pinned(0, std::move(both)).get();
    EXPECT_EQ(log, "ababab");
}

Task<> go_round(std::string& visited) {
    constexpr std::array<ShardId, 4> targets{1, 0, 1, 1};
    for (const ShardId target : targets) {
        const Result<void> moved = co_await resume_on(target);
        EXPECT_TRUE(moved);
        visited += std::to_string(shard_here());
    }
}

TEST(ResumeOn, MovesAStealableTask) {
    const Runtime runtime = test::small_runtime(2);
    std::string visited;
    runtime.handle().spawn_stealable(go_round(visited)).get();
    EXPECT_EQ(visited, "1011");
}

Task<std::error_code> try_to_move(ShardId target) {
    const ShardId before = shard_here();
    const Result<void> moved = co_await resume_on(target);
    EXPECT_EQ(shard_here(), before);
    co_return moved.error();
}

TEST(ResumeOn, APinnedTaskStaysWhereItIs) {
    const Runtime runtime = test::small_runtime(2);
    EXPECT_EQ(runtime.handle().spawn_pinned(0, try_to_move(1)).get(), RuntimeError::InvalidShard);
    EXPECT_EQ(runtime.handle().spawn_pinned(0, try_to_move(0)).get(), std::error_code());
    EXPECT_EQ(runtime.handle().spawn_pinned(0, try_to_move(2)).get(), RuntimeError::InvalidShard);
}

TEST(ResumeOn, AnUnknownShardIsAnError) {
    const Runtime runtime = test::small_runtime();
    EXPECT_EQ(runtime.handle().spawn_stealable(try_to_move(1)).get(), RuntimeError::InvalidShard);
    EXPECT_EQ(runtime.handle().spawn_stealable(try_to_move(external_sender)).get(), RuntimeError::InvalidShard);
}

Task<std::stop_token> own_token() {
    co_return co_await this_task::stop_token();
}

TEST(StopToken, IsSharedWithWhatTheTaskAwaits) {
    const Runtime runtime = test::small_runtime();
    auto compare = []() -> Task<bool> {
        const std::stop_token mine = co_await this_task::stop_token();
        const std::stop_token child = co_await own_token();
        co_return mine == child&& mine.stop_possible() && !mine.stop_requested();
    };
    EXPECT_TRUE(runtime.handle().spawn_pinned(0, std::move(compare)).get());
}

TEST(StopToken, OfTwoTasksAreTwo) {
    const Runtime runtime = test::small_runtime();
    const auto first = runtime.handle().spawn_pinned(0, own_token()).get();
    const auto second = runtime.handle().spawn_pinned(0, own_token()).get();
    EXPECT_NE(first, second);
    EXPECT_FALSE(first.stop_requested());
}

Task<> until_stopped(std::stop_token& seen) {
    const std::stop_token token = co_await this_task::stop_token();
    while (!token.stop_requested()) {
        co_await yield();
    }
    seen = co_await this_task::stop_token();
}

TEST(StopToken, IsSetByRequestStop) {
    const Runtime runtime = test::small_runtime();
    std::stop_token seen;
    auto handle = runtime.handle().spawn_pinned(0, until_stopped(seen));
    handle.request_stop();
    handle.request_stop();
    handle.get();
    EXPECT_TRUE(seen.stop_requested());
}

TEST(StopToken, AskedForAfterTheStopIsStopped) {
    const Runtime runtime = test::small_runtime();
    auto stop_a_child = []() -> Task<bool> {
        auto child = ShardCtx::current()->spawn_local(own_token());
        child.request_stop();  // Before its first step, which it still does.
        const std::stop_token token = co_await std::move(child);
        co_return token.stop_requested();
    };
    EXPECT_TRUE(runtime.handle().spawn_pinned(0, std::move(stop_a_child)).get());
}

}  // namespace
}  // namespace spargio
