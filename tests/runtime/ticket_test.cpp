// SPDX-License-Identifier: MIT
// Tickets: what they say and when, who may wait for them, and how; stops and threads. (spec: M4)
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/small_tasks.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

class Tickets : public BackendTest {
protected:
    Watchdog watchdog_{"tickets"};
};
SPARGIO_ON_BOTH_BACKENDS(Tickets);

SendTicket send(const RemoteShard& target, std::uint32_t value = 1) {
    return target.send_raw(1, value).value();
}

/// Sends `count` messages to `target` from the shard it runs on; they are published when its step ends.
auto sender(RemoteShard target, std::uint32_t count) {
    return [target, count] {
        std::vector<SendTicket> tickets;
        for (std::uint32_t i = 0; i < count; ++i) {
            tickets.push_back(send(target, i));
        }
        return tickets;
    };
}

TEST_P(Tickets, AreOkOnceTheTargetHasLookedThoughNoTaskReceives) {
    auto two = runtime(2);
    const NoLateWakes check(two.handle());
    const RemoteShard target = *two.handle().remote(1);
    for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(send(target).get().has_value());
    }
    const auto from_a_shard = [target]() -> Task<> {
        for (int i = 0; i < 100; ++i) {
            const Result<void> seen = co_await send(target);
            EXPECT_TRUE(seen.has_value());
        }
    };
    two.handle().spawn_pinned(0, from_a_shard).get();
    two.handle().spawn_pinned(1, from_a_shard).get();
    EXPECT_EQ(two.handle().stats_snapshot().ring_msgs_completed, 300U);
}

TEST_P(Tickets, SuspendTheirTaskUntilAStalledTargetIsReleased) {
    auto two = runtime(2);
    const RemoteShard target = *two.handle().remote(1);
    StalledShard stalled(two.handle(), 1);
    auto on_shard = two.handle().spawn_pinned(0, [target]() -> Task<std::error_code> {
        const Result<void> seen = co_await send(target);
        EXPECT_EQ(shard_here(), 0);
        co_return seen.error();
    });
    auto foreign = two.handle().spawn_pinned(0, wait_for_it(send(target)));
    for (int i = 0; i < 20; ++i) {
        finish_step(two.handle(), 0);
    }
    EXPECT_FALSE(on_shard.done());
    EXPECT_FALSE(foreign.done());
    stalled.release();
    EXPECT_FALSE(on_shard.get());
    EXPECT_FALSE(foreign.get());
}

TEST_P(Tickets, OfOneLaneAreWaitedForInAnyOrder) {
    constexpr std::uint32_t count = 24;
    auto three = runtime(3);
    const NoLateWakes check(three.handle());
    Random random(stress_seed());
    for (unsigned round = 0; round < scaled(200, 30); ++round) {
        StalledShard stalled(three.handle(), 1);
        auto tickets = three.handle().spawn_pinned(0, sender(*three.handle().remote(1), count)).get();
        if (round == 1) {
            std::reverse(tickets.begin(), tickets.end());
        } else if (round > 1) {
            for (std::uint32_t i = count; i > 1; --i) {
                std::swap(tickets[i - 1], tickets[random.below(i)]);
            }
        }
        std::vector<JoinHandle<std::error_code>> waits;
        for (const SendTicket& ticket : tickets) {
            waits.push_back(three.handle().spawn_pinned(random.one_in(2) ? 0 : 2, wait_for_it(ticket)));
        }
        if (random.one_in(2)) {
            finish_step(three.handle(), 0);
            finish_step(three.handle(), 2);
        }
        stalled.release();
        for (auto& wait : waits) {
            EXPECT_FALSE(wait.get());
        }
        // For the next round's room.
        const auto drain = [] {
            while (ShardCtx::current()->try_next_event()) {}
        };
        three.handle().spawn_pinned(1, drain).get();
    }
}

// The second half is not published before its sender's step ends.
TEST_P(Tickets, AreDecidedOnlyUpToWhatTheTargetHasSeen) {
    constexpr std::array<std::size_t, 8> order{3, 7, 0, 5, 1, 6, 4, 2};
    auto three = runtime(3);
    const RemoteShard target = *three.handle().remote(1);
    StalledShard stalled(three.handle(), 1);
    std::vector<SendTicket> tickets;
    Event handed_out;
    Event end_step;
    auto step = three.handle().spawn_pinned(0, [&] {
        tickets = sender(target, 4)();
        target.flush();
        for (auto& ticket : sender(target, 4)()) {
            tickets.push_back(std::move(ticket));
        }
        handed_out.set();
        end_step.wait();
    });
    handed_out.wait();
    std::vector<std::optional<JoinHandle<std::error_code>>> waits(8);
    for (const auto i : order) {
        waits[i] = three.handle().spawn_pinned(2, wait_for_it(tickets[i]));
    }
    finish_step(three.handle(), 2);
    stalled.release();
    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_FALSE(waits[i]->get());
        EXPECT_TRUE(tickets[i].wait_for(0s));
    }
    finish_step(three.handle(), 2);
    for (std::size_t i = 4; i < 8; ++i) {
        EXPECT_FALSE(waits[i]->done());
        EXPECT_FALSE(tickets[i].wait_for(0s));
    }
    end_step.set();
    step.get();
    for (std::size_t i = 4; i < 8; ++i) {
        EXPECT_FALSE(waits[i]->get());
    }
}

TEST_P(Tickets, BlockAThreadUntilTheTargetHasLooked) {
    auto two = runtime(2);
    const RemoteShard target = *two.handle().remote(1);
    for (unsigned round = 0; round < scaled(200, 30); ++round) {
        StalledShard stalled(two.handle(), 1);
        std::vector<std::thread> threads;
        std::atomic<unsigned> decided{0};
        Latch about_to_block(3);
        for (unsigned i = 0; i < 3; ++i) {
            threads.emplace_back([&, i] {
                const SendTicket ticket = send(target);
                EXPECT_FALSE(ticket.wait_for(0s));
                EXPECT_FALSE(ticket.wait_for(-1h));
                EXPECT_FALSE(ticket.wait_for(std::chrono::hours::min()));
                EXPECT_FALSE(ticket.wait_for(1us));
                about_to_block.arrive();
                if (i == 1) {
                    EXPECT_TRUE(ticket.wait_for(std::chrono::hours::max()));
                } else if (i == 2) {
                    EXPECT_TRUE(ticket.wait_for(std::chrono::duration<double>(1e300)));
                }
                EXPECT_TRUE(ticket.get().has_value());
                EXPECT_TRUE(ticket.wait_for(0s));
                EXPECT_TRUE(ticket.wait_for(-1s));
                ++decided;
            });
        }
        about_to_block.wait();
        spin_for(std::chrono::microseconds(round % 4 * 100));
        EXPECT_EQ(decided, 0U);
        stalled.release();
        for (auto& thread : threads) {
            thread.join();
        }
        EXPECT_EQ(decided, 3U);
    }
}

TEST_P(Tickets, AreNotBlockedOnByAShardOfTheirRuntime) {
    auto two = runtime(2);
    auto other = runtime(1);
    const RemoteShard target = *two.handle().remote(1);
    StalledShard stalled(two.handle(), 1);
    const SendTicket ticket = two.handle().spawn_pinned(0, [&] { return send(target); }).get();
    two.handle()
        .spawn_pinned(0,
                      [&] {
                          EXPECT_THROW(static_cast<void>(ticket.get()), std::logic_error);
                          EXPECT_THROW(static_cast<void>(ticket.wait_for(1s)), std::logic_error);
                      })
        .get();
    other.handle().spawn_pinned(0, [&] { EXPECT_FALSE(ticket.wait_for(1ms)) << "a foreign thread"; }).get();
    stalled.release();
    EXPECT_TRUE(ticket.get().has_value());
    // Decided by now, and refused all the same: or the mistake would show only when the target is slow.
    const auto refused = [&] {
        EXPECT_THROW(static_cast<void>(ticket.get()), std::logic_error);
        EXPECT_THROW(static_cast<void>(ticket.wait_for(0s)), std::logic_error);
    };
    two.handle().spawn_pinned(0, refused).get();
    two.handle().spawn_pinned(1, refused).get();
    other.handle()
        .spawn_pinned(0,
                      [&] {
                          EXPECT_TRUE(ticket.get().has_value());
                          EXPECT_TRUE(ticket.wait_for(0s));
                      })
        .get();
}

TEST_P(Tickets, CopiesSayTheSame) {
    auto two = runtime(2);
    StalledShard stalled(two.handle(), 1);
    const SendTicket first = send(*two.handle().remote(1));
    SendTicket second = first;
    SendTicket third = send(*two.handle().remote(0));
    EXPECT_TRUE(third.get().has_value());
    third = second;
    EXPECT_FALSE(third.wait_for(0s));
    auto wait = two.handle().spawn_pinned(0, wait_for_it(first));
    auto other = two.handle().spawn_pinned(0, wait_for_it(third));
    stalled.release();
    for (const auto& ticket : {first, second, third}) {
        EXPECT_TRUE(ticket.get().has_value());
    }
    EXPECT_FALSE(wait.get());
    EXPECT_FALSE(other.get());
}

TEST_P(Tickets, OfAFlushAreOkAtOnce) {
    auto two = runtime(2);
    auto other = runtime(1);
    const RemoteShard target = *two.handle().remote(1);
    StalledShard stalled(two.handle(), 1);
    const auto at_once = [target]() -> Task<> {
        static_cast<void>(send(target));
        const Result<void> awaited = co_await target.flush();
        EXPECT_TRUE(awaited.has_value());
        const Result<void> own = co_await ShardCtx::current()->flush();
        EXPECT_TRUE(own.has_value());
    };
    two.handle().spawn_pinned(0, at_once).get();
    other.handle().spawn_pinned(0, at_once).get();
    EXPECT_TRUE(target.flush().get().has_value());
    EXPECT_TRUE(target.flush().wait_for(0s));
    stalled.release();
    const SendTicket late = target.flush();
    two.shutdown();
    EXPECT_TRUE(late.get().has_value());
    EXPECT_TRUE(target.flush().wait_for(0s));
}

TEST_P(Tickets, AFlushLetsTheTargetSeeWhatTheStepHasSent) {
    auto two = runtime(2);
    const RemoteShard target = *two.handle().remote(1);
    const auto step = [target] {
        for (unsigned round = 0; round < scaled(2'000, 200); ++round) {
            const SendTicket ticket = send(target);
            target.flush();
            // Within the step: another thread waits for it.
            std::thread([&] { EXPECT_TRUE(ticket.get().has_value()); }).join();
        }
    };
    const NoLateWakes check(two.handle());
    two.handle().spawn_pinned(0, step).get();
}

TEST_P(Tickets, AreGivenUpByAStopThoughTheTargetIsStalled) {
    auto two = runtime(2);
    const RemoteShard target = *two.handle().remote(1);
    StalledShard stalled(two.handle(), 1);
    for (const bool stealable : {false, true}) {
        const SendTicket ticket = send(target);
        auto wait = wait_for_it(ticket);
        auto task = stealable ? two.handle().spawn_stealable_on(0, std::move(wait))
                              : two.handle().spawn_pinned(0, std::move(wait));
        finish_step(two.handle(), 0);
        task.request_stop();
        EXPECT_EQ(task.get(), std::errc::operation_canceled);
        EXPECT_FALSE(ticket.wait_for(0s)) << "the message is not taken back";
    }
    stalled.release();
    const auto count = [] {
        int events = 0;
        while (ShardCtx::current()->try_next_event()) {
            ++events;
        }
        return events;
    };
    EXPECT_EQ(two.handle().spawn_pinned(1, count).get(), 2);
}

TEST_P(Tickets, AreNotWaitedForOnceStoppedUnlessTheyAreDecided) {
    auto two = runtime(2);
    const RemoteShard target = *two.handle().remote(1);
    const SendTicket good = send(target);
    EXPECT_TRUE(good.get().has_value());
    StalledShard stalled(two.handle(), 1);
    const SendTicket undecided = send(target);
    Event begun;
    Event go_on;
    auto task = two.handle().spawn_pinned(0, [&]() -> Task<> {
        begun.set();
        go_on.wait();
        const Result<void> canceled = co_await undecided;
        EXPECT_EQ(canceled.error(), std::errc::operation_canceled);
        const Result<void> seen = co_await good;
        EXPECT_TRUE(seen.has_value());
    });
    begun.wait();
    task.request_stop();
    go_on.set();
    task.get();
}

TEST_P(Tickets, AStopThatMeetsTheTargetsLookResumesTheTaskOnce) {
    auto two = runtime(2);
    const NoLateWakes check(two.handle());
    const RemoteShard target = *two.handle().remote(1);
    Random random(stress_seed());
    unsigned canceled = 0;
    const unsigned rounds = scaled(6'000, 600);
    for (unsigned round = 0; round < rounds; ++round) {
        std::atomic<unsigned> resumed{0};
        Event begun;
        auto wait = [&, from_shard = random.one_in(2)]() -> Task<std::error_code> {
            const SendTicket ticket = send(target);
            if (from_shard) {
                static_cast<void>(target.flush());
            }
            begun.set();
            const Result<void> seen = co_await ticket;
            ++resumed;
            co_await yield();
            co_return seen.error();
        };
        auto task = random.one_in(2) ? two.handle().spawn_pinned(0, std::move(wait))
                                     : two.handle().spawn_stealable_on(0, std::move(wait));
        if (random.one_in(2)) {
            begun.wait();
        }
        spin_for(std::chrono::nanoseconds(random.below(20'000)));
        task.request_stop();
        const auto error = task.get();
        EXPECT_TRUE(!error || error == std::errc::operation_canceled) << error.message();
        EXPECT_EQ(resumed, 1U);
        canceled += error ? 1 : 0;
        if (round % 64 == 0) {
            const auto drain = [] {
                while (ShardCtx::current()->try_next_event()) {}
            };
            two.handle().spawn_pinned(1, drain).get();
        }
    }
    EXPECT_GT(canceled, 0U);
    EXPECT_LT(canceled, rounds);
}

}  // namespace
}  // namespace spargio::test
