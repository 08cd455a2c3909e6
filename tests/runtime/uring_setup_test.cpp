// SPDX-License-Identifier: MIT
// One kernel plays older ones: each ring feature switched off alone, and all together; submission threads.
#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spargio/spargio.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

struct Feature {
    const char* name;
    bool Capabilities::*in_use;
};

constexpr Feature features[] = {
    {"single_issuer", &Capabilities::single_issuer},
    {"defer_taskrun", &Capabilities::defer_taskrun},
    {"coop_taskrun", &Capabilities::coop_taskrun},
    {"taskrun_flag", &Capabilities::taskrun_flag},
    {"no_sqarray", &Capabilities::no_sqarray},
    {"registered_ring_fd", &Capabilities::registered_ring_fd},
    {"msg_ring", &Capabilities::msg_ring},
    {"send_msg_ring", &Capabilities::send_msg_ring},
    {"ext_arg", &Capabilities::ext_arg},
};

class UringSetupTest : public UringTest {
protected:
    /// Sleeps and wakes of every kind, and a shutdown with something left.
    void work(Runtime runtime) {
        const unsigned rounds = scaled(1'000, 200);
        EXPECT_EQ(spawn_from_outside(runtime.handle(), 3, rounds, watchdog_), 3U * rounds);
        EXPECT_EQ(runtime.handle().spawn_pinned(0, call_each_round(runtime.handle(), 1, rounds)).get(), rounds);
        EXPECT_EQ(do_some_of_everything(runtime), everything);
        const RuntimeStats stats = runtime.handle().stats_snapshot();
        EXPECT_EQ(stats.late_wakes, 0U) << to_string(stats);
        EXPECT_GT(stats.parks, 0U);
        auto unfinished = runtime.handle().spawn_pinned(1, sleep_for_ever());
        runtime.shutdown();
        EXPECT_TRUE(unfinished.done());
    }

    /// A runtime without the features named; what is left of them.
    Capabilities work_without(const std::string& names) {
        const auto descriptors = open_descriptors();
        Capabilities capabilities;
        {
            const Environment mask("SPARGIO_URING_DISABLE", names);
            Runtime runtime = builder(2).idle_spin(microseconds(0)).build();
            capabilities = runtime.handle().capabilities();
            EXPECT_EQ(capabilities.backend, BackendKind::IoUring);
            work(std::move(runtime));
        }
        EXPECT_EQ(open_descriptors(), descriptors);
        watchdog_.progress("without " + names);
        return capabilities;
    }

    Watchdog watchdog_{"ring set-up"};
};

TEST_F(UringSetupTest, EveryFeatureOfThisKernelIsInUse) {
    const Runtime runtime = builder(2).build();
    const Capabilities capabilities = runtime.handle().capabilities();
    EXPECT_EQ(capabilities.ring_entries, 256U);
    EXPECT_GE(capabilities.cq_entries, 1024U);
    EXPECT_EQ(capabilities.fallback_reason, "");
    EXPECT_FALSE(capabilities.sqpoll);
    for (const Feature& feature : features) {
        // What an older kernel does not have must be named among the notes, and what is in use must not.
        const auto named = std::count_if(capabilities.notes.begin(), capabilities.notes.end(), [&](const auto& note) {
            return note.starts_with(std::string(feature.name) + ": ");
        });
        EXPECT_EQ(named, capabilities.*feature.in_use ? 0 : 1) << capabilities.to_string();
    }
    EXPECT_FALSE(capabilities.coop_taskrun && capabilities.defer_taskrun);
}

TEST_F(UringSetupTest, EachFeatureCanBeMissingAlone) {
    for (const Feature& feature : features) {
        SCOPED_TRACE(feature.name);
        const Capabilities capabilities = work_without(feature.name);
        EXPECT_FALSE(capabilities.*feature.in_use) << capabilities.to_string();
        if (std::string(feature.name) != "coop_taskrun") {
            EXPECT_THAT(capabilities.to_string(), HasSubstr("disabled by SPARGIO_URING_DISABLE"));
        }
    }
}

TEST_F(UringSetupTest, AllFeaturesCanBeMissing) {
    std::string all;
    for (const Feature& feature : features) {
        all.append(all.empty() ? "" : ",").append(feature.name);
    }
    const Capabilities capabilities = work_without(all);
    for (const Feature& feature : features) {
        EXPECT_FALSE(capabilities.*feature.in_use) << feature.name;
    }
}

TEST_F(UringSetupTest, TheKernelsOfTheLastYears) {
    // 6.12, 6.5, 6.0, 5.15.
    const Capabilities without_send = work_without("send_msg_ring");
    EXPECT_FALSE(without_send.send_msg_ring);
    const Capabilities six_five = work_without("send_msg_ring,no_sqarray");
    EXPECT_FALSE(six_five.no_sqarray);
    const Capabilities six_zero = work_without("send_msg_ring,no_sqarray,defer_taskrun");
    EXPECT_FALSE(six_zero.defer_taskrun);
    const Capabilities five_fifteen = work_without(
        "send_msg_ring,msg_ring,no_sqarray,defer_taskrun,single_issuer,coop_taskrun,taskrun_flag,submit_all,"
        "registered_ring_fd");
    EXPECT_FALSE(five_fifteen.msg_ring);
    EXPECT_TRUE(five_fifteen.ext_arg);
}

TEST_F(UringSetupTest, WhatNobodyKnowsIsNoFeature) {
    const Capabilities usual = builder(1).build().handle().capabilities();
    const Environment mask("SPARGIO_URING_DISABLE", ",,nonsense,,msg_rings,");
    EXPECT_EQ(builder(1).build().handle().capabilities(), usual);
}

TEST_F(UringSetupTest, OptionsSwitchFeaturesOff) {
    const Runtime no_defer = builder(1).io_uring_defer_taskrun(false).build();
    EXPECT_FALSE(no_defer.handle().capabilities().defer_taskrun);
    const Runtime no_single = builder(1).io_uring_single_issuer(false).build();
    EXPECT_FALSE(no_single.handle().capabilities().single_issuer);
    EXPECT_FALSE(no_single.handle().capabilities().defer_taskrun);
    const Runtime plain = builder(1).io_uring_defer_taskrun(false).io_uring_coop_taskrun(false).build();
    EXPECT_FALSE(plain.handle().capabilities().coop_taskrun);
    for (const Runtime* runtime : {&no_defer, &no_single, &plain}) {
        EXPECT_EQ(do_some_of_everything(*runtime), everything);
    }
}

TEST_F(UringSetupTest, RingEntriesAreWhatWasAskedFor) {
    for (const std::uint32_t entries : {1U, 2U, 64U, 4096U}) {
        const Runtime runtime = builder(1).ring_entries(entries).build();
        EXPECT_EQ(runtime.handle().capabilities().ring_entries, entries);
        EXPECT_GE(runtime.handle().capabilities().cq_entries, entries * 4);
        EXPECT_EQ(do_some_of_everything(runtime), everything);
    }
}

TEST_F(UringSetupTest, ASubmissionThreadWorks) {
    const auto descriptors = open_descriptors();
    {
        Runtime runtime = builder(2).io_uring_sqpoll(milliseconds(5)).idle_spin(microseconds(0)).build();
        const Capabilities capabilities = runtime.handle().capabilities();
        EXPECT_TRUE(capabilities.sqpoll);
        EXPECT_FALSE(capabilities.defer_taskrun);
        work(std::move(runtime));
    }
    EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_F(UringSetupTest, ASubmissionThreadThatHasGoneToSleepIsWoken) {
    const Runtime runtime = builder(2).io_uring_sqpoll(milliseconds(1)).idle_spin(microseconds(0)).build();
    for (int round = 0; round < 20; ++round) {
        // Longer than its idle time.
        auto nap = []() -> Task<> { static_cast<void>(co_await sleep_for(milliseconds(5))); };
        runtime.handle().spawn_pinned(0, std::move(nap)).get();
        EXPECT_EQ(runtime.handle().spawn_pinned(0, call_each_round(runtime.handle(), 1, 3)).get(), 3U);
    }
    EXPECT_EQ(runtime.handle().stats_snapshot().late_wakes, 0U);
}

TEST_F(UringSetupTest, ASubmissionThreadWithACpu) {
    const Runtime runtime = builder(2).io_uring_sqpoll_cpu(0).build();
    EXPECT_TRUE(runtime.handle().capabilities().sqpoll);
    EXPECT_EQ(do_some_of_everything(runtime), everything);
    const Runtime cleared = builder(1).io_uring_sqpoll_cpu(0).io_uring_sqpoll(std::nullopt).build();
    EXPECT_FALSE(cleared.handle().capabilities().sqpoll);
}

TEST_F(UringSetupTest, ASubmissionThreadOnACpuThatIsNotThereIsAnError) {
    for (const auto backend : {BackendKind::IoUring, BackendKind::Auto}) {
        const BuildError error = build_error(builder(1, backend).io_uring_sqpoll_cpu(60'000));
        EXPECT_EQ(error.code, RuntimeError::IoUringInit);
        EXPECT_THAT(error.what, HasSubstr("io_uring_sqpoll"));
    }
}

TEST_F(UringSetupTest, ASubmissionThreadAndDeferredCompletionsExcludeEachOther) {
    const BuildError error = build_error(builder(1).io_uring_sqpoll(milliseconds(5)).io_uring_defer_taskrun(true));
    EXPECT_EQ(error.code, RuntimeError::InvalidConfig);
    EXPECT_THAT(error.what, HasSubstr("io_uring_defer_taskrun"));
}

}  // namespace
}  // namespace spargio::test
