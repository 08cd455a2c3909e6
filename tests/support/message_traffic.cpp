// SPDX-License-Identifier: MIT
// Random traffic of messages: the senders, the receivers, the books.
#include "support/message_traffic.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include <gtest/gtest.h>

namespace spargio::test {

using std::chrono::microseconds;

namespace {

Task<> nap(microseconds span) {
    static_cast<void>(co_await sleep_for(span));
}

}  // namespace

MessageTraffic::MessageTraffic(Runtime& runtime, const Plan& plan)
    : plan_(plan),
      runtime_(runtime.handle()),
      until_(std::chrono::steady_clock::now() + plan.time),
      senders_(plan.shards + plan.threads, Sender(plan.shards)),
      received_(plan.shards, std::vector<Received>(plan.shards + plan.threads)) {
    Random random(plan.seed);
    for (std::size_t shard = 0; shard < plan.shards; ++shard) {
        targets_.push_back(*runtime_.remote(static_cast<ShardId>(shard)));
    }
    for (std::size_t shard = 0; shard < plan.shards; ++shard) {
        const auto id = static_cast<ShardId>(shard);
        tasks_.push_back(runtime_.spawn_pinned(id, receive(shard, Random(random.next()))));
        tasks_.push_back(runtime_.spawn_pinned(id, send_from_shard(shard, Random(random.next()))));
    }
    for (std::size_t thread = 0; thread < plan.threads; ++thread) {
        threads_.emplace_back(
            [this, thread, own = Random(random.next())] { send_from_thread(plan_.shards + thread, own); });
    }
}

MessageTraffic::~MessageTraffic() {
    for (auto& thread : threads_) {
        thread.join();
    }
}

void MessageTraffic::finish() {
    for (auto& thread : threads_) {
        thread.join();
    }
    threads_.clear();
    for (auto& task : tasks_) {
        task.get();
    }
    tasks_.clear();
}

std::uint16_t MessageTraffic::tag_of(std::size_t sender) const {
    return static_cast<std::uint16_t>(sender < plan_.shards ? 0 : sender - plan_.shards);
}

/// Up to 40 messages, by a kind of send that the dice choose.
MessageTraffic::Attempt MessageTraffic::send_some(std::size_t sender, std::size_t target, Random& random) {
    Sender& own = senders_[sender];
    Sent& sent = own.to[target];
    const RemoteShard& remote = targets_[target];
    const auto tag = static_cast<std::uint16_t>(kMessage + tag_of(sender));
    std::vector<Typed> many{Typed{RawMsg{tag, sent.count}}};
    const ShardCtx* here = sender < plan_.shards ? ShardCtx::current() : nullptr;
    Attempt attempt;
    const auto with_ticket = [&](Result<SendTicket> result) {
        attempt.error = result.error();
        attempt.accepted = result ? 1 : 0;
        if (result) {
            attempt.ticket.emplace(*std::move(result));
        }
    };
    const auto without = [&](const Result<void>& result) {
        attempt.error = result.error();
        attempt.accepted = result ? 1 : 0;
    };
    const auto counted = [&](const Result<std::size_t>& result) {
        attempt.error = result.error();
        attempt.accepted = result.value_or(0);
    };
    const auto fill = [&] {
        for (auto i = random.below(40); i != 0; --i) {
            many.push_back(Typed{RawMsg{tag, many.back().raw.val + 1}});
        }
        return std::span<const Typed>(many);
    };
    const auto raw = [&] {
        std::vector<RawMsg> messages;
        for (const Typed& message : fill()) {
            messages.push_back(message.raw);
        }
        return messages;
    };
    const auto id = static_cast<ShardId>(target);
    const bool by_context = here != nullptr && random.one_in(2);
    switch (random.below(6)) {
    case 0:
        with_ticket(by_context ? here->send_raw(id, tag, sent.count) : remote.send_raw(tag, sent.count));
        break;
    case 1:
        with_ticket(by_context ? here->send(id, many.front()) : remote.send(many.front()));
        break;
    case 2:
        without(by_context ? here->send_raw_nowait(id, tag, sent.count) : remote.send_raw_nowait(tag, sent.count));
        break;
    case 3:
        without(by_context ? here->send_nowait(id, many.front()) : remote.send_nowait(many.front()));
        break;
    case 4:
        counted(by_context ? here->send_many_raw_nowait(id, raw()) : remote.send_many_raw_nowait(raw()));
        break;
    default:
        counted(by_context ? here->send_many_nowait(id, fill()) : remote.send_many_nowait(fill()));
        break;
    }
    if (attempt.error != SendError::Closed) {
        EXPECT_EQ(attempt.accepted == 0, attempt.error == SendError::Backpressure) << attempt.error.message();
        own.refused += many.size() - attempt.accepted;
    }
    own.accepted += attempt.accepted;
    for (std::size_t i = 0; i < attempt.accepted; ++i) {
        sent.sum += mixed(sent.count++);
    }
    return attempt;
}

Task<> MessageTraffic::send_from_shard(std::size_t shard, Random random) {
    Sender& own = senders_[shard];
    while (own.accepted < plan_.messages && std::chrono::steady_clock::now() < until_) {
        auto attempt = send_some(shard, random.below(static_cast<std::uint32_t>(plan_.shards)), random);
        if (attempt.error == SendError::Closed) {
            co_return;
        }
        if (attempt.ticket && random.one_in(16)) {
            const Result<void> seen = co_await *attempt.ticket;
            EXPECT_TRUE(seen.has_value());
        } else if (attempt.error && random.one_in(4)) {
            // Where shards share CPUs, those that only yield keep the CPU from the one that has to make room.
            static_cast<void>(co_await sleep_for(microseconds(20)));
        } else if (attempt.error || random.one_in(8)) {
            co_await yield();
        } else if (random.one_in(16)) {
            ShardCtx::current()->flush();
        } else if (plan_.naps && random.one_in(64)) {
            static_cast<void>(co_await sleep_for(microseconds(random.below(200))));
        }
    }
    for (const RemoteShard& target : targets_) {
        for (;;) {
            const auto sent = target.send_raw_nowait(static_cast<std::uint16_t>(kEnd + tag_of(shard)), 0);
            if (sent) {
                ++own.accepted;
                break;
            }
            if (sent.error() == SendError::Closed) {
                co_return;
            }
            ++own.refused;
            co_await yield();
        }
    }
}

void MessageTraffic::send_from_thread(std::size_t sender, Random random) {
    Sender& own = senders_[sender];
    std::vector<SendTicket> tickets;
    bool closed = false;
    while (!closed && own.accepted < plan_.messages && std::chrono::steady_clock::now() < until_) {
        auto attempt = send_some(sender, random.below(static_cast<std::uint32_t>(plan_.shards)), random);
        closed = attempt.error == SendError::Closed;
        if (attempt.ticket && random.one_in(16)) {
            static_cast<void>(attempt.ticket->get());
        } else if (attempt.ticket && tickets.size() < 1000) {
            tickets.push_back(*std::move(attempt.ticket));
        } else if (attempt.error) {
            std::this_thread::yield();
        } else if (plan_.naps && random.one_in(64)) {
            std::this_thread::sleep_for(microseconds(random.below(200)));
        }
    }
    for (std::size_t target = 0; target < plan_.shards && !closed;) {
        const auto sent = targets_[target].send_raw_nowait(static_cast<std::uint16_t>(kEnd + tag_of(sender)), 0);
        own.accepted += sent ? 1 : 0;
        target += sent ? 1 : 0;
        closed = sent.error() == SendError::Closed;
        if (sent.error() == SendError::Backpressure) {
            ++own.refused;
            std::this_thread::yield();
        }
    }
    for (const SendTicket& ticket : tickets) {  // Each is decided, whatever has happened: this thread does not hang.
        const Result<void> seen = ticket.get();
        EXPECT_TRUE(seen || (plan_.shut_down && seen.error() == SendError::Closed)) << seen.error().message();
        EXPECT_TRUE(ticket.wait_for(std::chrono::seconds(0)));
    }
}

void MessageTraffic::note(std::size_t receiver, const spargio::Event& event) {
    const auto number = static_cast<std::uint16_t>(event.tag & 0xFFU);
    const std::size_t sender = event.from == external_sender ? plan_.shards + number : event.from;
    Received& received = received_[receiver].at(sender);
    if ((event.tag & kEnd) != 0) {
        received.ended = true;
        return;
    }
    received.out_of_order += event.val != received.count || received.ended ? 1 : 0;
    ++received.count;
    received.sum += mixed(event.val);
}

Task<> MessageTraffic::take_some(std::size_t shard, std::size_t further) {
    std::array<spargio::Event, 50> room;
    const auto count = co_await ShardCtx::current()->next_events(std::span<spargio::Event>(room).first(1 + further));
    for (std::size_t i = 0; i < count; ++i) {
        note(shard, room[i]);
    }
}

Task<> MessageTraffic::receive(std::size_t shard, Random random) {
    std::array<spargio::Event, 50> room;
    const auto all_ended = [this, shard] {
        const auto& all = received_[shard];
        return std::all_of(all.begin(), all.end(), [](const Received& one) { return one.ended; });
    };
    while (!all_ended()) {
        ShardCtx& here = *ShardCtx::current();
        switch (random.below(4)) {
        case 0: {
            const spargio::Event event = co_await here.next_event();
            note(shard, event);
            break;
        }
        case 1: {
            const auto count = co_await here.next_events(std::span<spargio::Event>(room).first(1 + random.below(50)));
            for (std::size_t i = 0; i < count; ++i) {
                note(shard, room[i]);
            }
            break;
        }
        case 2: {
            // Two that are stopped in the end wait before this shard does again: what they were woken for is in order.
            const auto limit = microseconds(random.below(100));
            const auto first = co_await when_any(take_some(shard, random.below(50)), take_some(shard, 0), nap(limit));
            static_cast<void>(first);
            break;
        }
        default:
            for (auto i = random.below(20); i != 0; --i) {
                if (const auto event = here.try_next_event()) {
                    note(shard, *event);
                }
            }
            break;
        }
        if (random.one_in(32)) {
            co_await yield();
        }
    }
    EXPECT_FALSE(ShardCtx::current()->try_next_event().has_value());
}

std::uint64_t MessageTraffic::accepted() const {
    std::uint64_t sum = 0;
    for (const Sender& sender : senders_) {
        sum += sender.accepted;
    }
    return sum;
}

std::uint64_t MessageTraffic::refused() const {
    std::uint64_t sum = 0;
    for (const Sender& sender : senders_) {
        sum += sender.refused;
    }
    return sum;
}

std::uint64_t MessageTraffic::out_of_order() const {
    std::uint64_t sum = 0;
    for (const auto& all : received_) {
        for (const Received& one : all) {
            sum += one.out_of_order;
        }
    }
    return sum;
}

std::string MessageTraffic::verdict() const {
    for (std::size_t from = 0; from < senders_.size(); ++from) {
        for (std::size_t to = 0; to < plan_.shards; ++to) {
            const Sent& sent = senders_[from].to[to];
            const Received& received = received_[to][from];
            if (received.count != sent.count || received.sum != sent.sum || received.out_of_order != 0) {
                return "from " + std::to_string(from) + " to " + std::to_string(to) + ": " +
                       std::to_string(sent.count) + " were accepted, " + std::to_string(received.count) + " arrived, " +
                       std::to_string(received.out_of_order) + " not in their turn";
            }
        }
    }
    return {};
}

}  // namespace spargio::test
