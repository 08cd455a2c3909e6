// SPDX-License-Identifier: MIT
// A task whose stop sends a message, and one that waits for it: what a callback of a stop sends must be published.
#pragma once

#include <cstdint>
#include <stop_token>

#include <gtest/gtest.h>

#include "spargio/spargio.hpp"
#include "support/event.hpp"

namespace spargio::test {

/// For shard 1: sets `received` when the message is there, and gives its value.
inline Task<std::uint32_t> receives(Event& received) {
    const spargio::Event event = co_await ShardCtx::current()->next_event();
    received.set();
    co_return event.val;
}

/// For another shard: its stop sends 42 to shard 1. Ends when that has been received, whatever its stop says.
inline Task<> sends_when_stopped(Event& received) {
    const auto token = co_await this_task::stop_token();
    const auto send = [] { EXPECT_TRUE(ShardCtx::current()->send_raw_nowait(1, 1, 42).has_value()); };
    const std::stop_callback callback(token, send);
    static_cast<void>(co_await without_stop(received.async_wait()));
}

}  // namespace spargio::test
