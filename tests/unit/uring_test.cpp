// SPDX-License-Identifier: MIT
// Tests of one ring by itself: entries, completions, waits, bells from outside, its end.
#include "uring.hpp"

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "support/process_gauges.hpp"
#include "support/uring_test.hpp"
#include "uring_faults.hpp"

namespace spargio::detail {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Makes rings of four entries, so that they are soon full.
class UringRing : public test::UringTest {
protected:
    void make(const UringMask& mask = {}, std::uint32_t entries = 4) {
        RuntimeOptions options;
        options.ring_entries = entries;
        const auto failure = Uring::create(options, mask, ring, report);
        ASSERT_FALSE(failure) << failure->sentence;
        ASSERT_NE(ring, nullptr);
    }

    /// Prepares a NOP; false when there is no room even after a submit.
    bool prepare_nop(std::uint64_t user_data) const {
        io_uring_sqe* sqe = ring->next_sqe();
        if (sqe != nullptr) {
            io_uring_prep_nop(sqe);
            sqe->user_data = user_data;
        }
        return sqe != nullptr;
    }

    /// Waits for that many completions; their user_data in order.
    std::vector<std::uint64_t> completions(std::size_t count) const {
        std::vector<std::uint64_t> seen;
        for (int attempt = 0; seen.size() < count && attempt < 1000; ++attempt) {
            if (ring->ready() == 0) {
                const int waited = ring->submit_and_wait(seconds(10));
                EXPECT_TRUE(waited >= 0 || waited == -EINTR || waited == -EAGAIN || waited == -EBUSY) << waited;
            }
            ring->reap([&seen](const io_uring_cqe& cqe) { seen.push_back(cqe.user_data); });
        }
        return seen;
    }

    std::unique_ptr<Uring> ring;
    Capabilities report;
};

TEST_F(UringRing, NumbersNoOperationCanHave) {
    // Operations are named by their addresses, which are larger and aligned.
    EXPECT_LT(user_data::probe, 256U);
    EXPECT_EQ((user_data::bell_sent | (std::uint64_t{0xFFFF} << 8U)) & user_data::kind_mask, user_data::bell_sent);
}

TEST_F(UringRing, EntriesComeZeroed) {
    make();
    for (int i = 0; i < 12; ++i) {
        io_uring_sqe* sqe = ring->next_sqe();
        ASSERT_NE(sqe, nullptr);
        EXPECT_EQ(sqe->opcode, IORING_OP_NOP);
        EXPECT_EQ(sqe->flags, 0);
        EXPECT_EQ(sqe->len, 0U);
        EXPECT_EQ(sqe->user_data, 0U);
        sqe->user_data = 77;
        sqe->len = 5;
        sqe->buf_index = 3;
        io_uring_prep_nop(sqe);
    }
    EXPECT_EQ(completions(12).size(), 12U);
}

TEST_F(UringRing, EachOperationCompletesOnceAndInOrder) {
    make();
    std::uint64_t next = 100;
    for (int round = 0; round < 200; ++round) {
        const auto first = next;
        for (int i = 0; i < 1 + round % 4; ++i) {
            ASSERT_TRUE(prepare_nop(next++));
        }
        EXPECT_EQ(ring->unsubmitted(), next - first);
        EXPECT_EQ(ring->submit(), static_cast<int>(next - first));
        EXPECT_EQ(ring->unsubmitted(), 0U);
        const auto seen = completions(next - first);
        ASSERT_EQ(seen.size(), next - first);
        for (std::size_t i = 0; i < seen.size(); ++i) {
            EXPECT_EQ(seen[i], first + i);
        }
    }
    EXPECT_EQ(ring->ready(), 0U);
}

TEST_F(UringRing, AFullQueueIsSubmittedToMakeRoom) {
    make();
    for (std::uint64_t i = 0; i < 4; ++i) {
        ASSERT_TRUE(prepare_nop(i));
    }
    EXPECT_EQ(ring->unsubmitted(), 4U);
    ASSERT_TRUE(prepare_nop(4));
    EXPECT_EQ(ring->unsubmitted(), 1U);
    EXPECT_EQ(completions(5), (std::vector<std::uint64_t>{0, 1, 2, 3, 4}));
}

TEST_F(UringRing, WhatTheKernelDoesNotTakeStaysPrepared) {
    class Busy final : public UringFaults {
    public:
        int on_enter() noexcept override { return -EBUSY; }
    };
    make();
    Busy busy;
    {
        const test::InstalledFaults installed(busy);
        for (std::uint64_t i = 0; i < 4; ++i) {
            ASSERT_TRUE(prepare_nop(i));
        }
        EXPECT_EQ(ring->submit(), -EBUSY);
        EXPECT_FALSE(prepare_nop(4)) << "there is no room";
        EXPECT_EQ(ring->unsubmitted(), 4U);
        EXPECT_EQ(ring->submit_and_wait(milliseconds(1)), -EBUSY);
        EXPECT_EQ(ring->get_events(), -EBUSY);
    }
    EXPECT_EQ(completions(4), (std::vector<std::uint64_t>{0, 1, 2, 3}));
}

TEST_F(UringRing, ACompletionQueueThatOverflowsLosesNothing) {
    make();
    std::uint64_t posted = 0;
    while (posted < 4ULL * report.cq_entries && prepare_nop(posted)) {
        ++posted;
    }
    static_cast<void>(ring->submit());
    const auto accepted = posted - ring->unsubmitted();
    if (accepted > report.cq_entries) {
        EXPECT_TRUE(ring->overflowed());
        EXPECT_TRUE(ring->must_enter());
    }
    std::vector<std::uint64_t> seen;
    for (int attempt = 0; seen.size() < posted && attempt < 1000; ++attempt) {
        static_cast<void>(ring->submit());
        static_cast<void>(ring->get_events());
        ring->reap([&seen](const io_uring_cqe& cqe) { seen.push_back(cqe.user_data); });
    }
    ASSERT_EQ(seen.size(), posted);
    for (std::uint64_t i = 0; i < posted; ++i) {
        EXPECT_EQ(seen[i], i);
    }
    EXPECT_FALSE(ring->overflowed());
}

TEST_F(UringRing, AConsumerMayPrepareEntries) {
    make();
    ASSERT_TRUE(prepare_nop(0));
    std::uint64_t last = 0;
    for (int attempt = 0; last < 20 && attempt < 1000; ++attempt) {
        static_cast<void>(ring->submit_and_wait(seconds(10)));
        ring->reap([&](const io_uring_cqe& cqe) {
            last = cqe.user_data;
            EXPECT_TRUE(prepare_nop(last + 1));
        });
    }
    EXPECT_GE(last, 20U);
}

TEST_F(UringRing, AWaitEndsWithItsSpan) {
    for (const bool ext_arg : {true, false}) {
        SCOPED_TRACE(ext_arg ? "the wait carries its timeout" : "the timeout is an entry");
        UringMask mask;
        mask.ext_arg = !ext_arg;
        make(mask);
        EXPECT_FALSE(!ext_arg && report.ext_arg);
        const auto begin = clock::now();
        const int waited = ring->submit_and_wait(milliseconds(5));
        EXPECT_GE(clock::now() - begin, milliseconds(5));
        if (report.ext_arg) {
            EXPECT_EQ(waited, -ETIME);
        }
        // An entry completes like any other, under liburing's own name.
        ring->reap([](const io_uring_cqe& cqe) { EXPECT_EQ(cqe.user_data, ~std::uint64_t{0}); });
        ring.reset();
    }
}

// Without SUBMIT_ALL (before 5.18) the kernel stops at an entry that it does not understand.
TEST_F(UringRing, ASubmitThatTheKernelCutsShortIsContinued) {
    UringMask mask;
    mask.submit_all = true;
    make(mask, 16);
    for (std::uint64_t n = 0; n < 10; ++n) {
        ASSERT_TRUE(prepare_nop(n));
        if (n == 3) {
            io_uring_sqe* wrong = ring->next_sqe();
            ASSERT_NE(wrong, nullptr);
            wrong->opcode = 0xFF;
            wrong->user_data = 100;
        }
    }
    EXPECT_EQ(ring->submit(), 5) << "four that it understands, and the wrong one";
    EXPECT_EQ(ring->unsubmitted(), 6U);
    std::vector<std::uint64_t> seen;
    int error = 0;
    for (int turn = 0; turn < 100 && seen.size() < 11; ++turn) {
        static_cast<void>(ring->submit_and_wait(seconds(1)));
        ring->reap([&](const io_uring_cqe& cqe) {
            seen.push_back(cqe.user_data);
            error = cqe.user_data == 100 ? cqe.res : error;
        });
    }
    EXPECT_EQ(error, -EINVAL);
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{0, 1, 2, 3, 100, 4, 5, 6, 7, 8, 9}));
}

TEST_F(UringRing, AWaitEndsWithACompletion) {
    UringMask without_ext_arg;
    without_ext_arg.ext_arg = true;
    for (const auto& mask : {UringMask(), without_ext_arg}) {
        make(mask);
        ASSERT_TRUE(prepare_nop(9));
        static_cast<void>(ring->submit_and_wait(seconds(100)));
        bool seen = false;
        ring->reap([&seen](const io_uring_cqe& cqe) { seen |= cqe.user_data == 9; });
        EXPECT_TRUE(seen);
        ring.reset();
    }
}

TEST_F(UringRing, ABellFromOutsideEndsAWait) {
    make();
    if (!report.send_msg_ring) {
        GTEST_SKIP() << "the kernel has no IORING_REGISTER_SEND_MSG_RING (6.13)";
    }
    std::thread ringer([fd = ring->fd()] { EXPECT_EQ(send_msg_ring(fd, user_data::bell), 0); });
    EXPECT_EQ(completions(1), std::vector<std::uint64_t>{user_data::bell});
    ringer.join();
    EXPECT_LT(send_msg_ring(-1, user_data::bell), 0);
}

TEST_F(UringRing, MayBeDestroyedByAnotherThreadOnceItsOwnHasLeft) {
    const auto descriptors = test::open_descriptors();
    for (int round = 0; round < 3; ++round) {
        std::thread([this] {
            make();
            EXPECT_TRUE(prepare_nop(1));
            EXPECT_EQ(completions(1).size(), 1U);
            ring->leave_thread();
        }).join();
        ring.reset();
    }
    EXPECT_EQ(test::open_descriptors(), descriptors);
}

}  // namespace
}  // namespace spargio::detail
