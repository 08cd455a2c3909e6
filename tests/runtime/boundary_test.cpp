// SPDX-License-Identifier: MIT
// Boundary channels: calls in both directions, their errors, room, deadlines, stops, drops.
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/boundary_names.hpp"
#include "support/event.hpp"
#include "support/small_tasks.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

static_assert(std::is_copy_constructible_v<IntClient> && std::is_nothrow_move_constructible_v<IntClient>);
static_assert(!std::is_copy_constructible_v<IntServer> && std::is_nothrow_move_constructible_v<IntServer>);
static_assert(!std::is_copy_constructible_v<Ticket<int>> && std::is_nothrow_move_assignable_v<Ticket<int>>);
static_assert(!std::is_copy_constructible_v<Request<int, int>> && std::is_nothrow_move_assignable_v<Request<int, int>>);

class Boundary : public BackendTest {
protected:
    Watchdog watchdog_{"boundary"};
};
SPARGIO_ON_BOTH_BACKENDS(Boundary);

/// Answers each request with its double until no client is left.
Task<> serve_doubles(IntServer server) {
    for (;;) {
        auto request = co_await server.recv();
        if (!request) {
            EXPECT_EQ(request.error(), BoundaryError::Closed);
            co_return;
        }
        const int value = request->take();
        EXPECT_TRUE(request->respond(value * 2).has_value());
    }
}

TEST_P(Boundary, AThreadCallsATask) {
    auto two = runtime(2);
    auto [client, server] = channel<int, int>(4);
    auto serving = two.handle().spawn_stealable(serve_doubles(std::move(server)));
    for (int i = 0; i < 1000; ++i) {
        ASSERT_EQ(client.call(i).get().value(), 2 * i);
        ASSERT_EQ(client.call_with_timeout(i, never).get().value(), 2 * i);
        auto ticket = client.try_call(i);
        ASSERT_EQ(ticket->get().value(), 2 * i);
    }
    { const auto gone = std::move(client); }
    serving.get();
}

TEST_P(Boundary, ATaskCallsAThread) {
    auto two = runtime(2);
    auto [client, server] = channel<int, int>(4);
    std::thread thread([server = std::move(server)] {
        for (;;) {
            auto request = server.recv().get();
            if (!request) {
                EXPECT_EQ(request.error(), BoundaryError::Closed);
                return;
            }
            EXPECT_TRUE(request->respond(request->request() * 2).has_value());
        }
    });
    for (const auto placement : {TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        two.handle()
            .spawn_with_placement(placement,
                                  [client = client]() -> Task<> {
                                      for (int i = 0; i < 500; ++i) {
                                          EXPECT_EQ((co_await client.call(i)).value(), 2 * i);
                                          EXPECT_EQ((co_await client.call_with_timeout(i, never)).value(), 2 * i);
                                          auto ticket = client.try_call(i);
                                          EXPECT_EQ((co_await *ticket).value(), 2 * i);
                                      }
                                  })
            .get();
    }
    { const auto gone = std::move(client); }
    thread.join();
}

TEST_P(Boundary, BothEndsOnOneShardOrOnTwoRuntimes) {
    auto one = runtime(1);
    auto other = runtime(1);
    for (auto* where : {&one, &other}) {
        auto [client, server] = channel<int, int>(1);
        auto serving = one.handle().spawn_pinned(0, serve_doubles(std::move(server)));
        where->handle()
            .spawn_pinned(0,
                          [client = std::move(client)]() -> Task<> {
                              for (int i = 0; i < 500; ++i) {
                                  EXPECT_EQ((co_await client.call(i)).value(), 2 * i);
                              }
                          })
            .get();
        serving.get();
    }
}

}  // namespace
}  // namespace spargio::test
