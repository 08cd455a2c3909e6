// SPDX-License-Identifier: MIT
// Tests of the stop word, one thread: every row of the table in its header, without a token and with one.
#include "spargio/detail/stop_link.hpp"

#include <memory>
#include <stop_token>
#include <string>

#include <gtest/gtest.h>

#include "stop_link.hpp"

namespace spargio::detail {
namespace {

void cancel_nothing(Wait*, TaskHeader*) noexcept {}

enum class Token { None, Asked };

class StopLinkTable : public testing::TestWithParam<Token> {
protected:
    StopLinkTable() {
        if (GetParam() == Token::Asked) {
            EXPECT_NE(link.shared_state(), nullptr);
        }
    }

    /// What the state Stopped looks like from outside.
    void expect_stopped() {
        EXPECT_TRUE(link.stop_requested());
        EXPECT_EQ(link.request(), nullptr);
        EXPECT_EQ(link.armed(), nullptr);
        EXPECT_FALSE(link.hold(&wait));
        EXPECT_FALSE(link.arm(&wait));
    }
    void expect_idle() {
        EXPECT_FALSE(link.stop_requested());
        EXPECT_EQ(link.armed(), nullptr);
    }

    StopLink link;
    Wait wait{&cancel_nothing};
    Wait other{&cancel_nothing};
};

TEST_P(StopLinkTable, StartsIdle) {
    expect_idle();
    EXPECT_FALSE(link.hold(&wait));
}

TEST_P(StopLinkTable, ArmFromIdle) {
    EXPECT_TRUE(link.arm(&wait));
    EXPECT_EQ(link.armed(), &wait);
    EXPECT_FALSE(link.stop_requested());
    EXPECT_FALSE(link.hold(&other));
}

TEST_P(StopLinkTable, DisarmFromArmedLetsTheCompleterSchedule) {
    ASSERT_TRUE(link.arm(&wait));
    EXPECT_TRUE(link.disarm(&wait));
    expect_idle();
    EXPECT_TRUE(link.arm(&other));
    EXPECT_EQ(link.armed(), &other);
    EXPECT_TRUE(link.disarm(&other));
}

TEST_P(StopLinkTable, RequestFromIdleFindsNothingToCancel) {
    EXPECT_EQ(link.request(), nullptr);
    expect_stopped();
}

TEST_P(StopLinkTable, RequestFromArmedHoldsTheWait) {
    ASSERT_TRUE(link.arm(&wait));
    EXPECT_EQ(link.request(), &wait);
    EXPECT_TRUE(link.stop_requested());
    EXPECT_EQ(link.armed(), nullptr);
    EXPECT_EQ(link.request(), nullptr);  // Another canceller is at it.
    EXPECT_FALSE(link.hold(&wait));
}

TEST_P(StopLinkTable, FinishFromHeldSchedulesNothing) {
    ASSERT_TRUE(link.arm(&wait));
    ASSERT_EQ(link.request(), &wait);
    EXPECT_FALSE(link.finish_cancel());
    expect_stopped();
}

TEST_P(StopLinkTable, DisarmFromHeldLeavesTheSchedulingToTheCanceller) {
    ASSERT_TRUE(link.arm(&wait));
    ASSERT_EQ(link.request(), &wait);
    EXPECT_FALSE(link.disarm(&wait));
    EXPECT_TRUE(link.stop_requested());
    EXPECT_EQ(link.armed(), nullptr);
    EXPECT_EQ(link.request(), nullptr);
    EXPECT_FALSE(link.hold(&wait));
    EXPECT_TRUE(link.finish_cancel());
    expect_stopped();
}

TEST_P(StopLinkTable, DisarmFromStoppedLetsTheCompleterSchedule) {
    ASSERT_TRUE(link.arm(&wait));
    ASSERT_EQ(link.request(), &wait);
    ASSERT_FALSE(link.finish_cancel());
    EXPECT_TRUE(link.disarm(&wait));
    expect_stopped();
}

TEST_P(StopLinkTable, HoldIsARequestForAShutdown) {
    ASSERT_TRUE(link.arm(&wait));
    EXPECT_TRUE(link.hold(&wait));
    EXPECT_TRUE(link.stop_requested());
    EXPECT_EQ(link.armed(), nullptr);
    EXPECT_EQ(link.request(), nullptr);
    EXPECT_FALSE(link.disarm(&wait));
    EXPECT_TRUE(link.finish_cancel());
    expect_stopped();
}

INSTANTIATE_TEST_SUITE_P(Word, StopLinkTable, testing::Values(Token::None, Token::Asked),
                         [](const testing::TestParamInfo<Token>& token) {
                             return std::string(token.param == Token::None ? "own" : "shared");
                         });

TEST(StopLinkToken, IsAskedForOnceAndStaysTheSame) {
    StopLink link;
    auto* state = link.shared_state();
    ASSERT_NE(state, nullptr);
    EXPECT_EQ(link.shared_state(), state);
    EXPECT_TRUE(state->source.stop_possible());
    EXPECT_FALSE(state->source.stop_requested());
}

TEST(StopLinkToken, IsStoppedByTheRequest) {
    StopLink link;
    const auto token = link.shared_state()->source.get_token();
    int calls = 0;
    const std::stop_callback callback(token, [&calls] { ++calls; });
    EXPECT_EQ(link.request(), nullptr);
    EXPECT_TRUE(token.stop_requested());
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(link.request(), nullptr);
    EXPECT_EQ(calls, 1);
}

TEST(StopLinkToken, CallbacksRunBeforeTheWaitIsHeld) {
    StopLink link;
    Wait wait(&cancel_nothing);
    const auto token = link.shared_state()->source.get_token();
    ASSERT_TRUE(link.arm(&wait));
    Wait* armed_in_callback = nullptr;
    const std::stop_callback callback(token, [&] { armed_in_callback = link.armed(); });
    EXPECT_EQ(link.request(), &wait);
    EXPECT_EQ(armed_in_callback, &wait);
    EXPECT_FALSE(link.finish_cancel());
}

TEST(StopLinkToken, AStateMadeAfterTheStopIsStopped) {
    StopLink link;
    EXPECT_EQ(link.request(), nullptr);
    auto* state = link.shared_state();
    EXPECT_TRUE(state->source.stop_requested());
    EXPECT_TRUE(link.stop_requested());
    Wait wait(&cancel_nothing);
    EXPECT_FALSE(link.arm(&wait));
    EXPECT_EQ(link.request(), nullptr);
    EXPECT_EQ(link.shared_state(), state);
}

TEST(StopLinkToken, AStateMadeBeforeTheStopStays) {
    StopLink link;
    auto* state = link.shared_state();
    EXPECT_EQ(link.request(), nullptr);
    EXPECT_EQ(link.shared_state(), state);
}

TEST(StopLinkToken, OutlivesTheLink) {
    auto link = std::make_unique<StopLink>();
    const auto token = link->shared_state()->source.get_token();
    EXPECT_EQ(link->request(), nullptr);
    link.reset();
    EXPECT_TRUE(token.stop_requested());
}

}  // namespace
}  // namespace spargio::detail
