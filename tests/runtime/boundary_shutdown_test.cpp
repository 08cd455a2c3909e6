// SPDX-License-Identifier: MIT
// Runtimes that end while their tasks wait at a boundary: the other side is told, and nothing is left.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/boundary_names.hpp"
#include "support/event.hpp"
#include "support/shutdown_checks.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

class BoundaryShutdown : public BackendTest {
protected:
    Watchdog watchdog_{"a shutdown of tasks at a boundary"};
};
SPARGIO_ON_BOTH_BACKENDS(BoundaryShutdown);

/// Waits for one request, and is not resumed with it.
Task<> receive_in_vain(IntServer server, Event& begun) {
    begun.set();
    static_cast<void>(co_await server.recv());
    ADD_FAILURE() << "no task is resumed by a shutdown";
}

TEST_P(BoundaryShutdown, ARequestThatAWaitingTaskWasGivenIsCanceled) {
    std::optional<Runtime> one = runtime(1);
    const auto handle = one->handle();
    auto [client, server] = channel<int, int>(1);
    Event begun;
    auto serving = handle.spawn_pinned(0, receive_in_vain(std::move(server), begun));
    begun.wait();
    finish_step(handle, 0);
    StalledShard stalled(handle, 0);
    auto ticket = client.try_call(1);
    ASSERT_EQ(client.stats().depth, 0U) << "the waiting task was given it";
    stalled.shut_down(*one);
    one->shutdown();
    EXPECT_EQ(ticket->get().error(), BoundaryError::Canceled);
    EXPECT_EQ(client.call(2).get().error(), BoundaryError::Closed);
    EXPECT_EQ(code_of(serving), JoinError::Canceled);
    expect_nothing_left(handle);
}

}  // namespace
}  // namespace spargio::test
