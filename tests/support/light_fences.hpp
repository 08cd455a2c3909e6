// SPDX-License-Identifier: MIT
// Bringing a runtime to where the owners of the deques leave their fences out (src/asymmetric_fence.hpp).
#pragma once

#include <cstdint>
#include <tuple>

#include "shard.hpp"
#include "spargio/spargio.hpp"

namespace spargio::test {

/// On a shard: whether its pushes and pops are plain stores now.
[[nodiscard]] inline bool fences_are_light() noexcept {
    return detail::current_shard()->core->fence.look().light();
}

[[nodiscard]] inline Task<std::uint64_t> forked_fib(std::uint64_t n) {
    if (n < 2) {
        co_return n;
    }
    const auto sides = co_await fork_join(forked_fib(n - 1), forked_fib(n - 2));
    co_return std::get<0>(sides) + std::get<1>(sides);
}

/// Forks until the fences are light: while all other shards are inside steps, that is a matter of some hundred
/// microseconds.
[[nodiscard]] inline Task<> fork_until_light() {
    while (!fences_are_light()) {
        static_cast<void>(co_await forked_fib(8));
    }
}

}  // namespace spargio::test
