// SPDX-License-Identifier: MIT
// The stealing deque: each item is taken once, by somebody who sees what is in it, and a push and a sleeper see each
// other.
#include "steal_deque.hpp"

#include <cstddef>

#include "asymmetric_fence.hpp"
#include "checker.hpp"
#include "item.hpp"

namespace spargio::model_checker {
namespace {

using detail::AsymmetricFence;
using detail::atomic;
using detail::StealDeque;

constexpr std::size_t kMostItems = 4;

/// The deque, and who has got what.
struct World {
    explicit World(std::size_t capacity, AsymmetricFence::Policy policy = AsymmetricFence::Policy::Symmetric)
        : fence(policy), deque(capacity, fence) {}

    /// The owner: pushes the next `count` items at once; those that found no room stay the next ones.
    std::size_t push(std::size_t count) noexcept {
        for (std::size_t i = 0; i < count; ++i) {
            items[pushed + i].content.write(1);
        }
        const auto done = deque.push_many(count, [this](std::size_t i) { return &items[pushed + i]; });
        pushed += done;
        return done;
    }
    bool pop() noexcept { return take(deque.pop()); }
    bool steal() noexcept { return take(deque.steal()); }

    /// When all threads have ended: takes what is left.
    void finish() {
        std::size_t left = deque.size();
        for (; pop(); --left) {}
        check(left == 0, "size() is wrong when nobody is at work");
        check(deque.size() == 0 && !steal(), "an empty deque is not empty");
        check(deque.taken() == pushed, "taken() is wrong");
        for (std::size_t i = 0; i < pushed; ++i) {
            check(items[i].taken == 1, "an item is lost");
        }
        check(push(1) == 1 && pop() && !pop(), "the deque works no more");
    }

    AsymmetricFence fence;
    StealDeque deque;
    Item items[kMostItems + 1];
    std::size_t pushed = 0;
};

void last_item() {
    World world(2);
    const auto owner = [&] {
        check(world.push(1) == 1, "no room");
        world.pop();
    };
    const auto thief = [&] { world.steal(); };
    const auto other_thief = [&] { world.steal(); };
    run(owner, thief, other_thief);
    world.finish();
}
const Scenario last("deque: the last item, two thieves", holds, last_item);

void two_items() {
    World world(2);
    const auto owner = [&] {
        check(world.push(2) == 2, "no room");
        world.pop();
        world.pop();
    };
    const auto thief = [&] {
        world.steal();
        world.steal();
    };
    run(owner, thief);
    world.finish();
}
const Scenario two("deque: two items, the owner and a thief want both", holds, two_items);

void two_items_three_threads() {
    World world(2);
    check(world.push(2) == 2, "no room");
    const auto owner = [&] { world.pop(); };
    const auto thief = [&] { world.steal(); };
    const auto other_thief = [&] { world.steal(); };
    run(owner, thief, other_thief);
    world.finish();
}
const Scenario three("deque: two items, the owner and two thieves", holds, two_items_three_threads);

void push_after_pop() {
    World world(2);
    const auto owner = [&] {
        check(world.push(1) == 1, "no room");
        world.pop();
        check(world.push(1) == 1, "no room");
        world.pop();
    };
    const auto thief = [&] {
        world.steal();
        world.steal();
    };
    run(owner, thief);
    world.finish();
}
const Scenario again("deque: push and pop, twice, and a thief", holds, push_after_pop);

void reuse_of_slots() {
    World world(2);
    check(world.push(2) == 2, "no room");
    const auto owner = [&] {
        world.push(1);  // Goes into the slot that the thief has read, or finds no room.
        world.pop();
    };
    const auto thief = [&] {
        world.steal();
        world.steal();
    };
    run(owner, thief);
    world.finish();
}
const Scenario reuse("deque: a slot is used again", holds, reuse_of_slots);

void reuse_of_slots_two_thieves() {
    World world(2);
    check(world.push(2) == 2, "no room");
    const auto owner = [&] { world.push(2); };
    const auto thief = [&] { world.steal(); };
    const auto other_thief = [&] { world.steal(); };
    run(owner, thief, other_thief);
    world.finish();
}
const Scenario reuse_two("deque: slots are used again, two thieves", holds, reuse_of_slots_two_thieves);

void full_ring() {
    World world(2);
    const auto owner = [&] {
        check(world.push(3) == 2, "the ring of two holds two");
        world.push(1);  // Finds no room, unless the thief has made some.
        world.pop();
    };
    const auto thief = [&] { world.steal(); };
    run(owner, thief);
    world.finish();
}
const Scenario full("deque: full", holds, full_ring);

void empty_ring() {
    World world(4);
    const auto owner = [&] {
        check(!world.pop(), "an item from nowhere");
        check(world.push(2) == 2, "no room");
        world.pop();
    };
    const auto thief = [&] { world.steal(); };
    run(owner, thief);
    world.finish();
}
const Scenario empty("deque: pop of an empty one, then a push", holds, empty_ring);

void never_empty() {
    World world(2);
    check(world.push(1) == 1, "no room");
    const auto owner = [&] {
        check(world.push(1) == 1, "no room");
        world.steal();  // Anybody may steal, also the owner.
    };
    const auto observer = [&] { check(world.deque.size() != 0, "size() says empty, which it never was"); };
    run(owner, observer);
    world.finish();
}
const Scenario size("deque: size() of one that is never empty", holds, never_empty);

void many_steps() {
    World world(2);
    const auto owner = [&] {
        world.push(2);
        world.pop();
        world.push(1);
        world.push(1);
        world.pop();
        world.pop();
    };
    const auto thief = [&] {
        world.steal();
        world.steal();
    };
    const auto other_thief = [&] { world.steal(); };
    run(owner, thief, other_thief);
    world.finish();
}
const Scenario longer("longer deque: up to four items, two laps, two thieves", holds, many_steps, 2);

/// Push, then look who is parked; park, then look at size().
template <bool after_pop>
void handshake() {
    World world(2);
    atomic<int> parked;
    bool owner_sees = false;
    bool sleeper_sees = false;
    const auto owner = [&] {
        if (after_pop) {
            world.push(1);
            world.pop();
        }
        world.push(1);
        owner_sees = parked.load(std::memory_order_seq_cst) != 0;
    };
    const auto sleeper = [&] {
        parked.store(1, std::memory_order_seq_cst);
        sleeper_sees = world.deque.size() != 0;
    };
    run(owner, sleeper);
    check(owner_sees || sleeper_sees, "nobody wakes the sleeper, who has not seen the item");
    world.finish();
}
const Scenario sleep("deque: a push and a sleeper", holds, handshake<false>);
const Scenario sleep_after_pop("deque: pop, then a push and a sleeper", holds, handshake<true>);

/// The same with a thief: who takes the item has seen it, and so has the sleeper or nobody needs to.
void handshake_with_thief() {
    World world(2);
    atomic<int> parked;
    bool owner_sees = false;
    bool sleeper_sees = false;
    bool stolen = false;
    const auto owner = [&] {
        world.push(1);
        owner_sees = parked.load(std::memory_order_seq_cst) != 0;
    };
    const auto sleeper = [&] {
        parked.store(1, std::memory_order_seq_cst);
        sleeper_sees = world.deque.size() != 0;
    };
    const auto thief = [&] { stolen = world.steal(); };
    run(owner, sleeper, thief);
    check(owner_sees || sleeper_sees || stolen, "nobody wakes the sleeper, who has not seen the item");
    world.finish();
}
const Scenario sleep_with_thief("deque: a push, a sleeper and a thief", holds, handshake_with_thief);

}  // namespace
}  // namespace spargio::model_checker
