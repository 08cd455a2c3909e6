// SPDX-License-Identifier: MIT
// Messages between shards: order, bounds, errors, who gets them. (spec: M1 to M9)
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "support/backend_test.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

class Messages : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(Messages);

struct Number {
    std::uint32_t value;

    static constexpr std::uint16_t tag = 7;
    [[nodiscard]] RawMsg encode() const { return {tag, value}; }
    static Number decode(RawMsg raw) { return {raw.val}; }
};
static_assert(RingMsg<Number>);
static_assert(!RingMsg<std::uint32_t>);

struct WithDestructor : Number {
    ~WithDestructor() {}
    static WithDestructor decode(RawMsg raw);
};
struct EncodesOnlyOnce : Number {
    RawMsg encode();
    static EncodesOnlyOnce decode(RawMsg raw);
};
struct DecodesIntoItself : Number {
    DecodesIntoItself decode(RawMsg raw);
};
struct DecodesToAnother : Number {};
static_assert(!RingMsg<WithDestructor>, "not trivially copyable");
static_assert(!RingMsg<EncodesOnlyOnce>, "encode() of a constant");
static_assert(!RingMsg<DecodesIntoItself>, "decode() without an object");
static_assert(!RingMsg<DecodesToAnother>, "decode() gives the message");

struct Unsendable {
    [[nodiscard]] RawMsg encode() const { return {0xFFFF, 0}; }
    static Unsendable decode(RawMsg) { return {}; }
};

/// The values of the next `count` events of the shard it runs on.
Task<std::vector<std::uint32_t>> receive(std::size_t count) {
    std::vector<std::uint32_t> values;
    while (values.size() < count) {
        const auto event = co_await ShardCtx::current()->next_event();
        values.push_back(event.val);
    }
    co_return values;
}

std::vector<std::uint32_t> numbers(std::uint32_t count) {
    std::vector<std::uint32_t> values(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        values[i] = i;
    }
    return values;
}

/// Sends 0 to count - 1 to `target`, by every kind of send in turn.
Task<> send_numbers(RemoteShard target, std::uint32_t count, Random random) {
    std::uint32_t next = 0;
    while (next < count) {
        bool sent = false;
        switch (random.below(5)) {
        case 0:
            sent = target.send_raw(Number::tag, next).has_value();
            break;
        case 1:
            sent = target.send_raw_nowait(Number::tag, next).has_value();
            break;
        case 2:
            sent = target.send(Number{next}).has_value();
            break;
        case 3:
            sent = target.send_nowait(Number{next}).has_value();
            break;
        default: {
            std::vector<Number> many;
            for (auto i = next; i < count && many.size() <= random.below(200); ++i) {
                many.push_back(Number{i});
            }
            const auto accepted = target.send_many_nowait(std::span<const Number>(many));
            next += accepted ? static_cast<std::uint32_t>(*accepted) : 0;
            if (!accepted) {
                EXPECT_EQ(accepted.error(), SendError::Backpressure);
                co_await yield();
            }
            continue;
        }
        }
        if (sent) {
            ++next;
        } else {
            co_await yield();
        }
        if (random.one_in(8)) {
            co_await yield();
        }
    }
}

TEST_P(Messages, ArriveInTheOrderInWhichTheyWereSentWhateverTheKindOfSend) {
    constexpr std::uint32_t count = 3000;
    for (const std::size_t capacity : {1U, 2U, 7U, 64U, 4096U}) {
        auto two = builder(2).msg_ring_queue_capacity(capacity).build();
        const NoLateWakes check(two.handle());
        auto received = two.handle().spawn_pinned(1, receive(count));
        two.handle().spawn_pinned(0, send_numbers(*two.handle().remote(1), count, Random(stress_seed()))).get();
        EXPECT_EQ(received.get(), numbers(count)) << "capacity " << capacity;
    }
}

TEST_P(Messages, AForeignThreadsMessagesArriveInItsOrder) {
    constexpr std::uint32_t count = 2000;
    constexpr unsigned threads = 3;
    auto two = builder(2).msg_ring_queue_capacity(16).build();
    const NoLateWakes check(two.handle());
    auto received = two.handle().spawn_pinned(1, [](std::size_t all) -> Task<std::vector<spargio::Event>> {
        std::vector<spargio::Event> events(all);
        std::size_t have = 0;
        while (have < all) {
            have += co_await ShardCtx::current()->next_events(std::span<spargio::Event>(events).subspan(have));
        }
        co_return events;
    }(std::size_t{threads} * count));
    std::vector<std::thread> senders;
    for (unsigned thread = 0; thread < threads; ++thread) {
        senders.emplace_back([thread, target = *two.handle().remote(1)] {
            const auto tag = static_cast<std::uint16_t>(thread);
            for (std::uint32_t i = 0; i < count;) {
                i += target.send_raw_nowait(tag, i).has_value() ? 1 : 0;
            }
        });
    }
    std::array<std::uint32_t, threads> next{};
    for (const spargio::Event& event : received.get()) {
        EXPECT_EQ(event.from, external_sender);
        ASSERT_LT(event.tag, threads);
        EXPECT_EQ(event.val, next[event.tag]++);
    }
    for (auto& sender : senders) {
        sender.join();
    }
}

TEST_P(Messages, AStalledTargetTakesExactlyTheCapacityAndRefusesTheNextAtTheCall) {
    for (const std::size_t capacity : {1U, 3U, 64U, 100U}) {
        auto three = builder(3).msg_ring_queue_capacity(capacity).build();
        const RuntimeHandle handle = three.handle();
        const RemoteShard target = *handle.remote(1);
        StalledShard stalled(handle, 1);
        const auto fill = [&] {
            std::size_t accepted = 0;
            std::error_code error;
            while (!error && accepted <= capacity) {
                error = target.send_raw_nowait(1, static_cast<std::uint32_t>(accepted)).error();
                accepted += error ? 0 : 1;
            }
            EXPECT_EQ(error, SendError::Backpressure);
            EXPECT_EQ(target.send_raw(1, 0).error(), SendError::Backpressure);
            const std::array<RawMsg, 2> two{RawMsg{1, 0}, RawMsg{1, 0}};
            EXPECT_EQ(target.send_many_raw_nowait(two).error(), SendError::Backpressure);
            return accepted;
        };
        EXPECT_EQ(handle.spawn_pinned(0, fill).get(), capacity);
        EXPECT_EQ(handle.spawn_pinned(2, fill).get(), capacity) << "each pair has its own queue";
        std::size_t by_another_thread = 0;
        std::thread([&] {
            while (by_another_thread < capacity / 2 && target.send_raw_nowait(2, 0)) {
                ++by_another_thread;
            }
        }).join();
        EXPECT_EQ(by_another_thread + fill(), capacity) << "foreign threads share one";
        stalled.release();
        // They are all there, and each that is taken makes room for one.
        const auto taken = handle
                               .spawn_pinned(1,
                                             [capacity]() -> Task<std::size_t> {
                                                 std::array<std::uint32_t, 3> next{};
                                                 std::size_t count = 0;
                                                 while (count < 3 * capacity) {
                                                     const auto event = co_await ShardCtx::current()->next_event();
                                                     const std::size_t sender =
                                                         event.from == external_sender ? 1 : event.from;
                                                     if (event.tag == 1) {
                                                         EXPECT_EQ(event.val, next[sender]++);
                                                     }
                                                     ++count;
                                                 }
                                                 EXPECT_FALSE(ShardCtx::current()->try_next_event().has_value());
                                                 co_return count;
                                             })
                               .get();
        EXPECT_EQ(taken, 3 * capacity);
        EXPECT_TRUE(target.send_raw_nowait(1, 0).has_value());
        const auto stats = handle.stats_snapshot();
        EXPECT_EQ(stats.ring_msgs_submitted, 3 * capacity + 1);
        EXPECT_EQ(stats.ring_msgs_backpressure, 3 * 4U);
    }
}

TEST_P(Messages, SeenButNotTakenStillFillsTheQueue) {
    auto two = builder(2).msg_ring_queue_capacity(4).build();
    const RemoteShard target = *two.handle().remote(1);
    for (std::uint32_t i = 0; i < 4; ++i) {
        const auto ticket = target.send_raw(1, i);
        ASSERT_TRUE(ticket.has_value());
        EXPECT_TRUE(ticket->get().has_value()) << "a target without a receiver sees it all the same";
    }
    EXPECT_EQ(target.send_raw_nowait(1, 4).error(), SendError::Backpressure);
    EXPECT_EQ(two.handle().spawn_pinned(1, receive(4)).get(), numbers(4));
    EXPECT_TRUE(target.send_raw_nowait(1, 4).has_value());
}

TEST_P(Messages, SendManyTakesAsManyAsFitFromTheFront) {
    auto two = builder(2).msg_ring_queue_capacity(10).build();
    const RemoteShard target = *two.handle().remote(1);
    StalledShard stalled(two.handle(), 1);
    const auto send = [target] {
        std::vector<Number> many;
        for (std::uint32_t i = 0; i < 25; ++i) {
            many.push_back(Number{i});
        }
        const auto first = target.send_many_nowait(std::span<const Number>(many).first(7));
        EXPECT_TRUE(first.has_value() && *first == 7);
        const auto rest = target.send_many_nowait(std::span<const Number>(many).subspan(7));
        EXPECT_TRUE(rest.has_value() && *rest == 3);
        const auto none = target.send_many_nowait(std::span<const Number>(many));
        EXPECT_EQ(none.error(), SendError::Backpressure);
        EXPECT_EQ(target.send_many_nowait(many).error(), SendError::Backpressure);
        const auto nothing = target.send_many_nowait(std::span<const Number>());
        EXPECT_TRUE(nothing.has_value() && *nothing == 0);
    };
    two.handle().spawn_pinned(0, send).get();
    send();
    stalled.release();
    const auto values = two.handle().spawn_pinned(1, receive(20)).get();
    auto expected = numbers(10);
    for (std::uint32_t i = 0; i < 10; ++i) {
        EXPECT_EQ(std::count(values.begin(), values.end(), i), 2);
    }
}

TEST_P(Messages, SendManyOfMoreThanAChunkIsWholeAndInOrder) {
    auto two = runtime(2);
    auto received = two.handle().spawn_pinned(1, receive(1000));
    std::vector<Number> many;
    for (std::uint32_t i = 0; i < 1000; ++i) {
        many.push_back(Number{i});
    }
    const auto accepted = two.handle().remote(1)->send_many_nowait(many);
    EXPECT_TRUE(accepted.has_value() && *accepted == 1000);
    EXPECT_EQ(received.get(), numbers(1000));
}

TEST_P(Messages, AReservedTagIsRefusedByEverySendAndSendsNothing) {
    auto two = runtime(2);
    const RemoteShard target = *two.handle().remote(1);
    const auto check = [target] {
        EXPECT_EQ(target.send_raw(0xFFFF, 1).error(), SendError::InvalidTag);
        EXPECT_EQ(target.send_raw_nowait(0xFFFF, 1).error(), SendError::InvalidTag);
        EXPECT_EQ(target.send(Unsendable{}).error(), SendError::InvalidTag);
        EXPECT_EQ(target.send_nowait(Unsendable{}).error(), SendError::InvalidTag);
        const std::array<RawMsg, 2> raw{RawMsg{1, 1}, RawMsg{0xFFFF, 1}};
        EXPECT_EQ(target.send_many_raw_nowait(raw).error(), SendError::InvalidTag);
        const std::array<Unsendable, 2> typed{};
        EXPECT_EQ(target.send_many_nowait(std::span<const Unsendable>(typed)).error(), SendError::InvalidTag);
        if (const ShardCtx* here = ShardCtx::current()) {
            EXPECT_EQ(here->send_raw(1, 0xFFFF, 1).error(), SendError::InvalidTag);
        }
    };
    check();
    two.handle().spawn_pinned(0, check).get();
    EXPECT_EQ(two.handle().stats_snapshot().ring_msgs_submitted, 0U);
}

/// Of each kind of send; `target` is empty for a RemoteShard, which has its own.
template <class Sender, class... Target>
void expect_all_sends_closed(const Sender& sender, Target... target) {
    const std::array<RawMsg, 1> raw{RawMsg{1, 1}};
    const std::array<Number, 1> typed{Number{1}};
    EXPECT_EQ(sender.send_raw(target..., 1, 1).error(), SendError::Closed);
    EXPECT_EQ(sender.send(target..., Number{1}).error(), SendError::Closed);
    EXPECT_EQ(sender.send_raw_nowait(target..., 1, 1).error(), SendError::Closed);
    EXPECT_EQ(sender.send_nowait(target..., Number{1}).error(), SendError::Closed);
    EXPECT_EQ(sender.send_many_raw_nowait(target..., raw).error(), SendError::Closed);
    EXPECT_EQ(sender.send_many_nowait(target..., typed).error(), SendError::Closed);
}

TEST_P(Messages, EverySendToAnUnknownShardIsClosed) {
    auto two = runtime(2);
    EXPECT_FALSE(two.handle().remote(2).has_value());
    const auto step = [] {
        for (const ShardId unknown : {ShardId{2}, external_sender}) {
            expect_all_sends_closed(*ShardCtx::current(), unknown);
        }
    };
    two.handle().spawn_pinned(0, step).get();
}

TEST_P(Messages, EverySendToAStoppedRuntimeIsClosed) {
    auto two = runtime(2);
    const RemoteShard target = *two.handle().remote(1);
    const auto step = [&] {
        EXPECT_TRUE(target.send_raw_nowait(1, 1).has_value());  // There is a queue that would take more.
        two.shutdown();                                         // Begins; it waits for this step.
        expect_all_sends_closed(target);
        expect_all_sends_closed(*ShardCtx::current(), ShardId{1});
        expect_all_sends_closed(*ShardCtx::current(), ShardId{0});
    };
    EXPECT_TRUE(target.send_raw_nowait(1, 1).has_value());
    two.handle().spawn_pinned(0, step).get();
    expect_all_sends_closed(target);
    two.shutdown();
    expect_all_sends_closed(target);
    EXPECT_TRUE(target.flush().get().has_value());
    EXPECT_EQ(target.id(), 1);
}

TEST_P(Messages, AShardCanSendToItselfAndReceivesItLater) {
    auto one = runtime(1);
    one.handle()
        .spawn_pinned(0,
                      []() -> Task<> {
                          ShardCtx& here = *ShardCtx::current();
                          EXPECT_TRUE(here.send_nowait(0, Number{5}).has_value());
                          EXPECT_FALSE(here.try_next_event().has_value()) << "not before it is published";
                          const auto event = co_await here.next_event();
                          EXPECT_EQ(event.from, 0);
                          EXPECT_EQ(event.as<Number>().value, 5U);
                          const auto ticket = here.send(0, Number{6});
                          EXPECT_TRUE(ticket.has_value());
                          const auto seen = co_await *ticket;
                          EXPECT_TRUE(seen.has_value());
                          EXPECT_EQ(here.try_next_event().value().val, 6U);
                      })
        .get();
}

TEST_P(Messages, NameTheirSender) {
    auto three = runtime(3);
    auto other = runtime(1);
    auto senders = three.handle().spawn_pinned(2, []() -> Task<std::vector<ShardId>> {
        std::vector<ShardId> from(4, 99);
        for (int i = 0; i < 4; ++i) {
            const auto event = co_await ShardCtx::current()->next_event();
            from[event.val] = event.from;
        }
        co_return from;
    });
    const RemoteShard target = *three.handle().remote(2);
    const auto send = [target](std::uint32_t number) { EXPECT_TRUE(target.send_raw_nowait(1, number).has_value()); };
    three.handle().spawn_pinned(0, [&] { send(0); }).get();
    three.handle().spawn_pinned(1, [&] { send(1); }).get();
    send(2);
    other.handle().spawn_pinned(0, [&] { send(3); }).get();
    const std::vector<ShardId> expected{0, 1, external_sender, external_sender};
    EXPECT_EQ(senders.get(), expected);
}

TEST_P(Messages, BelongToAThread) {
    auto two = runtime(2);
    ShardCtx* other = two.handle().spawn_pinned(1, [] { return ShardCtx::current(); }).get();
    const auto check = [other] {
        std::array<spargio::Event, 1> room;
        EXPECT_THROW(static_cast<void>(other->next_event()), std::logic_error);
        EXPECT_THROW(static_cast<void>(other->next_events(room)), std::logic_error);
        EXPECT_THROW(static_cast<void>(other->try_next_event()), std::logic_error);
        EXPECT_THROW(static_cast<void>(other->send_raw(0, 1, 1)), std::logic_error);
        EXPECT_THROW(static_cast<void>(other->flush()), std::logic_error);
    };
    check();
    two.handle().spawn_pinned(0, check).get();
    two.handle()
        .spawn_pinned(
            0, [] { EXPECT_THROW(static_cast<void>(ShardCtx::current()->next_events({})), std::invalid_argument); })
        .get();
    // Asked for on one shard, awaited on another.
    two.handle()
        .spawn_stealable([]() -> Task<> {
            const auto here = ShardCtx::current()->shard_id();
            auto wait = ShardCtx::current()->next_event();
            const auto moved = co_await resume_on(static_cast<ShardId>(1 - here));
            EXPECT_TRUE(moved.has_value());
            EXPECT_THROW(static_cast<void>(co_await wait), std::logic_error);
        })
        .get();
}

}  // namespace
}  // namespace spargio::test
