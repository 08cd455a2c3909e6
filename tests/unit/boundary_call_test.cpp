// SPDX-License-Identifier: MIT
// A stop or a deadline that takes a waiting caller back, against each state of its call; a receiver that comes too
// late.
#include "spargio/detail/boundary_call.hpp"

#include <chrono>
#include <optional>
#include <utility>

#include <gtest/gtest.h>

#include "spargio/boundary.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::detail {
namespace {

class CallRevoke : public ::testing::Test {
protected:
    void SetUp() override {
        auto begun = begin_call<int, int>(*client_, 1, CallHeader::no_deadline, false);
        ASSERT_TRUE(begun.has_value());
        call_ = std::move(*begun);
        wait_.emplace(call_.get());
    }
    [[nodiscard]] bool revoke() { return wait_->revoke(*wait_); }
    void take_and_end() {
        CallHeader* taken = nullptr;
        ASSERT_EQ(try_receive(*server_, taken), Receive::Taken);
        TakenCall<int, int> request(taken);
    }

    Channel* channel_ = make_channel(1);
    ClientEnd client_{channel_};
    ServerEnd server_{channel_};
    CallRef<int> call_;
    std::optional<CallWait> wait_;
};

TEST_F(CallRevoke, OfAWaiterInTheWordTakesItBack) {
    ASSERT_TRUE(enter_waiter(*call_, *wait_));
    EXPECT_TRUE(revoke());
    EXPECT_TRUE(call_->is_left());
}

TEST_F(CallRevoke, OfAWaiterOnItsWayMakesItsArrivalFail) {
    EXPECT_FALSE(revoke());
    EXPECT_FALSE(enter_waiter(*call_, *wait_));
    EXPECT_TRUE(call_->is_left());
}

TEST_F(CallRevoke, OfACallThatHasEndedLeavesTheWakeToWhoEndedIt) {
    take_and_end();
    EXPECT_FALSE(revoke());
    EXPECT_FALSE(call_->is_left());
    EXPECT_EQ(call_end(*call_), CallEnd::Canceled);
    EXPECT_FALSE(enter_waiter(*call_, *wait_));
}

TEST_F(CallRevoke, ChangesNoEnd) {
    for (const CallEnd end : {CallEnd::Answered, CallEnd::TimedOut, CallEnd::Canceled, CallEnd::Closed}) {
        call_ = CallRef<int>();
        SetUp();
        CallHeader* taken = nullptr;
        ASSERT_EQ(try_receive(*server_, taken), Receive::Taken);
        TakenCall<int, int> request(taken);
        EXPECT_EQ(request.finish(end), CallHeader::idle);
        EXPECT_FALSE(revoke());
        EXPECT_EQ(call_end(*call_), end);
        EXPECT_FALSE(leave_call_late(*call_));
        EXPECT_EQ(call_end(*call_), end);
    }
}

TEST_F(CallRevoke, PastTheDeadlineIsATimeOut) {
    test::VirtualClock clock;
    for (const bool is_taken : {false, true}) {
        call_ = CallRef<int>();
        call_ = *begin_call<int, int>(*client_, 2, clock.now() + std::chrono::nanoseconds(1), false);
        wait_.emplace(call_.get());
        std::optional<TakenCall<int, int>> request;
        CallHeader* taken = nullptr;
        if (is_taken) {
            ASSERT_EQ(try_receive(*server_, taken), Receive::Taken);
            request.emplace(taken);
        }
        ASSERT_TRUE(enter_waiter(*call_, *wait_));
        clock.set(clock.now() + std::chrono::nanoseconds(1));
        EXPECT_TRUE(revoke());
        EXPECT_EQ(call_end(*call_), CallEnd::TimedOut);
        if (request) {
            EXPECT_EQ(request->finish(CallEnd::Answered), CallHeader::late);
        }
    }
    EXPECT_EQ(channel_stats(*client_).timed_out, 2U);
}

TEST_F(CallRevoke, OfATakenCallLeavesItToItsServer) {
    CallHeader* taken = nullptr;
    ASSERT_EQ(try_receive(*server_, taken), Receive::Taken);
    ASSERT_TRUE(enter_waiter(*call_, *wait_));
    EXPECT_TRUE(revoke());
    TakenCall<int, int> request(taken);
    EXPECT_EQ(request.finish(CallEnd::Answered), CallHeader::left);
    EXPECT_EQ(channel_stats(*client_).canceled, 1U);
}

TEST_F(CallRevoke, ACallWhoseServerHasGoneIsItsCallersAlone) {
    EXPECT_EQ(call_->owners.load(), 2U);
    { const ServerEnd gone(std::move(server_)); }
    EXPECT_EQ(call_end(*call_), CallEnd::Closed);
    EXPECT_EQ(call_->owners.load(), 1U);
}

/// One that was given an expired request goes to wait again, and the server may have gone meanwhile.
TEST(ChannelReceive, AfterTheServerIsGoneIsClosed) {
    Channel* channel = make_channel(1);
    const ClientEnd client(channel);
    const ChannelRef kept(*channel);
    drop_server(channel);
    CallHeader* call = nullptr;
    EXPECT_EQ(receive_block(*kept, call, timer_now()), Receive::Closed);
}

}  // namespace
}  // namespace spargio::detail
