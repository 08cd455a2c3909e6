// SPDX-License-Identifier: MIT
// StackSpan: how far down the stacks of the shards something was called.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "spargio/shard_ctx.hpp"
#include "spargio/shard_id.hpp"

namespace spargio::test {

/// For up to eight shards, each with a stack of its own. note() is called where the depth matters.
class StackSpan {
public:
    // Not inlined: then the frame address is that of this call, in the real stack also under AddressSanitizer.
    __attribute__((noinline)) void note() noexcept {
        const auto address = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        const ShardCtx* here = ShardCtx::current();
        Stack& stack = stacks_[here != nullptr ? here->shard_id() % stacks_.size() : 0];
        if (address > stack.highest.load(std::memory_order_relaxed)) {
            stack.highest.store(address, std::memory_order_relaxed);
        }
        if (address < stack.lowest.load(std::memory_order_relaxed)) {
            stack.lowest.store(address, std::memory_order_relaxed);
        }
    }

    /// The most that any shard's stack has been apart at two calls.
    [[nodiscard]] std::size_t bytes() const noexcept {
        std::size_t most = 0;
        for (const Stack& stack : stacks_) {
            const auto highest = stack.highest.load(std::memory_order_relaxed);
            const auto lowest = stack.lowest.load(std::memory_order_relaxed);
            if (highest > lowest && highest - lowest > most) {
                most = highest - lowest;
            }
        }
        return most;
    }

private:
    // Written by the shard's thread.
    struct Stack {
        std::atomic<std::uintptr_t> highest{0};
        std::atomic<std::uintptr_t> lowest{UINTPTR_MAX};
    };
    std::array<Stack, 8> stacks_;
};

/// What 128 frames may take where a compiler makes no tail call of a symmetric transfer, and the loop has to step in.
inline constexpr std::size_t bounded_stack = std::size_t{128} * 1024;

}  // namespace spargio::test
