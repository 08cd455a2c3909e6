// SPDX-License-Identifier: MIT
// The lane keeps its promises on every ring that the builder offers, or an older kernel has.
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <gtest/gtest.h>
#include <liburing.h>

#include "support/event.hpp"
#include "support/files.hpp"
#include "support/lane_tasks.hpp"
#include "support/receive_asleep.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

struct RingMode {
    const char* name;
    const char* without;  // SPARGIO_URING_DISABLE.
    bool submission_thread;
};

class NativeLaneModes : public UringTest, public ::testing::WithParamInterface<RingMode> {
protected:
    [[nodiscard]] static RuntimeBuilder builder() {
        RuntimeBuilder builder = UringTest::builder(2);
        if (GetParam().submission_thread) {
            builder.io_uring_sqpoll(std::chrono::milliseconds(1));
        }
        return builder;
    }
    void SetUp() override {
        UringTest::SetUp();
        if (!IsSkipped() && !HasFatalFailure() && GetParam().submission_thread && !builder().try_build()) {
            GTEST_SKIP() << "submission threads are not available";
        }
    }

    Environment mask_{"SPARGIO_URING_DISABLE", GetParam().without};
    Watchdog watchdog_{"the lane on a ring of another kind"};
    Pipe pipe_;
};

INSTANTIATE_TEST_SUITE_P(
    Uring, NativeLaneModes,
    ::testing::Values(RingMode{"usual", "", false}, RingMode{"coop", "defer_taskrun", false},
                      RingMode{"interrupts", "defer_taskrun,coop_taskrun,taskrun_flag", false},
                      RingMode{"no_ext_arg", "ext_arg", false}, RingMode{"no_submit_all", "submit_all", false},
                      RingMode{"linux_5_15",
                               "send_msg_ring,msg_ring,no_sqarray,defer_taskrun,single_issuer,coop_taskrun,"
                               "taskrun_flag,submit_all,registered_ring_fd,cqe_skip",
                               false},
                      RingMode{"sqpoll", "", true}),
    [](const auto& each) { return std::string(each.param.name); });

TEST_P(NativeLaneModes, ReadsWritesAndSyncs) {
    Runtime two = builder().build();
    const auto handle = two.handle();
    for (const ShardId from : {ShardId{0}, ShardId{1}}) {
        const auto work = [lane = handle.native_lane(1).value()]() -> Task<> {
            const auto file = file_of();
            const std::string text = "on any ring";
            const auto written = co_await lane.write_all_at(file.get(), 0, std::as_bytes(std::span(text)));
            EXPECT_TRUE(written.has_value());
            const auto synced = co_await lane.fsync(file.get());
            EXPECT_TRUE(synced.has_value());
            std::string back(text.size(), '\0');
            const auto read = co_await lane.read_exact_at(file.get(), 0, std::as_writable_bytes(std::span(back)));
            EXPECT_TRUE(read.has_value());
            EXPECT_EQ(back, text);
            const auto some = co_await lane.read_at(file.get(), 3, 100);
            EXPECT_EQ(some.value().size(), text.size() - 3);
            const auto owned = co_await lane.write_at(file.get(), 0, std::vector<std::byte>(4));
            EXPECT_EQ(owned.value(), 4U);
        };
        handle.spawn_pinned(from, work).get();
    }
}

TEST_P(NativeLaneModes, AStopEndsWhatIsInTheKernel) {
    Runtime two = builder().build();
    const auto handle = two.handle();
    for (unsigned round = 0; round < scaled(50, 20); ++round) {
        auto reading =
            handle.spawn_pinned(ShardId(round % 2), read_one(handle.native_lane(0).value(), pipe_.reader.get()));
        wait_until_pending(handle, 1);
        reading.request_stop();
        EXPECT_EQ(reading.get(), std::errc::operation_canceled);
    }
    ASSERT_EQ(write(pipe_.writer.get(), "x", 1), 1);
    char left = 0;
    EXPECT_EQ(read(pipe_.reader.get(), &left, 1), 1) << "what came after the stops is for the next reader";
}

TEST_P(NativeLaneModes, MoreOperationsThanTheRingHasRoomFor) {
    constexpr int operations = 1'000;
    Runtime narrow = builder().ring_entries(2).build();
    const auto handle = narrow.handle();
    std::vector<JoinHandle<std::error_code>> readers;
    for (int i = 0; i < operations; ++i) {
        readers.push_back(handle.spawn_pinned(0, read_one(handle.native_lane(0).value(), pipe_.reader.get())));
    }
    wait_until_pending(handle, operations);
    const std::string all(operations, 'a');
    ASSERT_EQ(write(pipe_.writer.get(), all.data(), all.size()), operations);
    for (auto& reader : readers) {
        EXPECT_FALSE(reader.get());
    }
    EXPECT_EQ(handle.stats_snapshot().pending_native_ops, 0U);
}

/// What the kernel refuses as it takes the entry, in different ways. Without IORING_SETUP_SUBMIT_ALL it takes none
/// behind it in that call.
PrepareEntry refused_entry(std::size_t way) {
    const std::array<PrepareEntry, 3> all = {
        [](io_uring_sqe* sqe) { sqe->opcode = 0xFF; },
        [](io_uring_sqe* sqe) {
            io_uring_prep_nop(sqe);
            sqe->flags |= 0x80;
        },
        [](io_uring_sqe* sqe) {
            io_uring_prep_fsync(sqe, 0, 0);
            sqe->addr = 1;
        },
    };
    return all[way % all.size()];
}

TEST_P(NativeLaneModes, WhatTheKernelRefusesHoldsUpNeitherTheOthersNorABell) {
    constexpr std::size_t operations = 32;
    const auto file = file_of("same");
    Gate gate;
    const InstalledFaults installed(gate);
    const Runtime two = builder().idle_spin(std::chrono::microseconds(0)).build();
    const auto handle = two.handle();
    const auto lane = handle.native_lane(0).value();
    const NoLateWakes all_woken(handle);
    const auto read_file = [fd = file.get(), room = std::array<std::byte, 4>()](io_uring_sqe* sqe) mutable {
        io_uring_prep_read(sqe, fd, room.data(), 4, 0);
    };
    std::set<std::size_t> all;
    for (std::size_t i = 0; i < operations; ++i) {
        all.insert(i);
    }
    const std::vector<std::set<std::size_t>> cases = {{15}, {31}, {0, 1}, {0, 10, 31}, {3, 4, 9, 15, 21, 27, 31}, all};
    for (const auto& refused : cases) {
        for (const bool with_bell : {true, false}) {
            Event arrived;
            JoinHandle<> receiver;
            if (with_bell) {
                receiver = receive_asleep(handle, 1, arrived);
            }
            const auto batch = [&]() -> Task<> {
                gate.close();
                std::vector<JoinHandle<Result<int>>> begun;
                for (std::size_t i = 0; i < operations; ++i) {
                    PrepareEntry prepare = refused.contains(i) ? refused_entry(i) : PrepareEntry(read_file);
                    begun.push_back(ShardCtx::current()->spawn_local(run_once(lane, std::move(prepare))));
                }
                auto bell = ShardCtx::current()->spawn_local([&] {
                    // A submission thread takes what is there.
                    EXPECT_TRUE(GetParam().submission_thread ||
                                handle.stats_snapshot().pending_native_ops == operations);
                    gate.open();  // All are submitted together, and the bell behind them.
                    if (with_bell) {
                        EXPECT_TRUE(ShardCtx::current()->send_raw_nowait(1, 1, 1).has_value());
                        ShardCtx::current()->flush();
                        arrived.wait();  // In the step: it is this bell that must bring it.
                    }
                });
                for (std::size_t i = 0; i < operations; ++i) {
                    const Result<int> result = co_await std::move(begun[i]);
                    if (refused.contains(i)) {
                        EXPECT_EQ(result.error(), std::errc::invalid_argument) << i;
                    } else {
                        EXPECT_EQ(result.value_or(-1), 4) << i;
                    }
                }
                co_await std::move(bell);
            };
            handle.spawn_pinned(0, batch).get();
            if (with_bell) {
                receiver.get();
            }
        }
    }
}

TEST_P(NativeLaneModes, AShutdownEndsWhatIsInTheKernel) {
    Runtime two = builder().build();
    const auto handle = two.handle();
    for (int i = 0; i < 100; ++i) {
        const auto lane = handle.native_lane(ShardId(i % 2)).value();
        handle.spawn_pinned(ShardId(i / 2 % 2), read_one(lane, pipe_.reader.get())).detach();
    }
    wait_until_pending(handle, 100);
    two.shutdown();
    EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
    EXPECT_EQ(handle.stats_snapshot().pending_native_ops, 0U);
    ASSERT_EQ(write(pipe_.writer.get(), "x", 1), 1);
    char left = 0;
    EXPECT_EQ(read(pipe_.reader.get(), &left, 1), 1);
}

}  // namespace
}  // namespace spargio::test
