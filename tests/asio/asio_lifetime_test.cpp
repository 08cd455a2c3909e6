// SPDX-License-Identifier: MIT
// What owns what: memory that a handler owns, clients that an operation does not keep, a channel that ends meanwhile.
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <asio/associated_allocator.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>

#include "spargio/asio.hpp"
#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

using boundary::channel;
using boundary::Client;
using boundary::Server;
using namespace std::chrono_literals;

/// Memory that goes with its last owner; how many blocks it has out is told then.
struct Session {
    explicit Session(std::ptrdiff_t& left) : blocks_left(left) {}
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() { blocks_left = blocks; }

    std::ptrdiff_t& blocks_left;
    std::ptrdiff_t blocks = 0;
};

template <class T>
struct SessionAllocator {
    using value_type = T;

    explicit SessionAllocator(Session& of) noexcept : session(&of) {}
    template <class U>
    explicit(false) SessionAllocator(const SessionAllocator<U>& other) noexcept : session(other.session) {}

    T* allocate(std::size_t count) {
        ++session->blocks;
        return std::allocator<T>().allocate(count);
    }
    void deallocate(T* block, std::size_t count) noexcept {
        --session->blocks;
        std::allocator<T>().deallocate(block, count);
    }
    template <class U>
    bool operator==(const SessionAllocator<U>& other) const noexcept {
        return session == other.session;
    }

    Session* session;
};

/// Owns the memory that its own allocator gives.
struct SessionHandler {
    using allocator_type = SessionAllocator<char>;

    [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type(*session); }
    void operator()(std::error_code, int reply) const { *got = reply; }

    std::shared_ptr<Session> session;
    int* got;
};

TEST(AsioLifetime, AHandlerMayOwnTheMemoryThatItLivesIn) {
    auto ends = channel<int, int>(4);
    asio::io_context io;
    std::ptrdiff_t blocks_left = -1;
    int got = 0;
    async_call(ends.first, 1, asio::bind_executor(io, SessionHandler{std::make_shared<Session>(blocks_left), &got}));
    ASSERT_TRUE(ends.second.try_recv()->respond(7));
    io.run();
    EXPECT_EQ(got, 7);
    EXPECT_EQ(blocks_left, 0);
}

TEST(AsioLifetime, AndWhenItsContextIsDestroyed) {
    auto ends = channel<int, int>(4);
    std::ptrdiff_t blocks_left = -1;
    int got = 0;
    {
        asio::io_context io;
        async_call(ends.first, 1,
                   asio::bind_executor(io, SessionHandler{std::make_shared<Session>(blocks_left), &got}));
    }
    EXPECT_EQ(got, 0);
    EXPECT_EQ(blocks_left, 0);
    EXPECT_EQ(ends.second.try_recv().error(), std::errc::operation_would_block);
}

// A coroutine keeps what it has given to an operation until that ends; a client must not be among it.
TEST(AsioLifetime, AnOperationOfACoroutineKeepsNoClient) {
    auto ends = channel<int, int>(4);
    std::optional<Client<int, int>> client(std::move(ends.first));
    asio::io_context io;
    const auto calls = [&]() -> asio::awaitable<void> { co_await async_call(*client, 1, asio::use_awaitable); };
    asio::co_spawn(io, calls, asio::detached);
    io.poll();
    client.reset();
    auto request = ends.second.try_recv();
    ASSERT_TRUE(request.has_value());
    EXPECT_EQ(ends.second.try_recv().error(), BoundaryError::Closed);
    ASSERT_TRUE(request->respond(1));
    io.run();
}

/// Does something when it goes.
struct Parting {
    Parting() = default;
    explicit Parting(std::function<void()> what) : at_end(std::move(what)) {}
    Parting(Parting&& other) noexcept : at_end(std::exchange(other.at_end, nullptr)) {}
    Parting(const Parting&) = delete;
    Parting& operator=(const Parting&) = delete;
    Parting& operator=(Parting&&) = delete;
    ~Parting() {
        if (at_end) {
            at_end();
        }
    }

    std::function<void()> at_end;
};

class AsioLifetimeOfAChannel : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(AsioLifetimeOfAChannel);

// The first request expires in the receiver's first look, the second in its second one, which then waits. While the
// second is being destroyed, another shard has received a third, and let go of both ends.
TEST_P(AsioLifetimeOfAChannel, MayEndWhileAReceiverEndsWhatHasExpired) {
    const Watchdog watchdog("expired requests");
    VirtualClock time;
    asio::io_context never_run;
    auto ends = channel<Parting, int>(8);
    std::optional<Client<Parting, int>> client(std::move(ends.first));
    Event server_gone;
    const auto expires = [&](Parting request) {
        async_call_with_timeout(*client, std::move(request), 1ms,
                                asio::bind_executor(never_run, [](std::error_code, int) {}));
        time.set(time.now() + 2ms);
    };
    const auto third = [&] {
        const auto ticket = client->try_call(Parting());
        EXPECT_TRUE(ticket.has_value());
        client.reset();
        server_gone.wait();
    };
    const auto second = [&] { expires(Parting(third)); };
    expires(Parting(second));
    const auto serve = [](Server<Parting, int> server, Event& gone) -> Task<> {
        {
            const auto mine = std::move(server);
            const auto request = co_await mine.recv();
            EXPECT_TRUE(request.has_value());
        }
        gone.set();
    };
    auto two = runtime(2);  // The last to come: its end waits for the shard that still destroys the second request.
    two.handle().spawn_stealable(serve(std::move(ends.second), server_gone)).get();
}

}  // namespace
}  // namespace spargio::test
