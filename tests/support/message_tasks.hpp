// SPDX-License-Identifier: MIT
// Small tasks that send and receive messages.
#pragma once

#include <cstdint>

#include <gtest/gtest.h>

#include "spargio/spargio.hpp"

namespace spargio::test {

/// What the next message to the task's shard carries.
inline Task<std::uint32_t> next_value() {
    co_return (co_await ShardCtx::current()->next_event()).val;
}

/// Sends `count` messages from `first` on to shard 0, in a step of it: it finds them all in one look.
inline void send_in_one_step(const RuntimeHandle& runtime, std::uint32_t first, std::uint32_t count) {
    const auto send = [target = *runtime.remote(0), first, count] {
        for (std::uint32_t i = 0; i < count; ++i) {
            EXPECT_TRUE(target.send_raw_nowait(1, first + i).has_value());
        }
    };
    runtime.spawn_pinned(0, send).get();
}

}  // namespace spargio::test
