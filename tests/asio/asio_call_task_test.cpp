// SPDX-License-Identifier: MIT
// async_call where the server is a task of a runtime, and where the caller is one.
#include <atomic>
#include <thread>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>

#include "asio_call.hpp"
#include "spargio/asio.hpp"
#include "support/backend_test.hpp"
#include "support/event.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

class AsioCallOfATask : public BackendTest {
protected:
    Watchdog watchdog_{"asio call of a task"};
    asio::io_context io_;
};
SPARGIO_ON_BOTH_BACKENDS(AsioCallOfATask);

Task<> serve(IntServer server, std::atomic<int>& served) {
    while (auto request = co_await server.recv()) {
        ++served;
        static_cast<void>(request->respond(request->request() * 2));
    }
}

TEST_P(AsioCallOfATask, ManyCoroutinesCallATask) {
    auto two = runtime(2);
    const NoLateWakes checked(two.handle());
    auto channel_ends = channel<int, int>(8);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    std::atomic<int> served{0};
    auto serving = two.handle().spawn_stealable(serve(std::move(server), served));
    const auto here = std::this_thread::get_id();
    int right = 0;
    const auto coroutine = [&](int base) -> asio::awaitable<void> {
        for (int i = 0; i < 20; ++i) {
            const int reply = co_await async_call(client, base + i, asio::use_awaitable);
            const int timed = co_await async_call_with_timeout(client, base + i, never, asio::use_awaitable);
            right += reply == 2 * (base + i) && timed == reply && std::this_thread::get_id() == here ? 1 : 0;
        }
    };
    for (int i = 0; i < 50; ++i) {
        asio::co_spawn(io_, coroutine(100 * i), asio::detached);
    }
    io_.run();
    EXPECT_EQ(right, 50 * 20);
    EXPECT_EQ(served, 2 * 50 * 20);
    { const auto gone = std::move(client); }
    serving.get();
}

TEST_P(AsioCallOfATask, TheRuntimesShutdownEndsTheCalls) {
    auto two = runtime(2);
    auto channel_ends = channel<int, int>(1);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    Event took;
    auto holds_one = [&took, server = std::move(server)]() -> Task<> {
        auto request = co_await server.recv();
        took.set();
        static_cast<void>(co_await sleep_for(never));
    };
    two.handle().spawn_pinned(1, std::move(holds_one)).detach();
    Outcome taken;
    Outcome queued;
    Outcome without_room;
    async_call(client, 1, asio::bind_executor(io_, taken.handler()));
    took.wait();
    async_call(client, 1, asio::bind_executor(io_, queued.handler()));
    async_call(client, 1, asio::bind_executor(io_, without_room.handler()));
    two.shutdown();
    Outcome late;
    async_call(client, 1, asio::bind_executor(io_, late.handler()));
    io_.run();
    EXPECT_EQ(taken.error, BoundaryError::Canceled);
    EXPECT_EQ(queued.error, BoundaryError::Closed);
    EXPECT_EQ(without_room.error, BoundaryError::Closed);
    EXPECT_EQ(late.error, BoundaryError::Closed);
    EXPECT_EQ(taken.thread, std::this_thread::get_id());
}

TEST_P(AsioCallOfATask, ATaskMayBeginAnOperation) {
    auto two = runtime(2);
    auto channel_ends = channel<int, int>(4);
    auto& client = channel_ends.first;
    auto& server = channel_ends.second;
    std::atomic<int> served{0};
    auto serving = two.handle().spawn_pinned(0, serve(std::move(server), served));
    Outcome outcome;
    auto begin = [&] { async_call(client, 4, asio::bind_executor(io_, outcome.handler())); };
    two.handle().spawn_pinned(1, std::move(begin)).get();
    io_.run();
    EXPECT_EQ(outcome.reply, 8);
    EXPECT_EQ(outcome.shard, external_sender);
    { const auto gone = std::move(client); }
    serving.get();
}

}  // namespace
}  // namespace spargio::test
