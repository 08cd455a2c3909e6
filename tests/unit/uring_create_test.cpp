// SPDX-License-Identifier: MIT
// Tests of a ring's set-up: the mask of features, the ladder of flags, short memory, refusals and their remedies.
#include "uring.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel_abi.hpp"
#include "spargio/error.hpp"
#include "support/process_gauges.hpp"
#include "support/uring_test.hpp"
#include "uring_faults.hpp"

namespace spargio::detail {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::StartsWith;

/// The flags of a mask, in the order of its members.
std::vector<bool> bits(const UringMask& mask) {
    return {mask.single_issuer, mask.defer_taskrun,      mask.coop_taskrun, mask.taskrun_flag,  mask.submit_all,
            mask.no_sqarray,    mask.registered_ring_fd, mask.msg_ring,     mask.send_msg_ring, mask.ext_arg,
            mask.cqe_skip};
}

std::vector<bool> parsed(const std::string& names) {
    const test::Environment variable("SPARGIO_URING_DISABLE", names);
    return bits(UringMask::from_environment());
}

TEST(UringMask, KnowsEachFeatureByItsName) {
    const std::vector<std::string> names{
        "single_issuer",      "defer_taskrun", "coop_taskrun",  "taskrun_flag", "submit_all", "no_sqarray",
        "registered_ring_fd", "msg_ring",      "send_msg_ring", "ext_arg",      "cqe_skip"};
    std::string all;
    for (std::size_t i = 0; i < names.size(); ++i) {
        std::vector<bool> expected(names.size());
        expected[i] = true;
        EXPECT_EQ(parsed(names[i]), expected) << names[i];
        all += names[i] + ",";
    }
    EXPECT_EQ(parsed(all), std::vector<bool>(names.size(), true));
}

TEST(UringMask, IgnoresWhatIsNoFeature) {
    const auto nothing = bits(UringMask());
    EXPECT_EQ(parsed(""), nothing);
    EXPECT_EQ(parsed(","), nothing);
    EXPECT_EQ(parsed(",,,"), nothing);
    EXPECT_EQ(parsed("msg_rin,msg_ringg,MSG_RING,sqpoll"), nothing);
    EXPECT_EQ(bits(UringMask::from_environment()), nothing);
    auto expected = nothing;
    expected[7] = true;
    EXPECT_EQ(parsed("nonsense,,msg_ring"), expected);
}

TEST(UringSetup, MessagesWakeFromSixTwoOn) {
    for (const char* release : {"6.2", "6.2.0", "6.10.3-arch1-1", "6.18.0", "7.0.0-rc1", "10.1"}) {
        EXPECT_TRUE(messages_wake(release)) << release;
    }
    for (const char* release :
         {"6.1.0-18-amd64", "6.0", "6", "6.", "5.19.17", "5.18", "4.4.0", "", ".", "x.y", "-6.2"}) {
        EXPECT_FALSE(messages_wake(release)) << release;
    }
}

/// Refuses set-ups by their flags and entries, and remembers all attempts.
class Ladder final : public UringFaults {
public:
    struct Attempt {
        unsigned entries;
        unsigned flags;
    };
    using Refuse = std::function<int(const Attempt&)>;

    explicit Ladder(Refuse refuse) : refuse_(std::move(refuse)) {}

    int on_setup(unsigned entries, unsigned flags) noexcept override {
        attempts.push_back({entries, flags});
        return refuse_(attempts.back());
    }

    std::vector<Attempt> attempts;

private:
    Refuse refuse_;
};

class UringCreate : public test::UringTest {
protected:
    std::optional<BuildFailure> create(Ladder& ladder) {
        const test::InstalledFaults installed(ladder);
        return Uring::create(options, mask, ring, report);
    }

    /// What the report says must be what the last attempt, the one that succeeded, asked for.
    void expect_report_of(const Ladder::Attempt& attempt) const {
        EXPECT_EQ(report.single_issuer, (attempt.flags & IORING_SETUP_SINGLE_ISSUER) != 0);
        EXPECT_EQ(report.defer_taskrun, (attempt.flags & IORING_SETUP_DEFER_TASKRUN) != 0);
        EXPECT_EQ(report.coop_taskrun, (attempt.flags & IORING_SETUP_COOP_TASKRUN) != 0);
        EXPECT_EQ(report.taskrun_flag, (attempt.flags & IORING_SETUP_TASKRUN_FLAG) != 0);
        EXPECT_EQ(report.no_sqarray, (attempt.flags & abi::setup_no_sqarray) != 0);
        EXPECT_EQ(report.sqpoll, (attempt.flags & IORING_SETUP_SQPOLL) != 0);
        const auto noted = [this](const std::string& feature) {
            return std::any_of(report.notes.begin(), report.notes.end(),
                               [&](const std::string& note) { return note.starts_with(feature + ": "); });
        };
        EXPECT_EQ(noted("single_issuer"), !report.single_issuer);
        EXPECT_EQ(noted("defer_taskrun"), !report.defer_taskrun);
        EXPECT_EQ(noted("coop_taskrun"), !report.coop_taskrun);
        EXPECT_EQ(noted("taskrun_flag"), !report.taskrun_flag);
        EXPECT_EQ(noted("no_sqarray"), !report.no_sqarray);
        EXPECT_EQ(noted("sqpoll"), !report.sqpoll);
    }

    RuntimeOptions options;
    UringMask mask;
    std::unique_ptr<Uring> ring;
    Capabilities report;
};

constexpr unsigned kIssuer = IORING_SETUP_SINGLE_ISSUER;
constexpr unsigned kDefer = IORING_SETUP_DEFER_TASKRUN;
constexpr unsigned kCoop = IORING_SETUP_COOP_TASKRUN;
constexpr unsigned kTold = IORING_SETUP_TASKRUN_FLAG;
constexpr unsigned kAll = IORING_SETUP_SUBMIT_ALL;
constexpr unsigned kSize = IORING_SETUP_CQSIZE;
constexpr unsigned kNoArray = abi::setup_no_sqarray;

const std::vector<unsigned> rungs{
    kSize | kAll | kIssuer | kDefer | kTold | kNoArray,
    kSize | kAll | kIssuer | kDefer | kTold,
    kSize | kAll | kIssuer | kCoop | kTold | kNoArray,
    kSize | kAll | kIssuer | kCoop | kTold,
    kSize | kAll | kCoop | kTold | kNoArray,
    kSize | kAll | kCoop | kTold,
    kSize | kAll | kIssuer | kNoArray,
    kSize | kAll | kIssuer,
    kSize | kAll | kNoArray,
    kSize | kAll,
    kSize | kNoArray,
    kSize,
};

TEST_F(UringCreate, TriesOneRungAfterTheOther) {
    Ladder ladder([](const auto&) { return -EINVAL; });
    const auto failure = create(ladder);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code, RuntimeError::IoUringInit);
    EXPECT_THAT(failure->sentence, AllOf(StartsWith("io_uring_setup failed: "), HasSubstr("kernel is too old")));
    EXPECT_EQ(ring, nullptr);
    std::vector<unsigned> tried;
    for (const auto& attempt : ladder.attempts) {
        EXPECT_EQ(attempt.entries, 256U);
        tried.push_back(attempt.flags);
    }
    EXPECT_EQ(tried, rungs);
}

TEST_F(UringCreate, EveryRungGivesAWorkingRing) {
    const auto descriptors = test::open_descriptors();
    for (std::size_t first = 0; first < rungs.size(); ++first) {
        SCOPED_TRACE(first);
        std::size_t calls = 0;
        Ladder ladder([&](const auto&) { return calls++ < first ? -EINVAL : 0; });
        report = Capabilities();
        const auto failure = create(ladder);
        ASSERT_FALSE(failure) << failure->sentence;
        ASSERT_NE(ring, nullptr);
        // An older kernel refuses a few more by itself.
        ASSERT_GT(ladder.attempts.size(), first);
        EXPECT_EQ(ladder.attempts.back().flags, rungs[ladder.attempts.size() - 1]);
        expect_report_of(ladder.attempts.back());
        EXPECT_EQ(report.ring_entries, 256U);
        EXPECT_EQ(report.cq_entries, 1024U);

        io_uring_prep_nop(ring->next_sqe());
        static_cast<void>(ring->submit_and_wait(std::chrono::seconds(10)));
        EXPECT_EQ(ring->reap([](const io_uring_cqe&) {}), 1U);
        ring.reset();
    }
    EXPECT_EQ(test::open_descriptors(), descriptors);
}

TEST_F(UringCreate, TheMaskAndTheOptionsTakeRungsAway) {
    const auto tried = [this] {
        Ladder ladder([](const auto&) { return -EINVAL; });
        EXPECT_TRUE(create(ladder));
        unsigned together = 0;
        for (const auto& attempt : ladder.attempts) {
            together |= attempt.flags;
        }
        return together;
    };
    const unsigned all = kSize | kAll | kIssuer | kDefer | kCoop | kTold | kNoArray;
    EXPECT_EQ(tried(), all);
    mask.no_sqarray = true;
    EXPECT_EQ(tried(), all & ~kNoArray);
    mask = {};
    mask.taskrun_flag = true;
    EXPECT_EQ(tried(), all & ~(kDefer | kCoop | kTold)) << "no kernel has these without the flag";
    mask = {};
    mask.defer_taskrun = true;
    EXPECT_EQ(tried(), all & ~kDefer);
    mask = {};
    mask.single_issuer = true;
    EXPECT_EQ(tried(), all & ~(kDefer | kIssuer)) << "DEFER_TASKRUN needs SINGLE_ISSUER";
    mask = {};
    options.defer_taskrun = false;
    EXPECT_EQ(tried(), all & ~kDefer);
    options.coop_taskrun = false;
    EXPECT_EQ(tried(), kSize | kAll | kIssuer | kNoArray);
    mask.submit_all = true;
    EXPECT_EQ(tried(), kSize | kIssuer | kNoArray);
    mask = {};
    options = {};
    options.single_issuer = false;
    EXPECT_EQ(tried(), all & ~(kDefer | kIssuer));
}

TEST_F(UringCreate, AnExplicitDeferTaskrunIsNotTradedForLess) {
    options.defer_taskrun = true;
    Ladder refusing([](const auto& attempt) { return (attempt.flags & kDefer) != 0 ? -EINVAL : 0; });
    auto failure = create(refusing);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code, RuntimeError::IoUringInit);
    EXPECT_THAT(failure->sentence, StartsWith("io_uring_defer_taskrun: "));
    EXPECT_EQ(refusing.attempts.size(), 2U);

    mask.defer_taskrun = true;  // This kernel plays one before 6.1.
    Ladder willing([](const auto&) { return 0; });
    failure = create(willing);
    EXPECT_TRUE(failure) << "coop_taskrun instead of the defer_taskrun that was asked for";
}

TEST_F(UringCreate, WhatElseIsAskedForIsInEveryRung) {
    options.single_issuer = true;
    options.coop_taskrun = true;
    Ladder refusing([](const auto&) { return -EINVAL; });
    const auto failure = create(refusing);
    ASSERT_TRUE(failure);
    EXPECT_THAT(failure->sentence, StartsWith("io_uring_single_issuer: "));
    ASSERT_FALSE(refusing.attempts.empty());
    for (const auto& attempt : refusing.attempts) {
        EXPECT_EQ(attempt.flags & (kIssuer | kCoop), kIssuer | kCoop);
    }
    Ladder willing([](const auto&) { return 0; });
    ASSERT_FALSE(create(willing)) << "both together with defer_taskrun";
    EXPECT_TRUE(report.single_issuer && report.coop_taskrun);
}

TEST_F(UringCreate, ASubmissionThreadExcludesTheOthers) {
    options.sqpoll_idle = std::chrono::milliseconds(10);
    Ladder ladder([](const auto&) { return -EINVAL; });
    const auto failure = create(ladder);
    ASSERT_TRUE(failure);
    EXPECT_THAT(failure->sentence, StartsWith("io_uring_sqpoll: "));
    ASSERT_FALSE(ladder.attempts.empty());
    for (const auto& attempt : ladder.attempts) {
        EXPECT_NE(attempt.flags & IORING_SETUP_SQPOLL, 0U) << "nothing less will do";
        EXPECT_EQ(attempt.flags & (kDefer | kCoop | kTold), 0U) << "the kernel refuses them together";
    }
}

TEST_F(UringCreate, HalvesTheRingWhileMemoryIsShort) {
    Ladder ladder([](const auto& attempt) { return attempt.entries > 64 ? -ENOMEM : 0; });
    const auto failure = create(ladder);
    ASSERT_FALSE(failure) << failure->sentence;
    EXPECT_EQ(report.ring_entries, 64U);
    EXPECT_THAT(report.notes, Contains(AllOf(StartsWith("ring_entries: 64 instead of 256"), HasSubstr("ulimit -l"))));
    std::vector<unsigned> entries;
    for (const auto& attempt : ladder.attempts) {
        if (entries.empty() || entries.back() != attempt.entries) {
            entries.push_back(attempt.entries);
        }
    }
    EXPECT_EQ(entries, (std::vector<unsigned>{256, 128, 64}));
}

TEST_F(UringCreate, GivesUpWhenTheLeastRingDoesNotFit) {
    for (const unsigned asked : {1024U, 100U, 64U, 8U}) {
        options.ring_entries = asked;
        Ladder ladder([](const auto&) { return -ENOMEM; });
        const auto failure = create(ladder);
        ASSERT_TRUE(failure);
        EXPECT_EQ(failure->code, RuntimeError::IoUringInit);
        EXPECT_THAT(failure->sentence, HasSubstr("ulimit -l"));
        EXPECT_EQ(ladder.attempts.back().entries, asked < 64 ? asked : 64U);
        EXPECT_LT(ladder.attempts.size(), 20U);
    }
}

TEST_F(UringCreate, ARefusalNamesTheRemedy) {
    const std::pair<int, const char*> table[] = {
        {EPERM, "kernel.io_uring_disabled"},
        {EACCES, "seccomp"},
        {ENOSYS, "has no io_uring"},
        {EMFILE, "ulimit -n"},
        {ENFILE, "ulimit -n"},
        {EIO, "BackendKind::Queue"},
    };
    for (const auto& [error, remedy] : table) {
        Ladder ladder([refusal = -error](const auto&) { return refusal; });
        const auto failure = create(ladder);
        ASSERT_TRUE(failure);
        EXPECT_EQ(failure->code, RuntimeError::IoUringInit);
        EXPECT_THAT(failure->sentence, AllOf(HasSubstr(std::generic_category().message(error)), HasSubstr(remedy)));
        EXPECT_EQ(ladder.attempts.size(), 1U) << "other flags would not help";
    }
}

TEST_F(UringCreate, ARingThatCannotBeEnteredIsNoRing) {
    class NoEnter final : public UringFaults {
    public:
        int on_enter() noexcept override { return -EPERM; }
    };
    const auto descriptors = test::open_descriptors();
    NoEnter faults;
    const test::InstalledFaults installed(faults);
    const auto failure = Uring::create(options, mask, ring, report);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code, RuntimeError::IoUringInit);
    EXPECT_THAT(failure->sentence, AllOf(StartsWith("io_uring_enter failed: "), HasSubstr("seccomp")));
    EXPECT_EQ(ring, nullptr);
    EXPECT_EQ(test::open_descriptors(), descriptors);
}

TEST_F(UringCreate, NotesSayWhoSwitchedAFeatureOff) {
    mask.msg_ring = true;
    options.defer_taskrun = false;
    options.coop_taskrun = false;
    ASSERT_FALSE(Uring::create(options, mask, ring, report));
    EXPECT_FALSE(report.msg_ring);
    EXPECT_FALSE(report.send_msg_ring) << "of no use without the other";
    EXPECT_THAT(report.notes, Contains("msg_ring: disabled by SPARGIO_URING_DISABLE"));
    EXPECT_THAT(report.notes, Contains(AllOf(StartsWith("defer_taskrun: "), HasSubstr("option"))));
    EXPECT_THAT(report.notes, Contains(AllOf(StartsWith("coop_taskrun: "), HasSubstr("option"))));
}

TEST_F(UringCreate, AFeatureInUseHasNoNote) {
    ASSERT_FALSE(Uring::create(options, mask, ring, report));
    for (const std::string& note : report.notes) {
        EXPECT_THAT(note, HasSubstr(": "));
    }
    const std::vector<std::string> by_default{"coop_taskrun: of no use beside defer_taskrun", "sqpoll: not asked for"};
    if (report.msg_ring && report.send_msg_ring && report.defer_taskrun && report.no_sqarray && report.ext_arg &&
        report.registered_ring_fd) {
        EXPECT_EQ(report.notes, by_default);
    } else {
        EXPECT_GT(report.notes.size(), by_default.size());
    }
}

}  // namespace
}  // namespace spargio::detail
