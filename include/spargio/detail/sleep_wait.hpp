// SPDX-License-Identifier: MIT
// A task's sleep on a shard's timer queue.
#pragma once

#include <cstdint>

#include "spargio/detail/seams.hpp"
#include "spargio/detail/shard_wait.hpp"
#include "spargio/detail/timer_queue.hpp"

namespace spargio::detail {

/// On the timer queue of the shard that the task went to sleep on. Lives in the awaiter.
struct SleepWait : ShardWait, TimerNode {
    /// `was_ahead`: it was made just now, and is longer than nothing.
    explicit SleepWait(clock::time_point due_at, bool was_ahead) noexcept;

    enum class End : std::uint8_t { Due, Stopped };

    End end = End::Due;  // In the last bytes of TimerNode, as what follows.
    const bool ahead;
};

/// False: do not suspend; `end` says why, or there was nothing to wait for.
[[nodiscard]] bool sleep_suspend(SleepWait& wait, TaskHeader* root) noexcept;

}  // namespace spargio::detail
