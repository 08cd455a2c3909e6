// SPDX-License-Identifier: MIT
// A shard that sleeps with a task that waits for a message.
#pragma once

#include <thread>

#include "spargio/spargio.hpp"
#include "support/event.hpp"

namespace spargio::test {

/// The task sets `arrived` when a message has come; when this returns a shard has gone to sleep since it was spawned.
[[nodiscard]] inline JoinHandle<> receive_asleep(const RuntimeHandle& handle, ShardId shard, Event& arrived) {
    const auto parks = handle.stats_snapshot().parks;
    auto receiver = handle.spawn_pinned(shard, [&arrived]() -> Task<> {
        static_cast<void>(co_await ShardCtx::current()->next_event());
        arrived.set();
    });
    while (handle.stats_snapshot().parks == parks) {
        std::this_thread::yield();
    }
    return receiver;
}

}  // namespace spargio::test
