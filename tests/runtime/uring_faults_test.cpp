// SPDX-License-Identifier: MIT
// The kernel says no now and then: bells and entries that fail, a set-up that fails, a completion queue that overflows.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel_abi.hpp"
#include "spargio/spargio.hpp"
#include "support/event.hpp"
#include "support/process_gauges.hpp"
#include "support/receive_asleep.hpp"
#include "support/ring_descriptors.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"
#include "support/workloads.hpp"
#include "uring.hpp"

namespace spargio::test {
namespace {

using std::chrono::microseconds;
using ::testing::HasSubstr;

/// A set-up that the test decides about.
class SetupFaults final : public detail::UringFaults {
public:
    using Decide = std::function<int(unsigned entries, unsigned flags)>;
    explicit SetupFaults(Decide decide) : decide_(std::move(decide)) {}

    int on_setup(unsigned entries, unsigned flags) noexcept override { return decide_(entries, flags); }

private:
    const Decide decide_;
};

class UringFaultsTest : public UringTest {
protected:
    /// Park stress of all kinds, with the faults armed from the first task to the last destroyed frame.
    void survive(EveryNth& faults, unsigned rounds) {
        const InstalledFaults installed(faults);
        {
            Runtime runtime = builder(2).idle_spin(microseconds(0)).build();
            faults.arm();
            EXPECT_EQ(spawn_from_outside(runtime.handle(), 3, rounds, watchdog_), 3U * rounds);
            EXPECT_EQ(runtime.handle().spawn_pinned(0, call_each_round(runtime.handle(), 1, rounds)).get(), rounds);
            EXPECT_EQ(do_some_of_everything(runtime), everything);
            const RuntimeStats stats = runtime.handle().stats_snapshot();
            EXPECT_EQ(stats.late_wakes, 0U) << to_string(stats);
            auto unfinished = runtime.handle().spawn_pinned(1, sleep_for_ever());
            runtime.shutdown();
            EXPECT_TRUE(unfinished.done());
        }
        faults.disarm();
        EXPECT_GT(faults.failed(), rounds / 10);
        watchdog_.progress("survived");
    }

    /// The build fails, says so, and leaves nothing; Auto takes the queue and gives the same reason.
    static void expect_refused(const SetupFaults::Decide& decide, const std::string& remedy) {
        SetupFaults faults(decide);
        const InstalledFaults installed(faults);
        const auto descriptors = open_descriptors();
        const auto threads = thread_count();
        const BuildError error = build_error(builder(2));
        EXPECT_EQ(error.code, RuntimeError::IoUringInit);
        EXPECT_THAT(error.what, HasSubstr(remedy));
        EXPECT_EQ(open_descriptors(), descriptors);
        EXPECT_TRUE(threads_fall_to(threads));

        const Runtime fallen = builder(2, BackendKind::Auto).build();
        EXPECT_EQ(fallen.backend(), BackendKind::Queue);
        const Capabilities capabilities = fallen.handle().capabilities();
        EXPECT_EQ(capabilities.backend, BackendKind::Queue);
        EXPECT_EQ(capabilities.ring_entries, 0U);
        EXPECT_THAT(capabilities.fallback_reason, HasSubstr(remedy));
        EXPECT_EQ(do_some_of_everything(fallen), everything);
        EXPECT_EQ(open_descriptors(), descriptors);
    }

    /// The features of a runtime built while the kernel refuses all set-ups with one of these flags.
    static Capabilities without_flags(unsigned flags) {
        SetupFaults faults([flags](unsigned, unsigned asked) { return (asked & flags) != 0 ? -EINVAL : 0; });
        const InstalledFaults installed(faults);
        const Runtime runtime = builder(2).build();
        EXPECT_EQ(do_some_of_everything(runtime), everything);
        EXPECT_EQ(runtime.handle().stats_snapshot().late_wakes, 0U);
        return runtime.handle().capabilities();
    }

    Watchdog watchdog_{"ring faults"};
};

TEST_F(UringFaultsTest, EveryThirdBellFailsAndNoWakeIsLost) {
    EveryNth faults(FailingCall::Bell, 3, {ENOMEM, EOVERFLOW, EAGAIN});
    survive(faults, scaled(3'000, 500));
}

TEST_F(UringFaultsTest, EveryOtherBellFailsAndNoWakeIsLost) {
    EveryNth faults(FailingCall::Bell, 2, {ENOMEM});
    survive(faults, scaled(3'000, 500));
}

TEST_F(UringFaultsTest, BellsFailWhereTheEventfdRings) {
    const Environment mask("SPARGIO_URING_DISABLE", "msg_ring");
    EveryNth faults(FailingCall::Bell, 3, {EAGAIN, EINTR});
    survive(faults, scaled(3'000, 500));
}

TEST_F(UringFaultsTest, EveryThirdEntryIntoTheKernelFailsAndNothingIsLost) {
    EveryNth faults(FailingCall::Enter, 3, {EINTR, EAGAIN, EBUSY});
    survive(faults, scaled(3'000, 500));
}

TEST_F(UringFaultsTest, EntriesFailWithATinyRing) {
    EveryNth faults(FailingCall::Enter, 2, {EBUSY, EAGAIN});
    const InstalledFaults installed(faults);
    const Runtime runtime = builder(3).ring_entries(1).idle_spin(microseconds(0)).build();
    faults.arm();
    const unsigned rounds = scaled(1'000, 200);
    EXPECT_EQ(spawn_from_outside(runtime.handle(), 2, rounds, watchdog_), 2U * rounds);
    EXPECT_EQ(runtime.handle().spawn_pinned(0, call_each_round(runtime.handle(), 2, rounds)).get(), rounds);
    faults.disarm();
    EXPECT_EQ(runtime.handle().stats_snapshot().late_wakes, 0U);
}

TEST_F(UringFaultsTest, EntriesFailWhereBellsAreEventfds) {
    const Environment mask("SPARGIO_URING_DISABLE", "msg_ring,ext_arg");
    EveryNth faults(FailingCall::Enter, 3, {EINTR, EAGAIN, EBUSY});
    survive(faults, scaled(1'000, 200));
}

TEST_F(UringFaultsTest, EntriesThatFailDuringTheBuildAreTriedAgain) {
    EveryNth faults(FailingCall::Enter, 2, {EINTR, EAGAIN});
    faults.arm();
    const InstalledFaults installed(faults);
    const Runtime runtime = builder(2).build();
    const Capabilities capabilities = runtime.handle().capabilities();
    EXPECT_TRUE(capabilities.msg_ring) << capabilities.to_string();
    EXPECT_EQ(do_some_of_everything(runtime), everything);
}

TEST_F(UringFaultsTest, RingEntriesAreHalvedWhileMemoryIsShort) {
    SetupFaults faults([](unsigned entries, unsigned) { return entries > 64 ? -ENOMEM : 0; });
    const InstalledFaults installed(faults);
    for (const auto backend : {BackendKind::IoUring, BackendKind::Auto}) {
        const Runtime runtime = builder(2, backend).ring_entries(4096).build();
        const Capabilities capabilities = runtime.handle().capabilities();
        EXPECT_EQ(capabilities.backend, BackendKind::IoUring);
        EXPECT_EQ(capabilities.ring_entries, 64U);
        EXPECT_THAT(capabilities.to_string(), HasSubstr("ulimit -l"));
        EXPECT_EQ(do_some_of_everything(runtime), everything);
    }
}

TEST_F(UringFaultsTest, MemoryThatIsShortForAMomentIsWaitedFor) {
    std::atomic<int> failures{2};
    SetupFaults faults([&](unsigned entries, unsigned) { return entries <= 64 && failures-- > 0 ? -ENOMEM : 0; });
    const InstalledFaults installed(faults);
    const Runtime runtime = builder(1).ring_entries(32).build();
    EXPECT_EQ(runtime.handle().capabilities().ring_entries, 32U);
}

TEST_F(UringFaultsTest, MemoryThatStaysShortIsARefusal) {
    expect_refused([](unsigned, unsigned) { return -ENOMEM; }, "ulimit -l");
}

TEST_F(UringFaultsTest, ASandboxIsARefusal) {
    expect_refused([](unsigned, unsigned) { return -EPERM; }, "io_uring_disabled");
    expect_refused([](unsigned, unsigned) { return -EPERM; }, "seccomp");
}

TEST_F(UringFaultsTest, AKernelWithoutRingsIsARefusal) {
    expect_refused([](unsigned, unsigned) { return -ENOSYS; }, "kernel");
    expect_refused([](unsigned, unsigned) { return -EINVAL; }, "kernel");
}

TEST_F(UringFaultsTest, NoFreeDescriptorIsARefusal) {
    expect_refused([](unsigned, unsigned) { return -EMFILE; }, "ulimit -n");
}

TEST_F(UringFaultsTest, ARefusalOfOneShardEndsThemAll) {
    // One of two shards has its ring, the other has none: both must go.
    std::atomic<unsigned> calls{0};
    expect_refused([&calls](unsigned, unsigned) { return calls++ % 2 == 0 ? 0 : -EMFILE; }, "ulimit -n");
}

TEST_F(UringFaultsTest, WhatShardsHaveInCommonIsReported) {
    // The first ring is as large as asked for, the other one is not.
    std::atomic<unsigned> calls{0};
    SetupFaults faults([&calls](unsigned entries, unsigned) { return calls++ > 0 && entries > 64 ? -ENOMEM : 0; });
    const InstalledFaults installed(faults);
    const Runtime runtime = builder(2).build();
    const auto capabilities = runtime.handle().capabilities();
    EXPECT_EQ(capabilities.ring_entries, 64U);
    EXPECT_EQ(capabilities.cq_entries, 256U);
    EXPECT_THAT(capabilities.to_string(), HasSubstr("ring_entries: 64 instead of 256"));
}

/// From then on no entry into the kernel succeeds on the shard that called begin(), until end().
class BlockedEntries final : public detail::UringFaults {
public:
    void begin() noexcept { thread_ = std::this_thread::get_id(); }
    void end() noexcept { thread_ = std::thread::id(); }
    int on_enter() noexcept override { return thread_.load() == std::this_thread::get_id() ? -EAGAIN : 0; }

private:
    std::atomic<std::thread::id> thread_{};
};

TEST_F(UringFaultsTest, LatencyOfABellThatIsNotTakenInTimeButRungFromOutside) {
    BlockedEntries faults;
    const InstalledFaults installed(faults);
    const Runtime runtime = builder(2).idle_spin(microseconds(0)).build();
    const auto handle = runtime.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < 20; ++round) {
        const auto parks = handle.stats_snapshot().parks;
        finish_step(handle, 1);
        while (handle.stats_snapshot().parks == parks) {
            std::this_thread::yield();
        }
        auto step = handle.spawn_pinned(0, [&] {
            faults.begin();
            const auto begin = std::chrono::steady_clock::now();
            Event ran;
            auto other = handle.spawn_pinned(1, [&] { ran.set(); });
            ran.wait();  // This step does not end before the other shard has woken.
            faults.end();
            other.detach();
            return std::chrono::steady_clock::now() - begin;
        });
        EXPECT_LT(step.get(), std::chrono::milliseconds(400)) << "the safety time-out is 500 ms";
    }
}

TEST_F(UringFaultsTest, AFlushWhoseBellIsNotTakenInTimeRingsFromOutsideAndEnds) {
    const Watchdog watchdog("a flush");
    BlockedEntries faults;
    const InstalledFaults installed(faults);
    const Runtime runtime = builder(2).idle_spin(microseconds(0)).build();
    const auto handle = runtime.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < 20; ++round) {
        Event arrived;
        auto receiver = receive_asleep(handle, 1, arrived);
        handle
            .spawn_pinned(0,
                          [&] {
                              faults.begin();
                              EXPECT_TRUE(ShardCtx::current()->send_raw_nowait(1, 1, 1).has_value());
                              ShardCtx::current()->flush();
                              arrived.wait();
                              faults.end();
                          })
            .get();
        receiver.get();
    }
}

TEST_F(UringFaultsTest, TheLadderOfFlagsIsClimbedDownOneRungAtATime) {
    const unsigned no_sqarray = detail::abi::setup_no_sqarray;
    {
        const Capabilities rung = without_flags(no_sqarray);
        EXPECT_FALSE(rung.no_sqarray);
        EXPECT_TRUE(rung.defer_taskrun) << rung.to_string();
        EXPECT_TRUE(rung.single_issuer);
        EXPECT_TRUE(rung.taskrun_flag);
    }
    {
        const Capabilities rung = without_flags(IORING_SETUP_DEFER_TASKRUN);
        EXPECT_FALSE(rung.defer_taskrun);
        EXPECT_TRUE(rung.coop_taskrun) << rung.to_string();
        EXPECT_TRUE(rung.single_issuer);
    }
    {
        const Capabilities rung = without_flags(IORING_SETUP_SINGLE_ISSUER);
        EXPECT_FALSE(rung.single_issuer);
        EXPECT_FALSE(rung.defer_taskrun);
        EXPECT_TRUE(rung.coop_taskrun) << rung.to_string();
    }
    {
        const Capabilities rung = without_flags(IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN);
        EXPECT_FALSE(rung.defer_taskrun);
        EXPECT_FALSE(rung.coop_taskrun);
    }
    {
        // As a kernel of 2021 would.
        const Capabilities rung = without_flags(~unsigned{IORING_SETUP_CQSIZE});
        EXPECT_FALSE(rung.single_issuer || rung.defer_taskrun || rung.coop_taskrun || rung.taskrun_flag ||
                     rung.no_sqarray)
            << rung.to_string();
        EXPECT_GE(rung.notes.size(), 4U);
    }
}

TEST_F(UringFaultsTest, WhatWasAskedForAndIsRefusedIsAnError) {
    SetupFaults faults([](unsigned, unsigned flags) {
        return (flags & (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SQPOLL)) != 0 ? -EINVAL : 0;
    });
    const InstalledFaults installed(faults);
    for (const auto backend : {BackendKind::IoUring, BackendKind::Auto}) {
        const BuildError defer = build_error(builder(1, backend).io_uring_defer_taskrun(true));
        EXPECT_EQ(defer.code, RuntimeError::IoUringInit);
        EXPECT_THAT(defer.what, HasSubstr("io_uring_defer_taskrun"));
        const BuildError poll = build_error(builder(1, backend).io_uring_sqpoll(std::chrono::milliseconds(10)));
        EXPECT_EQ(poll.code, RuntimeError::IoUringInit);
        EXPECT_THAT(poll.what, HasSubstr("io_uring_sqpoll"));
    }
}

TEST_F(UringFaultsTest, ACompletionQueueThatOverflowsLosesNothing) {
    // Deferred completions wait in the kernel without a limit, others in the overflow list: only these overflow.
    for (const bool defer : {true, false}) {
        Runtime runtime = builder(1).ring_entries(1).io_uring_defer_taskrun(defer).idle_spin(microseconds(0)).build();
        if (!runtime.handle().capabilities().send_msg_ring) {
            GTEST_SKIP() << "IORING_REGISTER_SEND_MSG_RING is not available";
        }
        const auto rings = ring_descriptors();
        ASSERT_EQ(rings.size(), 1U);
        const unsigned flood = 100 + runtime.handle().capabilities().cq_entries;
        for (int round = 0; round < 20; ++round) {
            Event busy;
            Event go_on;
            auto step = [&] {
                busy.set();
                go_on.wait();
            };
            auto held = runtime.handle().spawn_pinned(0, std::move(step));
            busy.wait();
            for (unsigned i = 0; i < flood; ++i) {
                ASSERT_EQ(detail::send_msg_ring(rings.front(), detail::user_data::probe), 0);
            }
            auto behind = runtime.handle().spawn_pinned(0, [] { return 5; });
            go_on.set();
            held.get();
            EXPECT_EQ(behind.get(), 5);
            EXPECT_EQ(do_some_of_everything(runtime), everything);
        }
        const RuntimeStats stats = runtime.handle().stats_snapshot();
        EXPECT_EQ(stats.late_wakes, 0U);
        if (!defer) {
            EXPECT_GT(stats.cq_overflows, 0U) << to_string(stats);
        }
        watchdog_.progress("flooded");
    }
}

}  // namespace
}  // namespace spargio::test
