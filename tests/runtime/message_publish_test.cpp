// SPDX-License-Identifier: MIT
// When messages of a step can be seen that has not ended, and what else can be seen with them. (spec: M2, M3, M9)
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

class MessagePublish : public BackendTest {
protected:
    /// Takes that many on the shard it runs on, then sets `all`.
    static Task<> take(std::size_t count, Event& all) {
        for (std::size_t i = 0; i < count; ++i) {
            static_cast<void>(co_await ShardCtx::current()->next_event());
        }
        all.set();
    }

    Watchdog watchdog_{"messages of a step that goes on"};
};
SPARGIO_ON_BOTH_BACKENDS(MessagePublish);

TEST_P(MessagePublish, SixtyFourAreSeenBeforeTheStepEnds) {
    auto two = builder(2).msg_ring_queue_capacity(256).build();
    Event all;
    auto receiver = two.handle().spawn_pinned(1, take(64, all));
    two.handle()
        .spawn_pinned(0,
                      [&all] {
                          for (std::uint32_t i = 0; i < 64; ++i) {
                              EXPECT_TRUE(ShardCtx::current()->send_raw_nowait(1, 1, i).has_value());
                          }
                          all.wait();
                      })
        .get();
    receiver.get();
}

// To itself, too, which looks when the step has ended.
TEST_P(MessagePublish, AFlushIsForEveryTarget) {
    constexpr ShardId kShards = 5;
    auto five = runtime(kShards);
    const auto step = [] {
        std::vector<SendTicket> tickets;
        for (ShardId target = 0; target < kShards; ++target) {
            tickets.push_back(ShardCtx::current()->send_raw(target, 1, 1).value());
        }
        ShardCtx::current()->flush();
        std::thread([&] {
            for (ShardId target = 1; target < kShards; ++target) {
                EXPECT_TRUE(tickets[target].get().has_value());
            }
        }).join();
        return tickets.front();
    };
    EXPECT_TRUE(five.handle().spawn_pinned(0, step).get().get().has_value());
}

// What runs next on the sender's shard may be long.
TEST_P(MessagePublish, TheEndOfAStepIsForEveryTarget) {
    constexpr ShardId kShards = 5;
    auto five = runtime(kShards);
    std::vector<SendTicket> tickets;
    for (const bool suspends : {false, true}) {
        StalledShard sender(five.handle(), 0);
        auto step = five.handle().spawn_pinned(0, [&tickets, suspends]() -> Task<> {
            tickets.clear();
            for (ShardId target = 1; target < kShards; ++target) {
                tickets.push_back(ShardCtx::current()->send_raw(target, 1, 1).value());
            }
            if (suspends) {
                co_await yield();
            }
        });
        Event all_seen;
        Event inside;
        auto next = five.handle().spawn_pinned(0, [&] {
            inside.set();
            all_seen.wait();
        });
        sender.release();
        inside.wait();
        for (const SendTicket& ticket : tickets) {
            EXPECT_TRUE(ticket.get().has_value());
        }
        all_seen.set();
        next.get();
        step.get();
    }
}

TEST_P(MessagePublish, AStepThatTriesUntilThereIsRoomFindsSome) {
    constexpr std::size_t messages = 1000;
    auto two = builder(2).msg_ring_queue_capacity(8).build();
    Event all;
    auto receiver = two.handle().spawn_pinned(1, take(messages, all));
    two.handle()
        .spawn_pinned(0,
                      [] {
                          for (std::size_t sent = 0; sent < messages;) {
                              if (ShardCtx::current()->send_raw_nowait(1, 1, 1).has_value()) {
                                  ++sent;
                              } else {
                                  std::this_thread::yield();
                              }
                          }
                      })
        .get();
    receiver.get();
}

// What the sender wrote before is seen by who has the message: plain memory, so that ThreadSanitizer can tell.
TEST_P(MessagePublish, HandsOverWhatTheSenderWroteBefore) {
    constexpr std::uint32_t messages = 2000;
    constexpr std::uint32_t batch = 7;
    std::vector<std::uint32_t> by_shard(messages);
    std::vector<std::uint32_t> by_thread(messages);
    auto two = builder(2).msg_ring_queue_capacity(64).build();
    const auto handle = two.handle();
    auto receiver = handle.spawn_pinned(1, [&]() -> Task<std::uint32_t> {
        std::uint32_t right = 0;
        for (std::uint32_t i = 0; i < 2 * messages; ++i) {
            const auto event = co_await ShardCtx::current()->next_event();
            const auto& written = event.from == external_sender ? by_thread : by_shard;
            right += written[event.val] == event.val + 1 ? 1 : 0;
        }
        co_return right;
    });
    auto sender = handle.spawn_pinned(0, [&]() -> Task<> {
        for (std::uint32_t i = 0; i < messages; ++i) {
            by_shard[i] = i + 1;
            while (!ShardCtx::current()->send_raw_nowait(1, 1, i).has_value()) {
                co_await yield();
            }
            if (i % batch == 0) {
                co_await yield();
            }
        }
    });
    const RemoteShard target = *handle.remote(1);
    for (std::uint32_t i = 0; i < messages; ++i) {
        by_thread[i] = i + 1;
        while (!target.send_raw_nowait(1, i).has_value()) {
            std::this_thread::yield();
        }
    }
    sender.get();
    EXPECT_EQ(receiver.get(), 2 * messages);
}

}  // namespace
}  // namespace spargio::test
