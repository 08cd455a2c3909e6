// SPDX-License-Identifier: MIT
// The counters of a runtime.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace spargio {

/// A snapshot of a runtime's counters, taken with RuntimeHandle::stats_snapshot(). Taking one reads each shard's
/// counters without stopping anybody, so under load its fields belong to slightly different moments, and a total may
/// lag a turn of the loop behind a join. Totals count since the runtime was built and never go down; the names with
/// pending, live or depth are gauges. When the runtime is at rest, ring_msgs_submitted = ring_msgs_completed +
/// ring_msgs_failed, pending_native_ops = 0 and tasks_live = 0.
struct RuntimeStats {
    /// Gauge, one entry per shard: pinned tasks of that shard that have not had their first step, and what waits in its
    /// stealable queue: tasks before their first step, and stealable ones that yielded or were woken. Of what a shard
    /// spawns, forks or wakes itself, 1,024 at most are there: the rest is in the queue that all shards share, and in
    /// none of these numbers.
    std::vector<std::uint64_t> shard_command_depths;

    /// Tasks accepted for one fixed shard: pinned, round robin, sticky, those spawned locally, and what when_all()
    /// and the like run on one shard.
    std::uint64_t spawn_pinned_submitted = 0;
    /// Tasks accepted as stealable, with or without a preferred shard, and forked ones.
    std::uint64_t spawn_stealable_submitted = 0;
    /// Stealable tasks that have begun to run, on whichever shard.
    std::uint64_t stealable_executed = 0;
    /// Stealable work items that a shard took from another shard's queue.
    std::uint64_t stealable_stolen = 0;

    /// Messages accepted by a send.
    std::uint64_t ring_msgs_submitted = 0;
    /// Messages that their target shard has seen.
    std::uint64_t ring_msgs_completed = 0;
    /// Messages accepted that their target will never see, because it stopped first.
    std::uint64_t ring_msgs_failed = 0;
    /// Messages, not sends, refused because the queue of the pair was full; they were never accepted. Where a send of
    /// many has room for some, it counts the others.
    std::uint64_t ring_msgs_backpressure = 0;

    /// Wake-ups sent to a shard that slept or was about to. Far fewer than what is queued, when shards are busy.
    std::uint64_t doorbells_rung = 0;

    /// Looks of an idle shard into another shard's queue.
    std::uint64_t steal_attempts = 0;
    /// Those looks that brought work; each may bring several items, see stealable_stolen.
    std::uint64_t steal_successes = 0;

    /// Times a shard had nothing to do and blocked in the kernel.
    std::uint64_t parks = 0;
    /// Times the safety timeout of a parked shard found work for which no bell came, and which nobody else took, within
    /// a further 50 ms. Anything but 0 is a bug in the library or the kernel, or a waker that had no CPU for as long as
    /// that: please report it.
    std::uint64_t late_wakes = 0;
    /// Times a ring's completion queue was full and the kernel had to keep completions aside. Nothing is lost, but many
    /// of them ask for a larger ring_entries.
    std::uint64_t cq_overflows = 0;

    /// Ring operations that turned up on a shard that does not own their ring and were refused. Anything but 0 is a
    /// bug.
    std::uint64_t native_affinity_violations = 0;
    /// Gauge: ring operations begun and not yet completed by the kernel.
    std::uint64_t pending_native_ops = 0;

    /// Sleeps and timeouts that came due; those cancelled before do not count.
    std::uint64_t timers_fired = 0;
    /// Gauge: tasks of shards that were accepted and whose frame has not been destroyed yet; blocking jobs are not
    /// counted.
    std::uint64_t tasks_live = 0;

    [[nodiscard]] bool operator==(const RuntimeStats&) const = default;
};

/// One line for logs and test failures: every field in order, as name=value, separated by spaces.
[[nodiscard]] std::string to_string(const RuntimeStats& stats);

/// The text exposition format of Prometheus (version 0.0.4), ready to be the body of a /metrics answer. A field `x` is
/// the counter `spargio_x_total`, a gauge is `spargio_x`, and `shard_command_depths` is `spargio_shard_command_depth`
/// with one sample per shard, labelled `shard="0"` and up.
[[nodiscard]] std::string to_prometheus(const RuntimeStats& stats);

}  // namespace spargio
