// SPDX-License-Identifier: MIT
// The two texts made from a RuntimeStats.
#include "spargio/stats.hpp"

#include <cstddef>
#include <iterator>
#include <string_view>

namespace spargio {
namespace {

enum class Kind { Counter, Gauge };

struct Field {
    std::string_view name;
    std::uint64_t RuntimeStats::*member;
    Kind kind;
    std::string_view help;
};

constexpr Field fields[] = {
    {"spawn_pinned_submitted", &RuntimeStats::spawn_pinned_submitted, Kind::Counter,
     "Tasks accepted for one fixed shard."},
    {"spawn_stealable_submitted", &RuntimeStats::spawn_stealable_submitted, Kind::Counter,
     "Tasks accepted as stealable."},
    {"stealable_executed", &RuntimeStats::stealable_executed, Kind::Counter, "Stealable tasks that began to run."},
    {"stealable_stolen", &RuntimeStats::stealable_stolen, Kind::Counter,
     "Stealable work items taken from another shard's queue."},
    {"ring_msgs_submitted", &RuntimeStats::ring_msgs_submitted, Kind::Counter, "Messages accepted by a send."},
    {"ring_msgs_completed", &RuntimeStats::ring_msgs_completed, Kind::Counter, "Messages seen by their target shard."},
    {"ring_msgs_failed", &RuntimeStats::ring_msgs_failed, Kind::Counter,
     "Accepted messages whose target stopped before it saw them."},
    {"ring_msgs_backpressure", &RuntimeStats::ring_msgs_backpressure, Kind::Counter,
     "Messages refused because the queue of the pair was full."},
    {"doorbells_rung", &RuntimeStats::doorbells_rung, Kind::Counter, "Wake-ups sent to sleeping shards."},
    {"steal_attempts", &RuntimeStats::steal_attempts, Kind::Counter,
     "Looks of idle shards into the queues of other shards."},
    {"steal_successes", &RuntimeStats::steal_successes, Kind::Counter, "Steal attempts that brought work."},
    {"parks", &RuntimeStats::parks, Kind::Counter, "Times a shard blocked in the kernel for want of work."},
    {"late_wakes", &RuntimeStats::late_wakes, Kind::Counter,
     "Times a parked shard found work for which no doorbell came; not 0 is a bug, or a thread without CPU for 50 ms."},
    {"cq_overflows", &RuntimeStats::cq_overflows, Kind::Counter, "Times a completion queue was full."},
    {"native_affinity_violations", &RuntimeStats::native_affinity_violations, Kind::Counter,
     "Ring operations refused on a shard that does not own their ring; not 0 is a bug."},
    {"pending_native_ops", &RuntimeStats::pending_native_ops, Kind::Gauge,
     "Ring operations the kernel has not completed yet."},
    {"timers_fired", &RuntimeStats::timers_fired, Kind::Counter, "Sleeps and timeouts that came due."},
    {"tasks_live", &RuntimeStats::tasks_live, Kind::Gauge, "Tasks accepted and not yet destroyed."},
};

constexpr std::string_view depth_metric = "spargio_shard_command_depth";

static_assert(sizeof(RuntimeStats) == sizeof(std::vector<std::uint64_t>) + std::size(fields) * sizeof(std::uint64_t),
              "a field of RuntimeStats is missing in the table above");

void append_head(std::string& text, std::string_view metric, Kind kind, std::string_view help) {
    text.append("# HELP ").append(metric).append(" ").append(help).append("\n# TYPE ").append(metric);
    text.append(kind == Kind::Counter ? " counter\n" : " gauge\n");
}

}  // namespace

std::string to_string(const RuntimeStats& stats) {
    std::string text = "shard_command_depths=[";
    for (std::size_t shard = 0; shard < stats.shard_command_depths.size(); ++shard) {
        text.append(shard == 0 ? "" : ",").append(std::to_string(stats.shard_command_depths[shard]));
    }
    text += ']';
    for (const Field& field : fields) {
        text.append(" ").append(field.name).append("=").append(std::to_string(stats.*field.member));
    }
    return text;
}

std::string to_prometheus(const RuntimeStats& stats) {
    std::string text;
    append_head(text, depth_metric, Kind::Gauge,
                "Pinned tasks before their first step and stealable tasks in the queue of a shard.");
    for (std::size_t shard = 0; shard < stats.shard_command_depths.size(); ++shard) {
        text.append(depth_metric).append("{shard=\"").append(std::to_string(shard)).append("\"} ");
        text.append(std::to_string(stats.shard_command_depths[shard])).append("\n");
    }
    for (const Field& field : fields) {
        std::string metric = "spargio_";
        metric.append(field.name).append(field.kind == Kind::Counter ? "_total" : "");
        append_head(text, metric, field.kind, field.help);
        text.append(metric).append(" ").append(std::to_string(stats.*field.member)).append("\n");
    }
    return text;
}

}  // namespace spargio
