// SPDX-License-Identifier: MIT
// The inbox and the park word: each item is taken once, in order, with its content, and no sleeper is left with one.
#include "inbox.hpp"

#include <cstddef>

#include "checker.hpp"
#include "park_state.hpp"

namespace spargio::model_checker {
namespace {

using detail::Inbox;
using detail::ParkState;
using detail::Push;
using detail::Shard;
using detail::WorkItem;
using detail::WorkList;

void do_nothing(WorkItem*, Shard*) noexcept {}

struct Item : WorkItem {
    Item() noexcept : WorkItem(&do_nothing) {}
    Plain<int> content;
    int taken = 0;  // Its number in the order of the consumer, from 1.
};

struct World {
    Push push(Item& item) noexcept {
        item.content.write(1);
        return inbox.try_push(&item);
    }
    std::size_t take() noexcept {
        WorkList list;
        const auto count = inbox.take_all(list);
        while (WorkItem* found = list.pop_front()) {
            auto& item = static_cast<Item&>(*found);
            check(item.content.read() == 1, "an item without its content");
            item.content.write(2);
            check(item.taken == 0, "an item is taken twice");
            item.taken = ++taken;
        }
        return count;
    }

    Inbox inbox;
    ParkState park;
    Item items[3];
    int taken = 0;  // The consumer's.
};

/// Two producers; who finds the inbox empty owes a wake, one for each take that finds something.
void producers() {
    World world;
    int wakes[2] = {};
    int found = 0;
    const auto first = [&] {
        wakes[0] += world.push(world.items[0]) == Push::WasEmpty ? 1 : 0;
        wakes[0] += world.push(world.items[1]) == Push::WasEmpty ? 1 : 0;
    };
    const auto second = [&] { wakes[1] += world.push(world.items[2]) == Push::WasEmpty ? 1 : 0; };
    const auto consumer = [&] { found += world.take() != 0 ? 1 : 0; };
    run(first, second, consumer);
    found += world.take() != 0 ? 1 : 0;
    check(wakes[0] + wakes[1] == found, "not one wake for each time that it was not empty");
    check(world.taken == 3 && world.inbox.empty(), "an item is lost");
    check(world.items[0].taken < world.items[1].taken, "the order of a producer is lost");
    check(world.inbox.accepted() == 3, "accepted() is wrong");
}
const Scenario two_producers("inbox: two producers", holds, producers);

/// What is accepted is there for whoever takes after the close; a wake is taken at any time, and opens nothing.
void closing() {
    World world;
    bool accepted = false;
    const auto producer = [&] { accepted = world.push(world.items[0]) != Push::Refused; };
    const auto waker = [&] {
        world.items[1].content.write(1);
        check(world.inbox.push(&world.items[1]) != Push::Refused, "a wake is refused");
    };
    const auto consumer = [&] {
        world.inbox.close();
        world.take();
    };
    run(producer, waker, consumer);
    check(accepted == (world.items[0].taken != 0), "an item comes after the close");
    world.take();
    check(world.items[1].taken != 0 && world.inbox.empty(), "a wake is lost");
    check(world.push(world.items[2]) == Push::Refused, "the inbox is open again");
}
const Scenario close("inbox: a close, a producer and a waker", holds, closing);

/// A shard that parks and looks once more, and wakers that push first and then look whether it is parked.
template <bool two_wakers>
void sleep_handshake() {
    World world;
    int rung[2] = {};
    bool asleep = false;
    bool notified = false;
    const auto sleeper = [&] {
        world.park.prepare();
        asleep = world.inbox.empty();
        if (!asleep) {
            notified = world.park.resume() == ParkState::Woken::Notified;
            world.take();
        }
    };
    const auto wake = [&world](Item& item, int& bells) {
        if (world.push(item) == Push::WasEmpty && world.park.notify()) {
            ++bells;
        }
    };
    const auto waker = [&] { wake(world.items[0], rung[0]); };
    const auto other_waker = [&] {
        if (two_wakers) {
            wake(world.items[1], rung[1]);
        }
    };
    run(sleeper, waker, other_waker);
    const auto bells = rung[0] + rung[1];
    check(!asleep || bells == 1, "the sleeper is not woken, or twice");
    check(asleep || bells == (notified ? 1 : 0), "the sleeper does not know of a bell");
    world.take();
    check(world.taken == (two_wakers ? 2 : 1), "an item is lost");
}
const Scenario sleep("inbox: a push and a sleeper", holds, sleep_handshake<false>);
const Scenario sleep_two("inbox: two pushes and a sleeper", holds, sleep_handshake<true>);

/// Two wakers that rely on different queues: one rings.
void two_notify() {
    World world;
    bool rings[2] = {};
    bool notified = false;
    const auto sleeper = [&] {
        world.park.prepare();
        notified = world.park.resume() == ParkState::Woken::Notified;
        world.park.prepare();
    };
    const auto waker = [&] { rings[0] = world.park.notify(); };
    const auto other_waker = [&] { rings[1] = world.park.notify(); };
    run(sleeper, waker, other_waker);
    const bool again = world.park.resume() == ParkState::Woken::Notified;
    check((rings[0] ? 1 : 0) + (rings[1] ? 1 : 0) == (notified ? 1 : 0) + (again ? 1 : 0),
          "not one bell for each sleep that was notified of");
}
const Scenario wakers("park: two wakers, two sleeps", holds, two_notify);

}  // namespace
}  // namespace spargio::model_checker
