// SPDX-License-Identifier: MIT
// Ends, requests and tickets that are dropped or moved: who is told what, and when what they held is destroyed.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "support/backend_test.hpp"
#include "support/boundary_names.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

// The request expires between its hand-over and the thread's look at it, and both ends go meanwhile.
TEST(BoundaryDrops, BothEndsMayGoWhileAThreadIsGivenAnExpiredRequest) {
    const Watchdog watchdog("a receive");
    for (unsigned round = 0; round < scaled(1000, 500); ++round) {
        auto ends = channel<int, int>(1);
        std::optional<IntClient> client(std::move(ends.first));
        std::optional<IntServer> server(std::move(ends.second));
        std::atomic<pid_t> thread{0};
        std::thread receiver([&thread, receive = server->recv()] {
            thread = gettid();
            static_cast<void>(receive.get());
        });
        while (thread == 0) {
            std::this_thread::yield();
        }
        wait_until_asleep(thread);
        static_cast<void>(client->call_with_timeout(1, std::chrono::microseconds(round % 40)).get());
        client.reset();
        server.reset();
        receiver.join();
    }
}

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
