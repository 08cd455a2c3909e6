// SPDX-License-Identifier: MIT
// Tests of RuntimeStats and its text forms.
#include "spargio/stats.hpp"

#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace spargio {
namespace {

// Each field its own number, so that two swapped fields show.
RuntimeStats numbered_stats() {
    RuntimeStats stats;
    stats.shard_command_depths = {100, 101, 102};
    stats.spawn_pinned_submitted = 1;
    stats.spawn_stealable_submitted = 2;
    stats.stealable_executed = 3;
    stats.stealable_stolen = 4;
    stats.ring_msgs_submitted = 5;
    stats.ring_msgs_completed = 6;
    stats.ring_msgs_failed = 7;
    stats.ring_msgs_backpressure = 8;
    stats.doorbells_rung = 9;
    stats.steal_attempts = 10;
    stats.steal_successes = 11;
    stats.parks = 12;
    stats.late_wakes = 13;
    stats.cq_overflows = 14;
    stats.native_affinity_violations = 15;
    stats.pending_native_ops = 16;
    stats.timers_fired = 17;
    stats.tasks_live = ~std::uint64_t{0};
    return stats;
}

struct Metric {
    std::string type;
    std::string help;
    std::map<std::string, std::string> samples;  // labels to value
};

// Reads the exposition format strictly: HELP, then TYPE, then the samples of one metric, each line ended.
std::map<std::string, Metric> parse_exposition(const std::string& text) {
    std::map<std::string, Metric> metrics;
    EXPECT_TRUE(!text.empty() && text.back() == '\n');
    const std::regex help_line("# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ([^\\\\\n]+)");
    const std::regex type_line("# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)");
    const std::regex sample_line("([a-zA-Z_:][a-zA-Z0-9_:]*)(\\{[a-z]+=\"[^\"]*\"\\})? ([0-9]+)");
    std::string current;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::smatch match;
        if (std::regex_match(line, match, help_line)) {
            current = match[1];
            EXPECT_FALSE(metrics.contains(current)) << "announced twice: " << current;
            metrics[current].help = match[2];
        } else if (std::regex_match(line, match, type_line)) {
            EXPECT_EQ(match[1], current);
            EXPECT_TRUE(metrics[current].samples.empty());
            metrics[current].type = match[2];
        } else if (std::regex_match(line, match, sample_line)) {
            EXPECT_EQ(match[1], current);
            EXPECT_TRUE(metrics[current].samples.emplace(match[2], match[3]).second) << line;
        } else {
            ADD_FAILURE() << "not a line of the format: " << line;
        }
    }
    return metrics;
}

TEST(RuntimeStats, StartsAtZero) {
    const RuntimeStats stats;
    EXPECT_TRUE(stats.shard_command_depths.empty());
    EXPECT_EQ(to_string(stats).find_first_of("123456789"), std::string::npos) << to_string(stats);
}

TEST(RuntimeStats, ComparesFieldByField) {
    const RuntimeStats stats = numbered_stats();
    RuntimeStats other = stats;
    EXPECT_EQ(stats, other);
    ++other.tasks_live;
    EXPECT_NE(stats, other);
    other = stats;
    other.shard_command_depths.push_back(0);
    EXPECT_NE(stats, other);
}

TEST(RuntimeStats, ToStringNamesEveryField) {
    EXPECT_EQ(to_string(numbered_stats()),
              "shard_command_depths=[100,101,102] spawn_pinned_submitted=1 spawn_stealable_submitted=2 "
              "stealable_executed=3 stealable_stolen=4 ring_msgs_submitted=5 ring_msgs_completed=6 ring_msgs_failed=7 "
              "ring_msgs_backpressure=8 doorbells_rung=9 steal_attempts=10 steal_successes=11 parks=12 late_wakes=13 "
              "cq_overflows=14 native_affinity_violations=15 pending_native_ops=16 timers_fired=17 "
              "tasks_live=18446744073709551615");
}

TEST(RuntimeStatsPrometheus, CountersEndInTotalAndGaugesDoNot) {
    const auto metrics = parse_exposition(to_prometheus(numbered_stats()));
    EXPECT_EQ(metrics.size(), 19u);
    const std::set<std::string> gauges = {"spargio_shard_command_depth", "spargio_pending_native_ops",
                                          "spargio_tasks_live"};
    for (const auto& [name, metric] : metrics) {
        EXPECT_EQ(metric.type, gauges.contains(name) ? "gauge" : "counter") << name;
        EXPECT_EQ(name.ends_with("_total"), metric.type == "counter") << name;
        EXPECT_TRUE(name.starts_with("spargio_")) << name;
        EXPECT_GT(metric.help.size(), 10u) << name;
        EXPECT_FALSE(metric.samples.empty()) << name;
    }
}

TEST(RuntimeStatsPrometheus, EachMetricCarriesItsField) {
    const auto metrics = parse_exposition(to_prometheus(numbered_stats()));
    const auto value = [&](const std::string& name) { return metrics.at("spargio_" + name).samples.at(""); };
    EXPECT_EQ(value("spawn_pinned_submitted_total"), "1");
    EXPECT_EQ(value("spawn_stealable_submitted_total"), "2");
    EXPECT_EQ(value("stealable_executed_total"), "3");
    EXPECT_EQ(value("stealable_stolen_total"), "4");
    EXPECT_EQ(value("ring_msgs_submitted_total"), "5");
    EXPECT_EQ(value("ring_msgs_completed_total"), "6");
    EXPECT_EQ(value("ring_msgs_failed_total"), "7");
    EXPECT_EQ(value("ring_msgs_backpressure_total"), "8");
    EXPECT_EQ(value("doorbells_rung_total"), "9");
    EXPECT_EQ(value("steal_attempts_total"), "10");
    EXPECT_EQ(value("steal_successes_total"), "11");
    EXPECT_EQ(value("parks_total"), "12");
    EXPECT_EQ(value("late_wakes_total"), "13");
    EXPECT_EQ(value("cq_overflows_total"), "14");
    EXPECT_EQ(value("native_affinity_violations_total"), "15");
    EXPECT_EQ(value("pending_native_ops"), "16");
    EXPECT_EQ(value("timers_fired_total"), "17");
    EXPECT_EQ(value("tasks_live"), "18446744073709551615");
}

TEST(RuntimeStatsPrometheus, DepthsAreLabelledByShard) {
    const auto metrics = parse_exposition(to_prometheus(numbered_stats()));
    const std::map<std::string, std::string> expected = {
        {"{shard=\"0\"}", "100"}, {"{shard=\"1\"}", "101"}, {"{shard=\"2\"}", "102"}};
    EXPECT_EQ(metrics.at("spargio_shard_command_depth").samples, expected);
}

}  // namespace
}  // namespace spargio
