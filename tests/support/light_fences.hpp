// SPDX-License-Identifier: MIT
// Bringing a runtime to where the owners of the deques leave their fences out (src/asymmetric_fence.hpp).
#pragma once

#include "shard.hpp"
#include "spargio/spargio.hpp"
#include "support/small_tasks.hpp"

namespace spargio::test {

/// On a shard: whether its pushes and pops are plain stores now.
[[nodiscard]] inline bool fences_are_light() noexcept {
    return detail::current_shard()->core->fence.look().light();
}

/// Forks until the fences are light: while all other shards are inside steps, that is a matter of some hundred
/// microseconds.
[[nodiscard]] inline Task<> fork_until_light() {
    while (!fences_are_light()) {
        static_cast<void>(co_await fib(8));
    }
}

}  // namespace spargio::test
