// SPDX-License-Identifier: MIT
// Messages from what runs when a task is over: results nobody takes, the hook for exceptions, destructors in a
// shutdown.
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stalled_shard.hpp"

namespace spargio::test {
namespace {

class MessagesAfterwards : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(MessagesAfterwards);

/// Sends a message when it goes, once.
class Farewell {
public:
    explicit Farewell(RemoteShard to) : to_(std::move(to)) {}
    Farewell(Farewell&& other) noexcept : to_(std::exchange(other.to_, std::nullopt)) {}
    Farewell(const Farewell&) = delete;
    Farewell& operator=(const Farewell&) = delete;
    Farewell& operator=(Farewell&&) = delete;
    ~Farewell() {
        if (to_) {
            static_cast<void>(to_->send_raw_nowait(1, 7));
        }
    }

private:
    std::optional<RemoteShard> to_;
};

Task<std::uint32_t> receive_one() {
    const auto event = co_await ShardCtx::current()->next_event();
    co_return event.val;
}

TEST_P(MessagesAfterwards, FromTheDestructorOfAResultThatNobodyTakesGoOut) {
    auto two = runtime(2);
    auto received = two.handle().spawn_pinned(1, receive_one());
    const auto bid_farewell = [](RemoteShard to) -> Task<Farewell> { co_return Farewell(to); };
    two.handle().spawn_pinned(0, bid_farewell(*two.handle().remote(1))).detach();
    EXPECT_TRUE(received.wait_for(std::chrono::seconds(30)));
}

TEST_P(MessagesAfterwards, FromTheHookForExceptionsGoOut) {
    std::optional<RemoteShard> target;
    auto two = builder(2)
                   .on_unhandled_exception(
                       [&](const std::exception_ptr&) { EXPECT_TRUE(target->send_raw_nowait(1, 7).has_value()); })
                   .build();
    target = two.handle().remote(1);
    auto received = two.handle().spawn_pinned(1, receive_one());
    two.handle().spawn_pinned(0, [] { throw std::runtime_error("for the hook"); }).detach();
    EXPECT_TRUE(received.wait_for(std::chrono::seconds(30)));
    target.reset();
}

// The end of the task is a part of its last step: what its shard runs next may be long.
TEST_P(MessagesAfterwards, FromTheHookForExceptionsGoOutBeforeTheNextStep) {
    std::optional<RemoteShard> target;
    auto two = builder(2)
                   .on_unhandled_exception(
                       [&](const std::exception_ptr&) { EXPECT_TRUE(target->send_raw_nowait(1, 7).has_value()); })
                   .build();
    target = two.handle().remote(1);
    Event received;
    auto receiver = two.handle().spawn_pinned(1, [&]() -> Task<> {
        static_cast<void>(co_await ShardCtx::current()->next_event());
        received.set();
    });
    StalledShard sender(two.handle(), 0);
    two.handle().spawn_pinned(0, [] { throw std::runtime_error("for the hook"); }).detach();
    auto next = two.handle().spawn_pinned(0, [&] { return received.wait_for(std::chrono::seconds(30)); });
    sender.release();
    EXPECT_TRUE(next.get());
    receiver.get();
    target.reset();
}

/// Takes what there is when it goes.
struct Drain {
    Drain() = default;
    Drain(const Drain&) = delete;
    Drain& operator=(const Drain&) = delete;
    ~Drain() {
        while (ShardCtx::current()->try_next_event()) {}
    }
};

TEST_P(MessagesAfterwards, ThatAShutdownHasGivenUpAreNotSeenByDestructors) {
    auto two = runtime(2);
    const RuntimeHandle handle = two.handle();
    Event draining;
    auto drain = handle.spawn_pinned(1, [&]() -> Task<> {
        const Drain drain_at_the_end;
        draining.set();
        static_cast<void>(co_await sleep_for(std::chrono::hours(1)));
    });
    draining.wait();
    finish_step(handle, 1);
    // The shutdown begins, and then the last step of the target ends, while the message is under way.
    Event inside;
    Event leave;
    auto busy = handle.spawn_pinned(1, [&] {
        inside.set();
        leave.wait();
    });
    inside.wait();
    const auto ticket = handle.remote(1)->send_raw(1, 7);
    ASSERT_TRUE(ticket.has_value());
    handle.spawn_pinned(0, [&] { two.shutdown(); }).get();  // From inside: it does not wait.
    leave.set();
    EXPECT_EQ(ticket->get().error(), SendError::Closed);
    two.shutdown();
    EXPECT_EQ(ticket->get().error(), SendError::Closed) << "once Closed, always Closed";
    const auto stats = handle.stats_snapshot();
    EXPECT_EQ(stats.ring_msgs_completed, 0U);
    EXPECT_EQ(stats.ring_msgs_failed, 1U);
}

TEST_P(MessagesAfterwards, AMovedFromTicketIsNoTicket) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    std::optional<SendTicket> kept;
    std::optional<SendTicket> moved;
    {
        auto one = runtime(1);
        moved = one.handle().remote(0)->send_raw(1, 1).value();
        kept = std::move(*moved);
    }
    EXPECT_DEATH(static_cast<void>(moved->get()), "used after it was moved from");
    EXPECT_DEATH(static_cast<void>(moved->operator co_await()), "used after it was moved from");
    static_cast<void>(kept->get());
}

}  // namespace
}  // namespace spargio::test
