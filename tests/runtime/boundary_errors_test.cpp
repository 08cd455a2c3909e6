// SPDX-License-Identifier: MIT
// What a call and a receive give where an end is gone; and what is a checked failure.
#include <chrono>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/boundary_names.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

class BoundaryErrors : public BackendTest {
protected:
    Watchdog watchdog_{"errors at a boundary"};
};
SPARGIO_ON_BOTH_BACKENDS(BoundaryErrors);

TEST_P(BoundaryErrors, AServerThatIsGoneSaysClosedToAll) {
    auto one = runtime(1);
    auto [client, server] = channel<int, int>(1);
    { const auto gone = std::move(server); }
    EXPECT_EQ(client.try_call(1).error(), BoundaryError::Closed);
    EXPECT_EQ(client.call(1).get().error(), BoundaryError::Closed);
    EXPECT_EQ(client.call_with_timeout(1, 1h).get().error(), BoundaryError::Closed);
    one.block_on([client = client]() -> Task<> {
        EXPECT_EQ((co_await client.call(1)).error(), BoundaryError::Closed);
        EXPECT_EQ((co_await client.call_with_timeout(1, 1h)).error(), BoundaryError::Closed);
    });
    EXPECT_EQ(client.stats().closed, 5U);
    EXPECT_EQ(client.stats().calls, 5U);
}

TEST_P(BoundaryErrors, ReceiversGetWhatIsQueuedAndThenClosed) {
    auto one = runtime(1);
    auto [client, server] = channel<int, int>(4);
    std::vector<Ticket<int>> tickets;
    for (int i = 0; i < 3; ++i) {
        tickets.push_back(client.try_call(i).value());
    }
    { const auto gone = std::move(client); }
    EXPECT_EQ(server.try_recv()->request(), 0);
    EXPECT_EQ(server.recv().get()->request(), 1);
    one.block_on([&server = server]() -> Task<> {
        auto last = co_await server.recv();
        EXPECT_EQ(last->request(), 2);
        auto none = co_await server.recv();
        EXPECT_EQ(none.error(), BoundaryError::Closed);
        none = co_await server.recv_timeout(1h);
        EXPECT_EQ(none.error(), BoundaryError::Closed);
    });
    EXPECT_EQ(server.recv().get().error(), BoundaryError::Closed);
    EXPECT_EQ(server.recv_timeout(1h).get().error(), BoundaryError::Closed);
    EXPECT_EQ(server.try_recv().error(), BoundaryError::Closed);
}

// A server that looks for more before it answers does not wait for the caller who waits for it.
TEST_P(BoundaryErrors, ACallUnderWayIsNoClient) {
    auto one = runtime(1);
    for (const bool timed : {false, true}) {
        auto [client, server] = channel<int, int>(1);
        std::optional<IntClient> last = std::move(client);
        std::optional<std::thread> thread;
        JoinHandle<int> task;
        if (timed) {
            thread.emplace(
                [operation = last->call_with_timeout(1, 1h)]() mutable { EXPECT_EQ(operation.get().value(), 2); });
        } else {
            thread.emplace([operation = last->call(1)]() mutable { EXPECT_EQ(operation.get().value(), 2); });
        }
        auto first = server.recv().get().value();
        if (timed) {
            task = one.handle().spawn_pinned(0, [operation = last->call_with_timeout(2, 1h)]() mutable -> Task<int> {
                const auto reply = co_await operation;
                co_return reply.value();
            });
        } else {
            task = one.handle().spawn_pinned(0, [operation = last->call(2)]() mutable -> Task<int> {
                const auto reply = co_await operation;
                co_return reply.value();
            });
        }
        auto second = server.recv().get().value();
        last.reset();
        EXPECT_EQ(server.recv().get().error(), BoundaryError::Closed);
        EXPECT_TRUE(first.respond(2).has_value());
        EXPECT_TRUE(second.respond(4).has_value());
        thread->join();
        EXPECT_EQ(task.get(), 4);
    }
}

TEST_P(BoundaryErrors, ThoseWhoWaitToReceiveGetClosedWhenTheLastClientGoes) {
    auto one = runtime(1);
    auto [client, server] = channel<int, int>(1);
    std::optional<IntClient> copy = client;
    std::vector<JoinHandle<std::error_code>> tasks;
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        tasks.push_back(one.handle().spawn_pinned(0, [&server = server]() -> Task<std::error_code> {
            auto request = co_await server.recv();
            co_return request.error();
        }));
        threads.emplace_back([receive = server.recv()] { EXPECT_EQ(receive.get().error(), BoundaryError::Closed); });
    }
    finish_step(one.handle(), 0);
    { const auto gone = std::move(client); }
    EXPECT_FALSE(tasks[0].done()) << "there is a client left";
    copy.reset();
    for (auto& task : tasks) {
        EXPECT_EQ(task.get(), BoundaryError::Closed);
    }
    for (auto& thread : threads) {
        thread.join();
    }
}

TEST_P(BoundaryErrors, TasksThatWaitToReceiveGetClosedWhenTheServerGoes) {
    auto one = runtime(1);
    auto [client, server] = channel<int, int>(1);
    std::vector<JoinHandle<std::error_code>> tasks;
    for (int i = 0; i < 3; ++i) {
        tasks.push_back(one.handle().spawn_pinned(0, [&server = server, i]() -> Task<std::error_code> {
            auto request = co_await server.recv_timeout(i == 0 ? 1h : 2h);
            co_return request.error();
        }));
    }
    finish_step(one.handle(), 0);
    finish_step(one.handle(), 0);
    { const auto gone = std::move(server); }
    for (auto& task : tasks) {
        EXPECT_EQ(task.get(), BoundaryError::Closed);
    }
    EXPECT_EQ(client.try_call(1).error(), BoundaryError::Closed);
}

TEST_P(BoundaryErrors, BlockingOnAShardThrowsAndLeavesTheTicketAsItWas) {
    auto one = runtime(1);
    auto [client, server] = channel<int, int>(4);
    auto ticket = client.try_call(1).value();
    one.block_on([&, &client = client, &server = server] {
        EXPECT_THROW(static_cast<void>(ticket.get()), std::logic_error);
        EXPECT_THROW(static_cast<void>(ticket.wait_for(1h)), std::logic_error);
        EXPECT_THROW(static_cast<void>(client.call(1).get()), std::logic_error);
        EXPECT_THROW(static_cast<void>(client.call_with_timeout(1, 0ms).get()), std::logic_error);
        EXPECT_THROW(static_cast<void>(server.recv().get()), std::logic_error);
        EXPECT_THROW(static_cast<void>(server.recv_timeout(0ms).get()), std::logic_error);
    });
    auto request = server.try_recv();
    EXPECT_EQ(client.stats().calls, 1U);
    EXPECT_TRUE(request->respond(5).has_value());
    EXPECT_EQ(ticket.get().value(), 5);
}

TEST(BoundaryDeathTest, MisuseIsACheckedFailure) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    auto [client, server] = channel<int, int>(4);
    auto ticket = client.try_call(1).value();
    auto request = server.try_recv().value();
    EXPECT_EQ(request.take(), 1);
    EXPECT_DEATH(static_cast<void>(request.take()), "was asked for what was taken out of it");
    EXPECT_DEATH(static_cast<void>(request.request()), "was asked for what was taken out of it");
    EXPECT_TRUE(request.respond(2).has_value());
    EXPECT_DEATH(static_cast<void>(request.respond(2)), "was answered twice");
    const auto moved = std::move(request);
    EXPECT_DEATH(static_cast<void>(request.canceled()), "used after it was moved from");  // NOLINT
    EXPECT_EQ(ticket.get().value(), 2);
    EXPECT_DEATH(static_cast<void>(ticket.get()), "used after it was moved from, or its reply was got already");
    EXPECT_DEATH(static_cast<void>(ticket.operator co_await()), "its reply was got already");
    auto call = client.call_with_timeout(1, -1s);
    EXPECT_EQ(call.get().error(), BoundaryError::Timeout);
    EXPECT_DEATH(static_cast<void>(call.get()), "or its call a second time");
    auto other_call = client.call(1);
    static_cast<void>(other_call.operator co_await());
    EXPECT_DEATH(static_cast<void>(other_call.get()), "or its call a second time");
    const auto moved_client = std::move(client);
    EXPECT_DEATH(static_cast<void>(client.try_call(1)), "Client was used after it was moved from");  // NOLINT
    const auto moved_server = std::move(server);
    EXPECT_DEATH(static_cast<void>(server.try_recv()), "Server was used after it was moved from");  // NOLINT
}

}  // namespace
}  // namespace spargio::test
