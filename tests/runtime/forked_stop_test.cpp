// SPDX-License-Identifier: MIT
// A stop that came before reaches also what a task begins in a child of its own: nothing is begun, nothing is taken.
#include <chrono>
#include <system_error>
#include <utility>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

class ForkedStop : public BackendTest {
protected:
    /// Runs `body()` on a shard as a task that has been stopped before it goes on.
    template <class Body>
    void run_stopped(const Body& body) {
        auto one = runtime(1);
        Event begun;
        Event stopped;
        auto task = one.handle().spawn_pinned(0, [&]() -> Task<> {
            begun.set();
            stopped.wait();
            co_await body();
        });
        begun.wait();
        task.request_stop();
        stopped.set();
        task.get();
    }

    Watchdog watchdog_{"a stop that reaches children"};
};
SPARGIO_ON_BOTH_BACKENDS(ForkedStop);

Task<spargio::Event> next_message() {
    co_return co_await ShardCtx::current()->next_event();
}

template <class T>
Task<std::error_code> error_of(Task<T> task) {
    try {
        static_cast<void>(co_await std::move(task));
    } catch (const std::system_error& error) {
        co_return error.code();
    }
    co_return std::error_code();
}

TEST_P(ForkedStop, LeavesAMessageWhereItIs) {
    run_stopped([]() -> Task<> {
        EXPECT_TRUE(ShardCtx::current()->send_raw_nowait(0, 1, 1).has_value());
        ShardCtx::current()->flush();
        const auto limited = co_await error_of(timeout(1h, next_message()));
        EXPECT_EQ(limited, std::errc::operation_canceled);
        const auto nested = co_await error_of(when_all(timeout(1h, next_message())));
        EXPECT_EQ(nested, std::errc::operation_canceled);
        const auto first = co_await error_of(when_any(next_message(), next_message()));
        EXPECT_EQ(first, std::errc::operation_canceled);
        EXPECT_TRUE(ShardCtx::current()->try_next_event().has_value());
    });
}

TEST_P(ForkedStop, BeginsNoCallAndTakesNoRequest) {
    auto ends = boundary::channel<int, int>(2);
    auto& client = ends.first;
    auto& server = ends.second;
    const auto waiting = client.try_call(7);
    run_stopped([&]() -> Task<> {
        const auto reply = co_await client.call_with_timeout(1, 1h);
        EXPECT_EQ(reply.error(), BoundaryError::Canceled);
        const auto request = co_await server.recv_timeout(1h);
        EXPECT_EQ(request.error(), BoundaryError::Canceled);
    });
    EXPECT_EQ(client.stats().calls, 1U);
    EXPECT_TRUE(server.try_recv().has_value());
}

TEST_P(ForkedStop, EndsASleepThatIsOver) {
    run_stopped([]() -> Task<> {
        const auto slept = co_await timeout(1h, []() -> Task<Result<void>> { co_return co_await sleep_for(0s); }());
        EXPECT_EQ(slept->error(), std::errc::operation_canceled);
    });
}

TEST_P(ForkedStop, DoesNotReachBelowAShield) {
    run_stopped([]() -> Task<> {
        EXPECT_TRUE(ShardCtx::current()->send_raw_nowait(0, 1, 1).has_value());
        ShardCtx::current()->flush();
        const auto got = co_await without_stop(timeout(1h, next_message()));
        EXPECT_TRUE(got.has_value());
    });
}

}  // namespace
}  // namespace spargio::test
