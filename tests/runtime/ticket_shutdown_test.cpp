// SPDX-License-Identifier: MIT
// Tickets at the end of a runtime, the target's or the waiting task's: each is decided, whoever goes first.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/race.hpp"
#include "support/small_tasks.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

class TicketsInShutdown : public BackendTest {
protected:
    Watchdog watchdog_{"tickets in shutdown"};
};
SPARGIO_ON_BOTH_BACKENDS(TicketsInShutdown);

SendTicket send_one(const RemoteShard& target) {
    return target.send_raw(1, 1).value();
}

/// Holds a shard in a step, in which it then asks for the shutdown: it looks at no message any more.
class LastStep {
public:
    LastStep(Runtime& runtime, ShardId shard)
        : task_(runtime.handle().spawn_pinned(shard, [this, &runtime] {
              inside_.set();
              leave_.wait();
              runtime.shutdown();
          })) {
        inside_.wait();
    }

    /// Returns when the step has ended.
    void end() {
        leave_.set();
        task_.get();
    }

private:
    Event inside_;
    Event leave_;
    JoinHandle<> task_;
};

TEST_P(TicketsInShutdown, AreClosedForThreadsThatAreBlocked) {
    for (unsigned round = 0; round < scaled(100, 20); ++round) {
        auto two = runtime(2);
        const RemoteShard target = *two.handle().remote(1);
        LastStep last(two, 1);
        Latch about_to_block(3);
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < 3; ++i) {
            threads.emplace_back([&, i] {
                const SendTicket ticket =
                    i == 0 ? two.handle().spawn_pinned(0, [&] { return send_one(target); }).get() : send_one(target);
                about_to_block.arrive();
                if (i == 1) {
                    EXPECT_TRUE(ticket.wait_for(1h));
                }
                EXPECT_EQ(ticket.get().error(), SendError::Closed);
            });
        }
        about_to_block.wait();
        spin_for(std::chrono::microseconds(round % 4 * 100));
        last.end();
        two.shutdown();
        for (auto& thread : threads) {
            thread.join();
        }
        const auto stats = two.handle().stats_snapshot();
        EXPECT_EQ(stats.ring_msgs_submitted, 3U);
        EXPECT_EQ(stats.ring_msgs_failed, 3U) << to_string(stats);
    }
}

TEST_P(TicketsInShutdown, OutliveTheirRuntime) {
    std::vector<SendTicket> good;
    std::vector<SendTicket> closed;
    {
        auto two = runtime(2);
        const RemoteShard target = *two.handle().remote(1);
        const auto from_shard = [target] { return send_one(target); };
        good = {send_one(target), two.handle().spawn_pinned(0, from_shard).get()};
        for (const auto& ticket : good) {
            EXPECT_TRUE(ticket.get().has_value());
        }
        LastStep last(two, 1);
        closed = {send_one(target), two.handle().spawn_pinned(0, from_shard).get()};
        last.end();
    }
    auto other = runtime(1);
    const auto check = [&](const std::vector<SendTicket>& tickets, std::error_code expected) {
        for (const SendTicket& ticket : tickets) {
            EXPECT_TRUE(ticket.wait_for(0s));
            EXPECT_EQ(ticket.get().error(), expected);
            EXPECT_EQ(other.handle().spawn_pinned(0, wait_for_it(ticket)).get(), expected);
        }
    };
    check(good, {});
    check(closed, SendError::Closed);
    EXPECT_EQ(std::vector<SendTicket>(closed).front().get().error(), SendError::Closed);
}

TEST_P(TicketsInShutdown, OfARuntimeThatEndsFirstAreClosedForTasksOfTheOther) {
    auto other = runtime(2);
    const NoLateWakes check(other.handle());
    for (unsigned round = 0; round < scaled(100, 20); ++round) {
        auto target = runtime(2);
        LastStep last(target, 1);
        std::vector<JoinHandle<std::error_code>> waits;
        const RemoteShard remote = *target.handle().remote(1);
        waits.push_back(other.handle().spawn_pinned(0, wait_for_it(send_one(remote))));
        waits.push_back(other.handle().spawn_stealable(wait_for_it(send_one(remote))));
        waits.push_back(other.handle().spawn_pinned(1, wait_for_it(send_one(remote))));
        finish_step(other.handle(), 0);
        for (auto& wait : waits) {
            EXPECT_FALSE(wait.done());
        }
        last.end();
        for (auto& wait : waits) {
            EXPECT_EQ(wait.get(), SendError::Closed);
        }
    }
}

TEST_P(TicketsInShutdown, ATaskThatAwaitsOneEndsWithItsOwnRuntimeThoughTheTargetIsStalled) {
    auto target = runtime(1);
    StalledShard stalled(target.handle(), 0);
    for (unsigned round = 0; round < scaled(100, 20); ++round) {
        auto own = runtime(2);
        auto frame_lives = std::make_shared<int>(0);
        auto wait = [](std::shared_ptr<int>, SendTicket ticket) -> Task<std::error_code> {
            const Result<void> seen = co_await ticket;
            co_return seen.error();
        };
        const SendTicket ticket = send_one(*target.handle().remote(0));
        auto pinned = own.handle().spawn_pinned(0, wait(frame_lives, ticket));
        auto stealable = own.handle().spawn_stealable(wait(frame_lives, ticket));
        if (round % 2 == 0) {
            finish_step(own.handle(), 0);
        }
        own.shutdown();
        EXPECT_EQ(frame_lives.use_count(), 1);
        EXPECT_FALSE(ticket.wait_for(0s));
        EXPECT_EQ(pinned.wait_for(0s), true);
        EXPECT_THROW(static_cast<void>(pinned.get()), std::system_error);
        EXPECT_THROW(static_cast<void>(stealable.get()), std::system_error);
    }
    stalled.release();
}

TEST_P(TicketsInShutdown, OfTwoRuntimesThatEndAtTheSameTimeAreSafe) {
    Random random(stress_seed());
    unsigned canceled = 0;
    unsigned closed = 0;
    for (unsigned round = 0; round < scaled(600, 100) || canceled == 0 || closed == 0; ++round) {
        watchdog_.progress("round " + std::to_string(round));
        auto target = runtime(1 + random.below(2));
        auto own = runtime(1 + random.below(2));
        const RemoteShard remote = *target.handle().remote(0);
        // One more of each message, until the target is closed: the awaits meet its looks, and its end.
        const auto wait = [](RemoteShard to, unsigned& ended) -> Task<> {
            for (;;) {
                const auto ticket = to.send_raw(1, 1);
                if (!ticket && ticket.error() == SendError::Backpressure) {
                    co_await yield();
                    continue;
                }
                const Result<void> seen = ticket ? co_await *ticket : Result<void>(ticket.error());
                if (!seen) {
                    EXPECT_EQ(seen.error(), SendError::Closed);
                    ++ended;
                    co_return;
                }
            }
        };
        const auto receive = []() -> Task<> {
            for (;;) {
                static_cast<void>(co_await ShardCtx::current()->next_event());
            }
        };
        auto receiver = target.handle().spawn_pinned(0, receive);
        std::vector<unsigned> ended(3);
        std::vector<JoinHandle<>> waits;
        waits.push_back(own.handle().spawn_pinned(0, wait(remote, ended[0])));
        waits.push_back(own.handle().spawn_stealable(wait(remote, ended[1])));
        waits.push_back(target.handle().spawn_stealable(wait(*own.handle().remote(0), ended[2])));
        finish_step(own.handle(), 0);
        std::thread first([&, pause = random.below(300)] {
            pause_for(std::chrono::microseconds(pause));
            target.shutdown();
        });
        pause_for(std::chrono::microseconds(random.below(300)));
        own.shutdown();
        first.join();
        for (std::size_t i = 0; i < waits.size(); ++i) {
            EXPECT_TRUE(waits[i].done()) << i;
            try {
                waits[i].get();
                EXPECT_EQ(ended[i], 1U);
                ++closed;
            } catch (const std::system_error& error) {
                EXPECT_EQ(error.code(), JoinError::Canceled);
                EXPECT_EQ(ended[i], 0U);
                ++canceled;
            }
        }
        for (const auto& handle : {target.handle(), own.handle()}) {
            const auto stats = handle.stats_snapshot();
            EXPECT_EQ(stats.ring_msgs_submitted, stats.ring_msgs_completed + stats.ring_msgs_failed);
            EXPECT_EQ(stats.late_wakes, 0U);
            EXPECT_EQ(stats.tasks_live, 0U);
        }
    }
}

TEST_P(TicketsInShutdown, AreDecidedAtWhateverMomentItComes) {
    auto other = runtime(1);
    const NoLateWakes check(other.handle());
    Random random(stress_seed());
    std::atomic<std::uint64_t> seen{0};
    std::atomic<std::uint64_t> closed{0};
    const auto count = [&](std::error_code error) {
        EXPECT_TRUE(!error || error == SendError::Closed) << error.message();
        ++(error ? closed : seen);
    };
    for (unsigned round = 0; round < scaled(600, 100) || seen == 0 || closed == 0; ++round) {
        watchdog_.progress("round " + std::to_string(round));
        auto target = builder(2).msg_ring_queue_capacity(random.one_in(2) ? 4096 : 64).build();
        const RuntimeHandle handle = target.handle();
        const auto drain = [](RemoteShard next) -> Task<> {
            for (;;) {
                static_cast<void>(co_await ShardCtx::current()->next_event());
                static_cast<void>(next.send_raw_nowait(1, 1));
            }
        };
        auto relay = handle.spawn_pinned(0, drain(*handle.remote(1)));
        auto sink = handle.spawn_pinned(1, drain(*handle.remote(1)));
        auto awaiting = other.handle().spawn_pinned(0, [&, handle]() -> Task<> {
            for (;;) {
                const auto ticket = handle.remote(0)->send_raw(1, 1);
                if (!ticket && ticket.error() == SendError::Closed) {
                    co_return;
                }
                if (!ticket) {
                    co_await yield();
                    continue;
                }
                const Result<void> result = co_await *ticket;
                count(result.error());
            }
        });
        std::vector<std::thread> threads;
        for (ShardId shard = 0; shard < 2; ++shard) {
            threads.emplace_back([&, to = *handle.remote(shard), patient = random.one_in(2)] {
                std::vector<SendTicket> tickets;
                for (;;) {
                    const auto ticket = to.send_raw(1, 1);
                    if (!ticket && ticket.error() == SendError::Closed) {
                        break;
                    }
                    if (ticket && patient) {
                        count(ticket->get().error());
                    } else if (ticket) {
                        tickets.push_back(*ticket);
                    }
                }
                for (const SendTicket& ticket : tickets) {
                    count(ticket.get().error());
                }
            });
        }
        pause_for(std::chrono::microseconds(random.below(500)));
        target.shutdown();
        for (auto& thread : threads) {
            thread.join();
        }
        awaiting.get();
        const auto stats = handle.stats_snapshot();
        EXPECT_EQ(stats.ring_msgs_submitted, stats.ring_msgs_completed + stats.ring_msgs_failed) << to_string(stats);
        EXPECT_EQ(stats.tasks_live, 0U);
    }
}

}  // namespace
}  // namespace spargio::test
