// SPDX-License-Identifier: MIT
// The capacity of a channel: exact, in order, and given back at once.
#include <chrono>
#include <cstdint>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/boundary_names.hpp"
#include "support/event.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

class BoundaryRoom : public BackendTest {
protected:
    /// A task that waits in call() when this returns.
    static JoinHandle<Result<int>> call(const RuntimeHandle& handle, const IntClient& client, int value) {
        const auto depth = client.stats().depth;
        auto calling =
            handle.spawn_pinned(0, [client, value]() -> Task<Result<int>> { co_return co_await client.call(value); });
        wait_until_deeper(client, depth);
        return calling;
    }
    static void wait_until_deeper(const IntClient& client, std::uint64_t depth) {
        while (client.stats().depth == depth) {
            std::this_thread::yield();
        }
    }

    Watchdog watchdog_{"room at a boundary"};
};
SPARGIO_ON_BOTH_BACKENDS(BoundaryRoom);

TEST_P(BoundaryRoom, IsExact) {
    for (const std::size_t capacity : {0U, 1U, 2U, 7U, 64U}) {
        const std::size_t room = capacity != 0 ? capacity : 1;
        auto [client, server] = channel<int, int>(capacity);
        EXPECT_EQ(client.capacity(), room);
        EXPECT_EQ(server.capacity(), room);
        std::vector<Ticket<int>> tickets;
        for (std::size_t i = 0; i < room; ++i) {
            tickets.push_back(client.try_call(static_cast<int>(i)).value());
        }
        EXPECT_EQ(client.try_call(0).error(), BoundaryError::Overloaded);
        EXPECT_EQ(client.stats().depth, room);
        EXPECT_EQ(client.stats().overloaded, 1U);

        auto taken = server.try_recv();  // Does not count any more.
        tickets.push_back(client.try_call(8).value());
        EXPECT_EQ(client.try_call(0).error(), BoundaryError::Overloaded);

        { const auto canceled = std::move(tickets[room == 1 ? 1 : room / 2]); }
        EXPECT_EQ(client.stats().depth, room - 1) << "its place is free at once";
        tickets.push_back(client.try_call(9).value());
        EXPECT_EQ(client.try_call(0).error(), BoundaryError::Overloaded);
    }
}

TEST_P(BoundaryRoom, GoesToThoseWhoWaitInTheOrderTheyCame) {
    auto one = runtime(1);
    auto [client, server] = channel<int, int>(2);
    auto first = client.try_call(0);
    auto second = client.try_call(1);
    std::vector<JoinHandle<Result<int>>> calling;
    for (int value = 2; value < 6; ++value) {
        calling.push_back(call(one.handle(), client, value));
    }
    for (int value = 0; value < 6; ++value) {
        if (value < 4) {
            EXPECT_EQ(client.try_call(9).error(), BoundaryError::Overloaded) << "nobody overtakes them";
        }
        auto request = server.try_recv();
        ASSERT_EQ(request->request(), value);
        EXPECT_TRUE(request->respond(value).has_value());
    }
    for (int value = 2; value < 6; ++value) {
        EXPECT_EQ(calling[static_cast<std::size_t>(value - 2)].get().value(), value);
    }
}

/// Of two tasks and two threads that wait for it by turns, with one between them that is cancelled and one that
/// expires: neither's shard gets to do anything about it.
TEST_P(BoundaryRoom, GoesInOrderToTasksAndThreadsPastThoseThatLeave) {
    VirtualClock clock;
    auto one = runtime(1);
    auto [client, server] = channel<int, int>(1);
    auto first = client.try_call(0);
    const auto wait_in_thread = [&client = client](int value) {
        const auto depth = client.stats().depth;
        std::thread thread([&client, value] { EXPECT_EQ(client.call(value).get(), Result<int>(value)); });
        wait_until_deeper(client, depth);
        return thread;
    };
    auto task_1 = call(one.handle(), client, 1);
    auto thread_2 = wait_in_thread(2);
    auto canceled = call(one.handle(), client, 3);
    auto task_4 = call(one.handle(), client, 4);
    auto expired = one.handle().spawn_pinned(0, [client = client]() -> Task<Result<int>> {
        co_return co_await client.call_with_timeout(5, std::chrono::milliseconds(10));
    });
    wait_until_deeper(client, 5);
    auto thread_6 = wait_in_thread(6);
    {
        StalledShard stalled(one.handle(), 0);
        canceled.request_stop();
        EXPECT_EQ(client.stats().depth, 6U) << "its place is free at once";
        clock.set(clock.now() + std::chrono::milliseconds(10));
        for (const int value : {0, 1, 2, 4, 6}) {
            EXPECT_EQ(client.try_call(9).error(), BoundaryError::Overloaded) << "nobody overtakes them";
            auto request = server.try_recv();
            ASSERT_EQ(request->request(), value);
            EXPECT_TRUE(request->respond(value).has_value());
        }
        EXPECT_EQ(client.stats().depth, 0U);
        EXPECT_EQ(client.stats().timed_out, 1U);
    }
    EXPECT_EQ(task_1.get(), Result<int>(1));
    EXPECT_EQ(task_4.get(), Result<int>(4));
    EXPECT_EQ(canceled.get().error(), BoundaryError::Canceled);
    EXPECT_EQ(expired.get().error(), BoundaryError::Timeout);
    thread_2.join();
    thread_6.join();
    const auto stats = client.stats();
    EXPECT_EQ(stats.answered, 5U);
    EXPECT_EQ(stats.canceled, 1U);
    EXPECT_EQ(stats.overloaded, 5U);
    EXPECT_EQ(stats.calls, 12U);
}

TEST_P(BoundaryRoom, OfAQueuedCallThatWasStoppedGoesToTheNext) {
    auto one = runtime(1);
    auto [client, server] = channel<int, int>(1);
    auto first = call(one.handle(), client, 1);
    auto second = call(one.handle(), client, 2);
    auto third = call(one.handle(), client, 3);
    first.request_stop();
    EXPECT_EQ(first.get().error(), BoundaryError::Canceled);
    second.request_stop();
    EXPECT_EQ(second.get().error(), BoundaryError::Canceled);
    EXPECT_EQ(client.try_call(9).error(), BoundaryError::Overloaded);
    EXPECT_EQ(server.try_recv()->request(), 3);
    EXPECT_TRUE(client.try_call(9).has_value());
    EXPECT_EQ(third.get().error(), BoundaryError::Canceled);
}

TEST_P(BoundaryRoom, IsNotNeededWhereAReceiverWaits) {
    auto one = runtime(1);
    auto [client, server] = channel<int, int>(1);
    std::vector<JoinHandle<int>> receiving;
    for (int i = 0; i < 3; ++i) {
        receiving.push_back(one.handle().spawn_pinned(0, [&server = server]() -> Task<int> {
            auto request = co_await server.recv();
            const int value = request->take();
            static_cast<void>(request->respond(value));
            co_return value;
        }));
    }
    finish_step(one.handle(), 0);
    std::vector<Ticket<int>> tickets;
    {
        StalledShard stalled(one.handle(), 0);
        for (int i = 0; i < 4; ++i) {
            tickets.push_back(client.try_call(i).value());
        }
        EXPECT_EQ(client.try_call(9).error(), BoundaryError::Overloaded);
    }
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(receiving[i].get(), static_cast<int>(i)) << "in the order in which they wait";
        EXPECT_EQ(tickets[i].get().value(), static_cast<int>(i));
    }
}

TEST_P(BoundaryRoom, ThreadsWaitForIt) {
    auto [client, server] = channel<int, int>(1);
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
        callers.emplace_back([&client = client, i] { EXPECT_EQ(client.call(i).get().value(), i + 1); });
    }
    while (client.stats().depth != 4) {
        std::this_thread::yield();
    }
    EXPECT_EQ(client.try_call(9).error(), BoundaryError::Overloaded);
    for (int i = 0; i < 4; ++i) {
        auto request = server.recv().get();
        const int value = request->take();
        EXPECT_TRUE(request->respond(value + 1).has_value());
    }
    for (auto& caller : callers) {
        caller.join();
    }
    EXPECT_EQ(client.stats().answered, 4U);
    EXPECT_GT(client.stats().max_wait.count(), 0);
}

}  // namespace
}  // namespace spargio::test
