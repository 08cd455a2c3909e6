// SPDX-License-Identifier: MIT
// What is carried across a boundary: when it is destroyed, and what it may be.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/boundary_names.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

using Names = std::vector<std::string>;

class BoundaryPayload : public BackendTest {
protected:
    Watchdog watchdog_{"what is carried across a boundary"};
};
SPARGIO_ON_BOTH_BACKENDS(BoundaryPayload);

TEST(BoundaryRequests, EndWithTheirPlaceInTheQueue) {
    EndLog log;
    auto [client, server] = channel<Tracker, int>(1);
    {
        auto ticket = client.try_call(Tracker(log, "left"));
        EXPECT_EQ(client.try_call(Tracker(log, "refused")).error(), BoundaryError::Overloaded);
        EXPECT_EQ(log.names(), Names{"refused"});
    }
    EXPECT_EQ(log.names(), (Names{"refused", "left"}));
    auto ticket = client.try_call(Tracker(log, "closed"));
    { const auto gone = std::move(server); }
    EXPECT_EQ(log.names(), (Names{"refused", "left", "closed"})) << "before its caller has looked";
    EXPECT_EQ(client.try_call(Tracker(log, "late")).error(), BoundaryError::Closed);
    EXPECT_EQ(log.size(), 4U);
    EXPECT_EQ(ticket->get().error(), BoundaryError::Closed);
    EXPECT_EQ(log.size(), 4U);
}

TEST(BoundaryRequests, EndWithTheServersSideOfTheCall) {
    EndLog log;
    auto [client, server] = channel<Tracker, Tracker>(4);
    {
        auto ticket = client.try_call(Tracker(log, "request"));
        std::optional request = server.try_recv().value();
        EXPECT_TRUE(request->respond(Tracker(log, "reply")).has_value());
        EXPECT_EQ(log.size(), 0U) << "an answer leaves the request alone";
        request.reset();
        EXPECT_EQ(log.names(), Names{"request"});
        {
            const auto reply = ticket->get();
            EXPECT_EQ(log.size(), 1U);
        }
        EXPECT_EQ(log.names(), (Names{"request", "reply"}));
    }
    {
        auto ticket = client.try_call(Tracker(log, "taken"));
        auto request = server.try_recv().value();
        { const auto taken = request.take(); }
        EXPECT_EQ(log.all().back().name, "taken");
        { const auto left = std::move(*ticket); }
        EXPECT_TRUE(request.canceled());
        EXPECT_EQ(request.respond(Tracker(log, "unwanted")).error(), BoundaryError::Canceled);
        EXPECT_EQ(log.all().back().name, "unwanted") << "at once";
    }
    EXPECT_EQ(log.size(), 4U);
    {
        auto ticket = client.try_call(Tracker(log, "asked"));
        EXPECT_TRUE(server.try_recv()->respond(Tracker(log, "not read")).has_value());
    }
    EXPECT_EQ(log.size(), 6U);
}

TEST(BoundaryRequests, OutliveServerAndClients) {
    std::optional<Request<std::string, std::string>> request;
    std::optional<Ticket<std::string>> ticket;
    {
        auto [client, server] = channel<std::string, std::string>(1);
        ticket.emplace(client.try_call("a request that is too long for a small string").value());
        request.emplace(server.try_recv().value());
    }
    std::thread elsewhere([moved = std::move(*request)]() mutable {
        EXPECT_EQ(moved.request().size(), 45U);
        EXPECT_TRUE(moved.respond(moved.take() + "!").has_value());
    });
    EXPECT_EQ(ticket->get().value().size(), 46U);
    elsewhere.join();
}

struct alignas(256) Wide {
    explicit Wide(int first) { numbers.fill(first); }
    [[nodiscard]] bool is(int value) const {
        return reinterpret_cast<std::uintptr_t>(this) % 256 == 0 && numbers.front() == value && numbers.back() == value;
    }

    std::array<int, 5000> numbers;
};

TEST(BoundaryRequests, MayBeLargeAndOverAligned) {
    auto [client, server] = channel<Wide, Wide>(1);
    std::thread serving([server = std::move(server)] {
        while (auto request = server.recv().get()) {
            EXPECT_TRUE(request->request().is(3));
            EXPECT_TRUE(request->respond(Wide(4)).has_value());
        }
    });
    for (int i = 0; i < 10; ++i) {
        auto ticket = client.try_call(Wide(3));
        const auto reply = ticket->get();
        EXPECT_EQ(reply->numbers.back(), 4);
    }
    { const auto gone = std::move(client); }
    serving.join();
}

TEST_P(BoundaryPayload, MayBeMoveOnlyAndLarge) {
    using Owner = std::unique_ptr<int>;
    using Large = std::array<int, 5000>;
    auto two = runtime(2);
    auto [client, server] = channel<Owner, Large>(1);
    auto serving = two.handle().spawn_pinned(0, [server = std::move(server)]() -> Task<> {
        for (;;) {
            auto request = co_await server.recv();
            if (!request) {
                co_return;
            }
            Large reply{};
            reply.back() = *request->take();
            static_cast<void>(request->respond(reply));
        }
    });
    two.handle()
        .spawn_pinned(1,
                      [client = std::move(client)]() -> Task<> {
                          for (int i = 0; i < 50; ++i) {
                              auto operation = i % 2 == 0 ? std::make_unique<int>(i) : std::make_unique<int>(-i);
                              const int sent = *operation;
                              const auto reply = co_await client.call(std::move(operation));
                              EXPECT_EQ(reply->back(), sent);
                          }
                      })
        .get();
    serving.get();
}

/// Throws in the move whose turn it is.
struct Thrower {
    explicit Thrower(int moves) : moves_left(moves) { ++live; }
    Thrower(Thrower&& other) : moves_left(other.moves_left - 1) {
        if (other.moves_left == 0) {
            throw std::runtime_error("moved once too often");
        }
        ++live;
    }
    Thrower& operator=(Thrower&&) = delete;
    Thrower(const Thrower&) = delete;
    Thrower& operator=(const Thrower&) = delete;
    ~Thrower() { --live; }

    static inline std::atomic<int> live = 0;
    int moves_left;
};

TEST_P(BoundaryPayload, AMoveThatThrowsLosesNothingElse) {
    VirtualClock clock;
    auto one = runtime(1);
    auto [client, server] = channel<Thrower, Thrower>(4);
    std::uint64_t arrived = 0;
    const auto try_all = [&arrived, &server = server](auto call) {
        for (int moves = 0; moves < 12; ++moves) {
            try {
                call(moves);
            } catch (const std::runtime_error&) {}
            while (auto request = server.try_recv()) {
                ++arrived;
            }
        }
    };
    try_all([&client = client](int moves) { static_cast<void>(client.try_call(Thrower(moves))); });
    try_all([&, &client = client](int moves) {
        auto calling = one.handle().spawn_pinned(0, [&client, moves]() -> Task<> {
            auto operation = client.call_with_timeout(Thrower(moves), std::chrono::milliseconds(1));
            static_cast<void>(co_await operation);
        });
        clock.advance_until_done(one.handle(), calling, std::chrono::milliseconds(1));
        calling.get();
    });
    EXPECT_EQ(Thrower::live, 0);
    EXPECT_EQ(client.stats().depth, 0U);

    auto ticket = client.try_call(Thrower(100)).value();
    auto request = server.try_recv().value();
    EXPECT_THROW(static_cast<void>(request.respond(Thrower(0))), std::runtime_error);
    EXPECT_TRUE(request.respond(Thrower(100)).has_value()) << "it was not answered yet";
    EXPECT_TRUE(ticket.get().has_value());
    auto second = client.try_call(Thrower(100)).value();
    {
        auto dropped = server.try_recv().value();
        EXPECT_THROW(static_cast<void>(dropped.respond(Thrower(0))), std::runtime_error);
    }
    EXPECT_EQ(second.get().error(), BoundaryError::Canceled);
}

/// Clients that travel in requests: the last of them ends where nobody holds the channel's lock.
TEST(BoundaryRequests, MayCarryTheirOwnClient) {
    struct Carrier;
    using CarrierClient = Client<std::shared_ptr<Carrier>, int>;
    struct Carrier {
        std::optional<CarrierClient> client;
    };
    auto [client, server] = channel<std::shared_ptr<Carrier>, int>(4);
    auto carrier = std::make_shared<Carrier>();
    carrier->client.emplace(client);
    auto ticket = client.try_call(std::move(carrier));
    { const auto gone = std::move(client); }
    EXPECT_EQ(server.stats().depth, 1U);
    { const auto gone = std::move(server); }
    EXPECT_EQ(ticket->get().error(), BoundaryError::Closed);
}

}  // namespace
}  // namespace spargio::test
