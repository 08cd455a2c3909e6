// SPDX-License-Identifier: MIT
// Stops of tasks that wait at a boundary, and the turn of those beside them.
#include <atomic>
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

namespace spargio::test {
namespace {

static_assert(std::is_error_code_enum_v<BoundaryError>);

class BoundaryStop : public BackendTest {
protected:
    JoinHandle<Result<int>> await_ticket() {
        auto calling = handle_.spawn_pinned(
            0, [ticket = client_.try_call(1).value()]() mutable -> Task<Result<int>> { co_return co_await ticket; });
        finish_step(handle_, 0);
        return calling;
    }
    JoinHandle<Result<int>> call() {
        auto calling =
            handle_.spawn_pinned(0, [client = client_]() -> Task<Result<int>> { co_return co_await client.call(1); });
        finish_step(handle_, 0);
        return calling;
    }
    JoinHandle<Result<int>> receive() {
        auto receiving = handle_.spawn_pinned(0, [this]() -> Task<Result<int>> {
            auto request = co_await server_.recv();
            if (!request) {
                co_return request.error();
            }
            const int value = request->take();
            static_cast<void>(request->respond(value));
            co_return value;
        });
        finish_step(handle_, 0);
        return receiving;
    }

    Watchdog watchdog_{"stops at a boundary"};
    std::pair<IntClient, IntServer> made_ = channel<int, int>(4);
    IntClient client_ = std::move(made_.first);
    IntServer server_ = std::move(made_.second);
    Runtime one_ = runtime(1);
    RuntimeHandle handle_ = one_.handle();
};
SPARGIO_ON_BOTH_BACKENDS(BoundaryStop);

TEST_P(BoundaryStop, EndsACallThatIsQueued) {
    for (const bool with_ticket : {false, true}) {
        auto calling = with_ticket ? await_ticket() : call();
        EXPECT_EQ(client_.stats().depth, 1U);
        calling.request_stop();
        const auto reply = calling.get();
        EXPECT_EQ(reply.error(), BoundaryError::Canceled);
        EXPECT_EQ(reply.error(), std::errc::operation_canceled);
        EXPECT_EQ(client_.stats().depth, 0U);
    }
    EXPECT_EQ(client_.stats().canceled, 2U);
}

TEST_P(BoundaryStop, EndsACallThatIsTaken) {
    for (const bool with_ticket : {false, true}) {
        auto calling = with_ticket ? await_ticket() : call();
        auto request = server_.try_recv();
        calling.request_stop();
        EXPECT_EQ(calling.get().error(), BoundaryError::Canceled);
        EXPECT_TRUE(request->canceled());
        EXPECT_EQ(request->request(), 1) << "the server's still";
        EXPECT_EQ(request->respond(1).error(), BoundaryError::Canceled);
    }
    EXPECT_EQ(client_.stats().canceled, 2U);
}

TEST_P(BoundaryStop, AReplyThatCameFirstWins) {
    for (const bool with_ticket : {false, true}) {
        auto calling = with_ticket ? await_ticket() : call();
        auto request = server_.try_recv();
        {
            StalledShard stalled(handle_, 0);
            EXPECT_TRUE(request->respond(2).has_value());
            calling.request_stop();
        }
        EXPECT_EQ(calling.get().value(), 2);
    }
}

TEST_P(BoundaryStop, BeforeTheCallMeansNoCall) {
    Event go;
    auto calling = handle_.spawn_pinned(0, [&]() -> Task<> {
        auto ticket = client_.try_call(1).value();
        auto answered = client_.try_call(2).value();
        EXPECT_EQ(server_.try_recv()->request(), 1);
        EXPECT_TRUE(server_.try_recv()->respond(5).has_value());
        go.wait();
        EXPECT_EQ((co_await client_.call(3)).error(), BoundaryError::Canceled);
        EXPECT_EQ((co_await client_.call_with_timeout(3, std::chrono::hours(1))).error(), BoundaryError::Canceled);
        EXPECT_EQ((co_await answered).value(), 5) << "it was there before";
        auto queued = client_.try_call(4).value();
        EXPECT_EQ((co_await queued).error(), BoundaryError::Canceled);
        EXPECT_EQ((co_await ticket).error(), BoundaryError::Canceled);
        auto other = client_.try_call(6).value();
        EXPECT_EQ((co_await server_.recv()).error(), BoundaryError::Canceled) << "whatever is queued";
        EXPECT_EQ((co_await server_.recv_timeout(std::chrono::hours(1))).error(), BoundaryError::Canceled);
        EXPECT_EQ(client_.stats().depth, 1U);
    });
    calling.request_stop();
    go.set();
    calling.get();
    EXPECT_EQ(client_.stats().calls, 4U);
    EXPECT_EQ(client_.stats().depth, 0U);
}

TEST_P(BoundaryStop, EndsAReceive) {
    auto receiving = receive();
    receiving.request_stop();
    EXPECT_EQ(receiving.get().error(), BoundaryError::Canceled);
    auto ticket = client_.try_call(7);
    EXPECT_EQ(client_.stats().depth, 1U) << "not given to who has left";
    EXPECT_EQ(server_.try_recv()->request(), 7);
}

TEST_P(BoundaryStop, ARequestThatCameFirstIsGiven) {
    auto receiving = receive();
    std::optional<Ticket<int>> ticket;
    {
        StalledShard stalled(handle_, 0);
        ticket.emplace(client_.try_call(7).value());
        receiving.request_stop();
    }
    EXPECT_EQ(receiving.get().value(), 7);
    EXPECT_EQ(ticket->get().value(), 7);
}

TEST_P(BoundaryStop, ABusyServerEnds) {
    std::atomic<bool> enough = false;
    std::vector<std::thread> callers;
    for (int i = 0; i < 2; ++i) {
        callers.emplace_back([&] {
            while (!enough) {
                auto ticket = client_.try_call(1);
            }
        });
    }
    std::atomic<int> served = 0;
    auto serving = handle_.spawn_pinned(0, [&]() -> Task<std::error_code> {
        for (;;) {
            auto request = co_await server_.recv();
            if (!request) {
                co_return request.error();
            }
            ++served;
        }
    });
    while (served < 1000) {
        std::this_thread::yield();
    }
    serving.request_stop();
    EXPECT_EQ(serving.get(), BoundaryError::Canceled);
    enough = true;
    for (auto& caller : callers) {
        caller.join();
    }
}

TEST_P(BoundaryStop, AServerThatAlwaysFindsRequestsLetsOthersRun) {
    constexpr int all = 2000;
    auto [client, server] = channel<int, int>(all);
    std::vector<Ticket<int>> tickets;
    for (int i = 0; i < all; ++i) {
        tickets.push_back(client.try_call(i).value());
    }
    int served = 0;
    JoinHandle<> serving;
    JoinHandle<int> other;
    {
        StalledShard stalled(handle_, 0);
        serving = handle_.spawn_pinned(0, [&, server = std::move(server)]() -> Task<> {
            for (; served < all; ++served) {
                auto request = co_await server.recv();
                EXPECT_EQ(request->request(), served);
            }
        });
        other = handle_.spawn_pinned(0, [&] { return served; });
    }
    EXPECT_EQ(other.get(), 256);
    serving.get();
    EXPECT_EQ(served, all);
}

}  // namespace
}  // namespace spargio::test
