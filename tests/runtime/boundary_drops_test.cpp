// SPDX-License-Identifier: MIT
// Ends, requests and tickets that are dropped or moved: who is told what, and when what they held is destroyed.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

using boundary::channel;
using boundary::Client;
using boundary::Request;
using boundary::Server;
using boundary::Ticket;
using namespace std::chrono_literals;

using IntClient = Client<int, int>;
using IntServer = Server<int, int>;

TEST(BoundaryDrops, AssigningOverAnEndOrARequestEndsItAtOnce) {
    auto [client, server] = channel<int, int>(2);
    auto [other_client, other_server] = channel<int, int>(2);
    auto first = client.try_call(1);
    auto second = client.try_call(2);
    auto request = server.try_recv();
    auto next = server.try_recv();
    *request = std::move(*next);
    EXPECT_EQ(first->get().error(), BoundaryError::Canceled);
    EXPECT_EQ(request->request(), 2);
    *request = std::move(*request);  // NOLINT: it stays what it is.
    EXPECT_TRUE(request->respond(20).has_value());
    EXPECT_EQ(second->get().value(), 20);

    auto third = client.try_call(3);
    server = std::move(other_server);
    EXPECT_EQ(third->get().error(), BoundaryError::Closed);
    other_client = client;  // The last client of that channel.
    EXPECT_EQ(server.try_recv().error(), BoundaryError::Closed);
}

}  // namespace
}  // namespace spargio::test
