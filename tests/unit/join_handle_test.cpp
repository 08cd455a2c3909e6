// SPDX-License-Identifier: MIT
// Tests of JoinHandle as an object: empty, moved, assigned, dropped. What a join gives is tested with whole runtimes.
#include "spargio/join_handle.hpp"

#include <chrono>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <gtest/gtest.h>

#include "small_runtime.hpp"
#include "spargio/error.hpp"
#include "spargio/this_task.hpp"

namespace spargio {
namespace {

Task<int> give(int n) {
    co_return n;
}

TEST(JoinHandle, AnEmptyOneSaysSo) {
    const Runtime runtime = test::small_runtime();
    JoinHandle<int> handle;
    for (const bool detached : {false, true}) {
        if (detached) {
            handle = runtime.handle().spawn_pinned(0, give(1));
            EXPECT_TRUE(handle.valid());
            handle.detach();
        }
        EXPECT_FALSE(handle.valid());
        EXPECT_THROW(handle.get(), std::logic_error);
        EXPECT_THROW(handle.wait_for(std::chrono::seconds(1)), std::logic_error);
        EXPECT_THROW(handle.done(), std::logic_error);
        EXPECT_THROW(handle.spawn_error(), std::logic_error);
        EXPECT_THROW(handle.request_stop(), std::logic_error);
        EXPECT_THROW(static_cast<void>(handle.join()), std::logic_error);
        EXPECT_THROW(static_cast<void>(std::move(handle).operator co_await()), std::logic_error);
        handle.detach();  // Nothing to let go of.
    }
}

TEST(JoinHandle, GivesItsResultOnceAndStaysAfterwards) {
    Runtime runtime = test::small_runtime();
    auto handle = runtime.handle().spawn_pinned(0, give(1));
    EXPECT_EQ(handle.get(), 1);
    EXPECT_TRUE(handle.valid());
    EXPECT_TRUE(handle.done());
    EXPECT_TRUE(handle.wait_for(std::chrono::seconds(0)));
    handle.request_stop();
    EXPECT_THROW(handle.get(), std::logic_error);
    auto join_twice = [](JoinHandle<int> child) -> Task<> {
        auto first = co_await child.join();
        EXPECT_EQ(first.value(), 2);
        bool refused = false;
        try {
            static_cast<void>(co_await child.join());
        } catch (const std::logic_error&) {
            refused = true;
        }
        EXPECT_TRUE(refused);
    };
    runtime.block_on(join_twice(runtime.handle().spawn_pinned(0, give(2))));
}

TEST(JoinHandle, MovingPassesTheTaskOn) {
    const Runtime runtime = test::small_runtime();
    auto first = runtime.handle().spawn_pinned(0, give(1));
    auto second = std::move(first);
    EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move)
    EXPECT_TRUE(second.valid());
    auto third = runtime.handle().spawn_pinned(0, give(3));
    third = std::move(second);     // Lets the task with the 3 run on.
    EXPECT_FALSE(second.valid());  // NOLINT(bugprone-use-after-move)
    auto& itself = third;
    third = std::move(itself);
    EXPECT_TRUE(third.valid());
    EXPECT_EQ(third.get(), 1);
}

TEST(JoinHandle, DetachingAndDroppingLetTheTaskRunOn) {
    Runtime runtime = test::small_runtime();
    const auto token = std::make_shared<int>(0);
    const auto count = [token]() -> Task<> {
        co_await yield();
        ++*token;
    };
    auto detached = runtime.handle().spawn_pinned(0, count);
    detached.detach();
    EXPECT_FALSE(detached.valid());
    static_cast<void>(runtime.handle().spawn_pinned(0, count));
    // Behind both of them in their shard's queue, twice.
    auto twice = []() -> Task<> {
        co_await yield();
        co_await yield();
    };
    runtime.handle().spawn_pinned(0, std::move(twice)).get();
    runtime.shutdown();
    EXPECT_EQ(*token, 2);
    EXPECT_EQ(token.use_count(), 2) << "the handles are gone, and the tasks' frames; `count` is left";
}

TEST(JoinHandle, OfARefusedSpawnIsDoneAndSaysWhy) {
    Runtime runtime = test::small_runtime();
    const auto handle = runtime.handle();
    auto unknown = handle.spawn_pinned(1, give(1));
    EXPECT_TRUE(unknown.done());
    EXPECT_TRUE(unknown.wait_for(std::chrono::hours(1)));
    EXPECT_EQ(unknown.spawn_error(), RuntimeError::InvalidShard);
    unknown.request_stop();
    try {
        static_cast<void>(unknown.get());
        FAIL() << "there is no value";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), RuntimeError::InvalidShard);
    }
    auto accepted = handle.spawn_pinned(0, give(1));
    EXPECT_EQ(accepted.spawn_error(), std::error_code());
    EXPECT_EQ(accepted.get(), 1);
    runtime.shutdown();
    EXPECT_EQ(handle.spawn_pinned(0, give(1)).spawn_error(), RuntimeError::Closed);
}

TEST(JoinHandle, WaitsNoLongerThanItIsTold) {
    const Runtime runtime = test::small_runtime();
    auto endless = []() -> Task<> {
        const auto token = co_await this_task::stop_token();
        while (!token.stop_requested()) {
            co_await yield();
        }
    };
    auto handle = runtime.handle().spawn_pinned(0, std::move(endless));
    EXPECT_FALSE(handle.wait_for(std::chrono::milliseconds(0)));
    EXPECT_FALSE(handle.wait_for(std::chrono::hours(-1)));
    EXPECT_FALSE(handle.wait_for(std::chrono::milliseconds(2)));
    EXPECT_FALSE(handle.done());
    handle.request_stop();
    EXPECT_TRUE(handle.wait_for(std::chrono::hours::max()));
    EXPECT_TRUE(handle.done());
    EXPECT_TRUE(handle.valid());
    handle.get();
}

}  // namespace
}  // namespace spargio
