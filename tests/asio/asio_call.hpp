// SPDX-License-Identifier: MIT
// What the tests of async_call have in common: channels of numbers, a server, what a handler was called with.
#pragma once

#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <gtest/gtest.h>

#include "spargio/asio.hpp"
#include "support/backend_test.hpp"
#include "support/stress.hpp"

namespace spargio::test {

// The ends of a channel are not structured bindings here: Clang 14 cannot capture those.
using boundary::channel;
using boundary::Client;
using boundary::Server;

using IntClient = Client<int, int>;
using IntServer = Server<int, int>;

inline constexpr auto never = std::chrono::hours(1000);

/// A thread that answers each request with its double, until no client is left.
class Doubler {
public:
    explicit Doubler(IntServer server)
        : thread_([server = std::move(server)] {
              while (auto request = server.recv().get()) {
                  static_cast<void>(request->respond(request->request() * 2));
              }
          }) {}
    Doubler(const Doubler&) = delete;
    Doubler& operator=(const Doubler&) = delete;
    ~Doubler() { thread_.join(); }

private:
    std::thread thread_;
};

/// What a handler was called with, how often, and where.
struct Outcome {
    int calls = 0;
    std::error_code error;
    int reply = 0;
    std::thread::id thread;
    ShardId shard = external_sender;

    [[nodiscard]] auto handler() {
        return [this](std::error_code with, int value) {
            ++calls;
            error = with;
            reply = value;
            thread = std::this_thread::get_id();
            shard = shard_here();
        };
    }
};

class AsioCall : public ::testing::Test {
protected:
    [[nodiscard]] auto on_io(Outcome& outcome) { return asio::bind_executor(io_, outcome.handler()); }

    Watchdog watchdog_{"asio call"};
    asio::io_context io_;
};

}  // namespace spargio::test
