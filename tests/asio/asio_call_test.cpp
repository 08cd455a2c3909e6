// SPDX-License-Identifier: MIT
// async_call and async_call_with_timeout: tokens, executors, memory, room.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_allocator.hpp>
#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/deferred.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include "asio_call.hpp"
#include "spargio/asio.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

TEST_F(AsioCall, EveryTokenGetsTheReply) {
    auto channel_ends = channel<int, int>(1);
    auto& calls = channel_ends.first;
    auto& server = channel_ends.second;
    const Doubler doubler(std::move(server));
    Outcome callback;
    async_call(calls, 1, on_io(callback));
    Outcome timed;
    async_call_with_timeout(calls, 2, never, on_io(timed));
    const auto coroutine = [&]() -> asio::awaitable<int> {
        int sum = co_await async_call(calls, 10, asio::use_awaitable);
        sum += co_await async_call(calls, 20, asio::experimental::deferred)(asio::use_awaitable);
        sum += co_await async_call_with_timeout(calls, 30, never, asio::use_awaitable);
        co_return sum;
    };
    auto sum = asio::co_spawn(io_, coroutine, asio::use_future);
    async_call(calls, 3, asio::bind_executor(io_, asio::detached));
    async_call(calls, 3, asio::detached);
    auto future = async_call(calls, 4, asio::use_future);
    auto timed_future = async_call_with_timeout(calls, 5, never, asio::use_future);
    io_.run();
    EXPECT_EQ(callback.calls, 1);
    EXPECT_FALSE(callback.error);
    EXPECT_EQ(callback.reply, 2);
    EXPECT_EQ(timed.reply, 4);
    EXPECT_EQ(sum.get(), 120);
    EXPECT_EQ(future.get(), 8);
    EXPECT_EQ(timed_future.get(), 10);
    { const auto gone = std::move(calls); }
}

TEST_F(AsioCall, TheHandlerRunsOnItsExecutorAndNeverInside) {
    auto channel_ends = channel<int, int>(4);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Outcome answered;
    async_call(client, 1, on_io(answered));
    std::thread([&] { ASSERT_TRUE(server.recv().get()->respond(5)); }).join();
    EXPECT_EQ(answered.calls, 0);
    Outcome late;
    async_call_with_timeout(client, 1, 0ms, on_io(late));
    { const auto gone = std::move(server); }
    Outcome refused;
    async_call(client, 1, on_io(refused));
    EXPECT_EQ(refused.calls, 0);
    EXPECT_EQ(late.calls, 0);
    io_.run();
    EXPECT_EQ(answered.calls, 1);
    EXPECT_EQ(answered.thread, std::this_thread::get_id());
    EXPECT_EQ(refused.calls, 1);
    EXPECT_EQ(refused.error, BoundaryError::Closed);
    EXPECT_EQ(late.error, BoundaryError::Timeout);
}

TEST_F(AsioCall, AStrandAnErasedExecutorAndAPoolAreExecutors) {
    auto channel_ends = channel<int, int>(4);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    const Doubler doubler(std::move(server));
    asio::thread_pool pool(2);
    auto strand = asio::make_strand(pool);
    const asio::any_io_executor erased = strand;
    std::promise<bool> on_strand;
    std::promise<bool> on_erased;
    std::promise<int> on_pool;
    async_call(client, 1, asio::bind_executor(strand, [&](std::error_code, int) {
                   on_strand.set_value(strand.running_in_this_thread());
               }));
    async_call_with_timeout(client, 1, never, asio::bind_executor(erased, [&](std::error_code, int) {
                                on_erased.set_value(strand.running_in_this_thread());
                            }));
    async_call_with_timeout(client, 1, never,
                            asio::bind_executor(pool, [&](std::error_code, int reply) { on_pool.set_value(reply); }));
    EXPECT_TRUE(on_strand.get_future().get());
    EXPECT_TRUE(on_erased.get_future().get());
    EXPECT_EQ(on_pool.get_future().get(), 2);
    { const auto gone = std::move(client); }
    pool.join();
}

template <class T>
struct CountingAllocator {
    using value_type = T;

    explicit CountingAllocator(std::atomic<std::ptrdiff_t>* of) noexcept : bytes(of) {}
    template <class U>
    explicit(false) CountingAllocator(const CountingAllocator<U>& other) noexcept : bytes(other.bytes) {}

    T* allocate(std::size_t count) {
        *bytes += static_cast<std::ptrdiff_t>(count * sizeof(T));
        return std::allocator<T>().allocate(count);
    }
    void deallocate(T* block, std::size_t count) noexcept {
        *bytes -= static_cast<std::ptrdiff_t>(count * sizeof(T));
        std::allocator<T>().deallocate(block, count);
    }
    template <class U>
    bool operator==(const CountingAllocator<U>& other) const noexcept {
        return bytes == other.bytes;
    }

    std::atomic<std::ptrdiff_t>* bytes;
};

TEST_F(AsioCall, MemoryComesFromTheHandlersAllocatorAndGoesBackFirst) {
    auto channel_ends = channel<int, int>(4);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    std::atomic<std::ptrdiff_t> bytes{0};
    std::ptrdiff_t in_handler = -1;
    auto handler = asio::bind_executor(io_, [&](std::error_code, int) { in_handler = bytes; });
    async_call(client, 1, asio::bind_allocator(CountingAllocator<char>(&bytes), std::move(handler)));
    const std::ptrdiff_t while_it_waits = bytes;
    EXPECT_GT(while_it_waits, 0);
    ASSERT_TRUE(server.recv().get()->respond(5));
    EXPECT_GT(bytes, while_it_waits) << "what is posted lives there, too";
    io_.run();
    EXPECT_EQ(in_handler, 0);
    EXPECT_EQ(bytes, 0);
}

TEST_F(AsioCall, WhatWaitsKeepsTheContextAtWork) {
    auto channel_ends = channel<int, int>(4);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Outcome outcome;
    async_call(client, 1, on_io(outcome));
    io_.poll();
    EXPECT_FALSE(io_.stopped());
    ASSERT_TRUE(server.recv().get()->respond(5));
    io_.run();
    EXPECT_EQ(outcome.reply, 5);
    EXPECT_TRUE(io_.stopped());
}

TEST_F(AsioCall, WaitsForRoomWithoutAThread) {
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    std::vector<Outcome> outcomes(10);
    for (int i = 0; i < 10; ++i) {
        async_call(client, i, on_io(outcomes[static_cast<std::size_t>(i)]));
    }
    EXPECT_EQ(client.try_call(1).error(), BoundaryError::Overloaded);
    for (int i = 0; i < 10; ++i) {
        auto request = server.recv().get();
        EXPECT_EQ(request->request(), i);
        ASSERT_TRUE(request->respond(100 + i));
    }
    io_.run();
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(outcomes[static_cast<std::size_t>(i)].reply, 100 + i);
    }
}

TEST_F(AsioCall, MoveOnlyRequestsAndReplies) {
    using Box = std::unique_ptr<int>;
    auto channel_ends = channel<Box, Box>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    const auto coroutine = [&]() -> asio::awaitable<int> {
        Box reply = co_await async_call(client, std::make_unique<int>(7), asio::use_awaitable);
        co_return *reply;
    };
    auto reply = asio::co_spawn(io_, coroutine, asio::use_future);
    io_.poll();
    auto request = server.recv().get();
    ASSERT_TRUE(request->respond(request->take()));
    io_.run();
    EXPECT_EQ(reply.get(), 7);
}

}  // namespace
}  // namespace spargio::test
