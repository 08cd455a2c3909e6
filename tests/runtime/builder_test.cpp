// SPDX-License-Identifier: MIT
// RuntimeBuilder: which options are refused, how that is told, and what the others do.
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include <sched.h>

#include "support/backend_test.hpp"
#include "support/event.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class Builder : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(Builder);

using Configure = std::function<void(RuntimeBuilder&)>;

/// build() throws and try_build() returns the same code; what() names the option. Gives what() for a closer look.
std::string expect_refused(const RuntimeBuilder& start, const Configure& configure, const std::string& option) {
    SCOPED_TRACE(option);
    auto builder = start;
    configure(builder);
    std::error_code thrown;
    std::string what;
    try {
        const Runtime built = builder.build();
        ADD_FAILURE() << "was accepted";
    } catch (const std::system_error& error) {
        thrown = error.code();
        what = error.what();
    }
    EXPECT_THAT(what, HasSubstr(option));
    EXPECT_TRUE(thrown);
    const auto tried = builder.try_build();
    EXPECT_FALSE(tried.has_value());
    EXPECT_EQ(tried.error(), thrown);
    return what;
}

void expect_invalid(const RuntimeBuilder& start, const Configure& configure, const std::string& option) {
    SCOPED_TRACE(option);
    static_cast<void>(expect_refused(start, configure, option));
    auto builder = start;
    configure(builder);
    EXPECT_EQ(builder.try_build().error(), RuntimeError::InvalidConfig);
}

TEST_P(Builder, EveryOptionOutOfItsRangeIsInvalidAndNamed) {
    const auto start = builder(1);
    expect_invalid(
        start, [](auto& b) { b.shards(0); }, "shards");
    expect_invalid(
        start, [](auto& b) { b.shards(65535); }, "shards");
    expect_invalid(
        start, [](auto& b) { b.shards(std::numeric_limits<std::size_t>::max()); }, "shards");
    expect_invalid(
        start, [](auto& b) { b.ring_entries(0); }, "ring_entries");
    expect_invalid(
        start, [](auto& b) { b.ring_entries(32769); }, "ring_entries");
    expect_invalid(
        start, [](auto& b) { b.msg_ring_queue_capacity(0); }, "msg_ring_queue_capacity");
    expect_invalid(
        start, [](auto& b) { b.stealable_queue_capacity(0); }, "stealable_queue_capacity");
    expect_invalid(
        start, [](auto& b) { b.steal_budget(0); }, "steal_budget");
    expect_invalid(
        start, [](auto& b) { b.idle_spin(-1us); }, "idle_spin");
    expect_invalid(
        start, [](auto& b) { b.idle_spin(std::chrono::microseconds::max()); }, "idle_spin");
    expect_invalid(
        start, [](auto& b) { b.blocking_threads(0); }, "blocking_threads");
    expect_invalid(
        start, [](auto& b) { b.blocking_queue_capacity(0); }, "blocking_queue_capacity");
    expect_invalid(
        start, [](auto& b) { b.io_uring_sqpoll(0ms); }, "io_uring_sqpoll");
    expect_invalid(
        start, [](auto& b) { b.io_uring_sqpoll(-5ms); }, "io_uring_sqpoll");
    expect_invalid(
        start, [](auto& b) { b.io_uring_sqpoll(std::chrono::milliseconds::max()); }, "io_uring_sqpoll");
}

TEST_P(Builder, OptionsThatContradictEachOtherAreInvalidAndNamed) {
    const auto start = builder(1);
    const auto both = [](RuntimeBuilder& b) { b.io_uring_sqpoll(10ms).io_uring_defer_taskrun(true); };
    expect_invalid(start, both, "io_uring_sqpoll");
    expect_invalid(start, both, "io_uring_defer_taskrun");
    const auto shared = [](RuntimeBuilder& b) { b.io_uring_single_issuer(false).io_uring_defer_taskrun(true); };
    expect_invalid(start, shared, "io_uring_defer_taskrun");
    expect_invalid(start, shared, "io_uring_single_issuer");
}

TEST_P(Builder, ACpuThatCannotBeSetIsAnError) {
    const auto start = builder(2);
    for (const unsigned cpu : {4000U, 70'000U, std::numeric_limits<unsigned>::max()}) {
        const auto what = expect_refused(
            start,
            [&](auto& b) {
                b.thread_affinity({0, cpu});
            },
            "thread_affinity");
        EXPECT_THAT(what, HasSubstr(std::to_string(cpu)));
    }
}

TEST_P(Builder, AnErrorSaysWhatToDo) {
    auto wrong = builder(0);
    try {
        static_cast<void>(wrong.build());
        FAIL() << "was accepted";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), RuntimeError::InvalidConfig);
        EXPECT_THAT(error.what(), AllOf(HasSubstr("shards"), HasSubstr("65534")));
    }
}

TEST_P(Builder, TheSmallestValuesWork) {
    auto smallest = builder(1)
                        .ring_entries(1)
                        .msg_ring_queue_capacity(1)
                        .stealable_queue_capacity(1)
                        .steal_budget(1)
                        .idle_spin(0us)
                        .blocking_threads(1)
                        .blocking_queue_capacity(1)
                        .thread_prefix("")
                        .build();
    EXPECT_EQ(smallest.block_on([] { return 7; }), 7);
    EXPECT_EQ(smallest.handle().spawn_stealable([] { return 8; }).get(), 8);
    EXPECT_EQ(smallest.handle().spawn_blocking([] { return 9; }).get(), 9);
}

TEST_P(Builder, LargeValuesWork) {
    auto large = builder(3)
                     .ring_entries(1024)
                     .msg_ring_queue_capacity(1U << 20U)
                     .stealable_queue_capacity(std::numeric_limits<std::size_t>::max())
                     .steal_budget(std::numeric_limits<std::size_t>::max())
                     .idle_spin(1s)
                     .blocking_threads(1'000'000)
                     .blocking_queue_capacity(std::numeric_limits<std::size_t>::max())
                     .thread_affinity({})
                     .build();
    std::vector<JoinHandle<int>> spawned;
    for (int i = 0; i < 100; ++i) {
        spawned.push_back(large.handle().spawn_stealable([i] { return i; }));
    }
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(spawned.at(static_cast<std::size_t>(i)).get(), i);
    }
    EXPECT_EQ(large.handle().spawn_blocking([] { return 9; }).get(), 9);
}

TEST_P(Builder, ShardCountAndBackendAreWhatWasAskedFor) {
    for (const std::size_t shards : {1U, 2U, 3U, 7U}) {
        auto built = builder(shards).build();
        EXPECT_EQ(built.shard_count(), shards);
        EXPECT_EQ(built.handle().shard_count(), shards);
        EXPECT_EQ(built.backend(), GetParam());
        EXPECT_EQ(built.handle().backend(), GetParam());
        EXPECT_EQ(built.handle().capabilities().backend, GetParam());
    }
}

TEST_P(Builder, TheDefaultShardCountIsTheCpusOfTheProcess) {
    cpu_set_t mask;
    ASSERT_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
    const auto cpus = static_cast<std::size_t>(CPU_COUNT(&mask));
    auto built = RuntimeBuilder().backend(GetParam()).build();
    EXPECT_GE(built.shard_count(), 1U);
    EXPECT_LE(built.shard_count(), cpus);  // A cgroup quota may make it fewer.
    // A narrower mask makes it fewer too.
    std::thread narrowed([&] {
        cpu_set_t one;
        CPU_ZERO(&one);
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &mask) && CPU_COUNT(&one) == 0) {
                CPU_SET(cpu, &one);
            }
        }
        ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
        EXPECT_EQ(RuntimeBuilder().backend(GetParam()).build().shard_count(), 1U);
    });
    narrowed.join();
}

TEST_P(Builder, OneBuilderBuildsManyAndCopiesAreIndependent) {
    auto first = builder(1);
    auto copy = first;
    copy.shards(2);
    auto moved = std::move(copy);
    RuntimeBuilder assigned;
    assigned = first;
    assigned.shards(3);
    EXPECT_EQ(first.build().shard_count(), 1U);
    EXPECT_EQ(first.build().shard_count(), 1U);
    EXPECT_EQ(moved.build().shard_count(), 2U);
    EXPECT_EQ(assigned.build().shard_count(), 3U);
}

TEST_P(Builder, TryBuildGivesARuntimeThatWorks) {
    auto built = builder(2).try_build();
    ASSERT_TRUE(built.has_value());
    EXPECT_EQ(built->block_on([] { return 7; }), 7);
    Runtime taken = *std::move(built);
    EXPECT_EQ(taken.block_on([] { return 8; }), 8);
}

TEST_P(Builder, SpawningBeforeTheFirstParkWorksFromTheFirstMoment) {
    for (int round = 0; round < 100; ++round) {
        auto built = builder(3).idle_spin(0us).build();
        std::vector<JoinHandle<ShardId>> spawned;
        for (ShardId shard = 0; shard < 3; ++shard) {
            spawned.push_back(built.handle().spawn_pinned(shard, shard_here));
        }
        for (ShardId shard = 0; shard < 3; ++shard) {
            ASSERT_EQ(spawned[shard].get(), shard);
        }
    }
}

// The options of rings say nothing to a runtime without any.
TEST(QueueBackend, IgnoresTheOptionsOfRings) {
    auto built = RuntimeBuilder()
                     .shards(1)
                     .backend(BackendKind::Queue)
                     .ring_entries(64)
                     .io_uring_sqpoll(10ms)
                     .io_uring_sqpoll_cpu(0)
                     .io_uring_single_issuer(true)
                     .io_uring_coop_taskrun(true)
                     .build();
    EXPECT_EQ(built.block_on([] { return 7; }), 7);
    const auto capabilities = built.handle().capabilities();
    EXPECT_EQ(capabilities.ring_entries, 0U);
    EXPECT_FALSE(capabilities.sqpoll);
}

class RingOptions : public BackendTest {
protected:
    static Capabilities capabilities_of(const RuntimeBuilder& builder) {
        auto built = builder.build();
        EXPECT_EQ(built.block_on([] { return 7; }), 7);
        EXPECT_EQ(built.handle().spawn_stealable([] { return 8; }).get(), 8);
        return built.handle().capabilities();
    }
};
INSTANTIATE_TEST_SUITE_P(, RingOptions, ::testing::Values(BackendKind::IoUring), backend_name);

TEST_P(RingOptions, EntriesAreTakenAndRoundedUp) {
    EXPECT_EQ(capabilities_of(builder(2)).ring_entries, 256U);
    EXPECT_EQ(capabilities_of(builder(2).ring_entries(64)).ring_entries, 64U);
    EXPECT_EQ(capabilities_of(builder(1).ring_entries(100)).ring_entries, 128U);
    EXPECT_GE(capabilities_of(builder(1).ring_entries(64)).cq_entries, 128U);
}

TEST_P(RingOptions, FlagsCanBeSwitchedOff) {
    const auto without_defer = capabilities_of(builder(2).io_uring_defer_taskrun(false));
    EXPECT_FALSE(without_defer.defer_taskrun);
    const auto without_single = capabilities_of(builder(2).io_uring_single_issuer(false));
    EXPECT_FALSE(without_single.single_issuer);
    EXPECT_FALSE(without_single.defer_taskrun);
    const auto plain = capabilities_of(
        builder(2).io_uring_single_issuer(false).io_uring_coop_taskrun(false).io_uring_defer_taskrun(false));
    EXPECT_FALSE(plain.single_issuer);
    EXPECT_FALSE(plain.coop_taskrun);
    EXPECT_FALSE(plain.defer_taskrun);
}

TEST_P(RingOptions, WhatIsMissingHasANote) {
    const auto capabilities = capabilities_of(builder(1).io_uring_defer_taskrun(false));
    EXPECT_TRUE(capabilities.fallback_reason.empty());
    std::string notes;
    for (const auto& note : capabilities.notes) {
        notes += note + "\n";
    }
    EXPECT_THAT(notes, AnyOf(HasSubstr("defer"), HasSubstr("DEFER")));
    EXPECT_THAT(capabilities.to_string(), HasSubstr("io_uring"));
}

TEST_P(RingOptions, DeferTaskrunAskedForIsInUseOrAnError) {
    auto built = builder(1).io_uring_defer_taskrun(true).try_build();
    if (built) {
        EXPECT_TRUE(built->handle().capabilities().defer_taskrun);
        EXPECT_TRUE(built->handle().capabilities().single_issuer);
    } else {
        EXPECT_EQ(built.error(), RuntimeError::IoUringInit);
    }
}

TEST_P(RingOptions, SqpollIsInUseOrAnErrorThatSaysSo) {
    for (const bool with_cpu : {false, true}) {
        auto asked = builder(2);
        if (with_cpu) {
            asked.io_uring_sqpoll_cpu(0);  // Implies an idle time.
        } else {
            asked.io_uring_sqpoll(5ms);
        }
        auto built = asked.try_build();
        if (!built) {
            EXPECT_THAT(expect_refused(
                            asked, [](auto&) {}, "sqpoll"),
                        HasSubstr("sqpoll"));
            continue;
        }
        EXPECT_TRUE(built->handle().capabilities().sqpoll);
        EXPECT_FALSE(built->handle().capabilities().defer_taskrun);
        for (int i = 0; i < 100; ++i) {
            ASSERT_EQ(built->handle().spawn_round_robin([i] { return i; }).get(), i);
        }
    }
}

TEST_P(RingOptions, ClearingTheIdleTimeClearsTheCpu) {
    EXPECT_FALSE(capabilities_of(builder(1).io_uring_sqpoll_cpu(0).io_uring_sqpoll(std::nullopt)).sqpoll);
    EXPECT_FALSE(capabilities_of(builder(1).io_uring_sqpoll_cpu(9999).io_uring_sqpoll(std::nullopt)).sqpoll);
    EXPECT_FALSE(capabilities_of(builder(1)).sqpoll);
}

TEST_P(RingOptions, ASqpollCpuThatDoesNotExistIsAnError) {
    static_cast<void>(expect_refused(
        builder(1), [](auto& b) { b.io_uring_sqpoll_cpu(9999); }, "sqpoll"));
}

TEST_P(RingOptions, AutoDoesNotFallBackFromWhatWasAskedFor) {
    static_cast<void>(expect_refused(
        RuntimeBuilder().shards(1), [](auto& b) { b.backend(BackendKind::Auto).io_uring_sqpoll_cpu(9999); }, "sqpoll"));
}

}  // namespace
}  // namespace spargio::test
