// SPDX-License-Identifier: MIT
// Tests of the check of a runtime's options: what is refused, under which name, and the defaults of this machine.
#include "runtime_options.hpp"

#include <chrono>
#include <functional>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include "cpu_count.hpp"
#include "spargio/error.hpp"

namespace spargio::detail {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;

struct Case {
    const char* name;  // Of the test.
    std::function<void(RuntimeOptions&)> set;
    const char* option = nullptr;  // What the sentence begins with; null: the options are good.
    const char* also = "";         // What else it says.
};

void PrintTo(const Case& option, std::ostream* out) {
    *out << option.name;
}

class OptionsTable : public testing::TestWithParam<Case> {};

TEST_P(OptionsTable, IsRefusedByNameOrAccepted) {
    RuntimeOptions options;
    GetParam().set(options);
    const auto failure = complete_options(options);
    if (GetParam().option == nullptr) {
        EXPECT_FALSE(failure) << failure->sentence;
        return;
    }
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code, RuntimeError::InvalidConfig);
    EXPECT_THAT(failure->sentence, StartsWith(GetParam().option));
    EXPECT_THAT(failure->sentence, HasSubstr(GetParam().also));
}

const Case cases[] = {
    {"no_shards", [](RuntimeOptions& o) { o.shards = 0; }, "shards: 0 ", "65534"},
    {"too_many_shards", [](RuntimeOptions& o) { o.shards = 65535; }, "shards: 65535 ", "65534"},
    {"most_shards", [](RuntimeOptions& o) { o.shards = 65534; }},
    {"no_ring_entries", [](RuntimeOptions& o) { o.ring_entries = 0; }, "ring_entries: 0 ", "32768"},
    {"too_many_ring_entries", [](RuntimeOptions& o) { o.ring_entries = 32769; }, "ring_entries: 32769 ", "32768"},
    {"most_ring_entries", [](RuntimeOptions& o) { o.ring_entries = 32768; }},
    {"one_ring_entry", [](RuntimeOptions& o) { o.ring_entries = 1; }},
    {"no_messages", [](RuntimeOptions& o) { o.msg_ring_queue_capacity = 0; }, "msg_ring_queue_capacity: 0 ",
     "between 1 and 1073741824"},
    {"too_many_messages", [](RuntimeOptions& o) { o.msg_ring_queue_capacity = (std::size_t{1} << 30U) + 1; },
     "msg_ring_queue_capacity: 1073741825 ", "between 1 and 1073741824"},
    {"most_messages", [](RuntimeOptions& o) { o.msg_ring_queue_capacity = std::size_t{1} << 30U; }},
    {"no_stealable_tasks", [](RuntimeOptions& o) { o.stealable_queue_capacity = 0; },
     "stealable_queue_capacity: ", "at least 1"},
    {"no_steal_budget", [](RuntimeOptions& o) { o.steal_budget = 0; }, "steal_budget: ", "at least 1"},
    {"negative_spin", [](RuntimeOptions& o) { o.idle_spin = microseconds(-1); }, "idle_spin: ", "between 0 and 1 s"},
    {"long_spin", [](RuntimeOptions& o) { o.idle_spin = microseconds(1'000'001); }, "idle_spin: ", "between 0 and 1 s"},
    {"extreme_spin", [](RuntimeOptions& o) { o.idle_spin = microseconds::max(); }, "idle_spin: "},
    {"no_spin", [](RuntimeOptions& o) { o.idle_spin = microseconds(0); }},
    {"longest_spin", [](RuntimeOptions& o) { o.idle_spin = microseconds(1'000'000); }},
    {"no_blocking_threads", [](RuntimeOptions& o) { o.blocking_threads = 0; }, "blocking_threads: ", "at least 1"},
    {"no_blocking_queue", [](RuntimeOptions& o) { o.blocking_queue_capacity = 0; },
     "blocking_queue_capacity: ", "at least 1"},
    {"sqpoll_without_a_pause", [](RuntimeOptions& o) { o.sqpoll_idle = milliseconds(0); }, "io_uring_sqpoll: ", "1 ms"},
    {"negative_sqpoll", [](RuntimeOptions& o) { o.sqpoll_idle = milliseconds(-5); }, "io_uring_sqpoll: ", "1 ms"},
    {"endless_sqpoll", [](RuntimeOptions& o) { o.sqpoll_idle = hours(1) + milliseconds(1); },
     "io_uring_sqpoll: ", "1 h"},
    {"extreme_sqpoll", [](RuntimeOptions& o) { o.sqpoll_idle = milliseconds::max(); }, "io_uring_sqpoll: "},
    {"longest_sqpoll", [](RuntimeOptions& o) { o.sqpoll_idle = hours(1); }},
    {"sqpoll_with_defer",
     [](RuntimeOptions& o) {
         o.sqpoll_idle = milliseconds(10);
         o.defer_taskrun = true;
     },
     "io_uring_sqpoll", "io_uring_defer_taskrun"},
    {"sqpoll_with_coop",
     [](RuntimeOptions& o) {
         o.sqpoll_idle = milliseconds(10);
         o.coop_taskrun = true;
     },
     "io_uring_sqpoll", "io_uring_coop_taskrun"},
    {"sqpoll_without_defer",
     [](RuntimeOptions& o) {
         o.sqpoll_idle = milliseconds(10);
         o.defer_taskrun = false;
     }},
    {"defer_without_single_issuer",
     [](RuntimeOptions& o) {
         o.defer_taskrun = true;
         o.single_issuer = false;
     },
     "io_uring_defer_taskrun", "io_uring_single_issuer"},
    {"neither_defer_nor_single_issuer",
     [](RuntimeOptions& o) {
         o.defer_taskrun = false;
         o.single_issuer = false;
     }},
    {"no_backend", [](RuntimeOptions& o) { o.backend = static_cast<BackendKind>(9); }, "backend: 9 "},
    {"defaults", [](RuntimeOptions&) {}},
};

INSTANTIATE_TEST_SUITE_P(Options, OptionsTable, testing::ValuesIn(cases),
                         [](const testing::TestParamInfo<Case>& tested) { return std::string(tested.param.name); });

TEST(RuntimeOptions, DefaultsComeFromTheMachine) {
    RuntimeOptions options;
    ASSERT_FALSE(complete_options(options));
    EXPECT_EQ(options.shards, usable_cpus());
    EXPECT_EQ(options.blocking_threads, 4 * usable_cpus());
    EXPECT_EQ(options.backend, BackendKind::Auto);
    EXPECT_EQ(options.ring_entries, 256U);
    EXPECT_EQ(options.msg_ring_queue_capacity, 4096U);
    EXPECT_EQ(options.stealable_queue_capacity, 65536U);
    EXPECT_EQ(options.blocking_queue_capacity, 1024U);
    EXPECT_EQ(options.thread_prefix, "spargio-shard");
    EXPECT_FALSE(options.sqpoll_idle || options.sqpoll_cpu || options.defer_taskrun);
}

TEST(RuntimeOptions, AShardSpinsOnlyWhereItCanHaveACpuOfItsOwn) {
    RuntimeOptions crowded;
    crowded.shards = usable_cpus() + 1;
    ASSERT_FALSE(complete_options(crowded));
    EXPECT_EQ(crowded.idle_spin, microseconds(0));

    RuntimeOptions usual;
    ASSERT_FALSE(complete_options(usual));
    EXPECT_EQ(usual.idle_spin, microseconds(usable_cpus() > 1 ? 50 : 0));
}

TEST(RuntimeOptions, NamedCpusCountInPlaceOfTheCallersMask) {
    if (usable_cpus() < 2) {
        GTEST_SKIP() << "one CPU: no shard ever spins";
    }
    const auto spin_of = [](std::size_t shards, std::vector<unsigned> cpus) {
        RuntimeOptions options;
        options.shards = shards;
        options.thread_affinity = std::move(cpus);
        EXPECT_FALSE(complete_options(options));
        return *options.idle_spin;
    };
    EXPECT_EQ(spin_of(1, {1}), microseconds(50));
    EXPECT_EQ(spin_of(2, {1, 0}), microseconds(50));
    EXPECT_EQ(spin_of(2, {1}), microseconds(0)) << "two shards on one CPU";
    EXPECT_EQ(spin_of(2, {1, 1}), microseconds(0));
    microseconds on_one_cpu{};
    std::thread([&] {
        cpu_set_t first;
        CPU_ZERO(&first);
        CPU_SET(0, &first);
        ASSERT_EQ(pthread_setaffinity_np(pthread_self(), sizeof first, &first), 0);
        on_one_cpu = spin_of(1, {1});
    }).join();
    EXPECT_EQ(on_one_cpu, microseconds(50)) << "the shard leaves the CPU of the thread that builds";
}

TEST(RuntimeOptions, ACpuOfTheSubmissionThreadImpliesItsIdleTime) {
    RuntimeOptions options;
    options.sqpoll_cpu = 1;
    ASSERT_FALSE(complete_options(options));
    EXPECT_EQ(options.sqpoll_idle, milliseconds(2000));
    options = {};
    options.sqpoll_cpu = 1;
    options.sqpoll_idle = milliseconds(5);
    ASSERT_FALSE(complete_options(options));
    EXPECT_EQ(options.sqpoll_idle, milliseconds(5));
}

TEST(RuntimeOptions, WhatWasAskedForStays) {
    RuntimeOptions options;
    options.shards = 3;
    options.idle_spin = microseconds(7);
    options.blocking_threads = 5;
    ASSERT_FALSE(complete_options(options));
    EXPECT_EQ(options.shards, 3U);
    EXPECT_EQ(options.idle_spin, microseconds(7));
    EXPECT_EQ(options.blocking_threads, 5U);
}

}  // namespace
}  // namespace spargio::detail
