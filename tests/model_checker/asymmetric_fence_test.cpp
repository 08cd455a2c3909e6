// SPDX-License-Identifier: MIT
// The deque of an owner that leaves its fences out while nobody seeks work: each item is taken once, by somebody who
// sees what is in it, and a push and a sleeper see each other, however the two modes follow each other.
#include "asymmetric_fence.hpp"

#include <cstddef>
#include <cstdint>

#include "checker.hpp"
#include "item.hpp"
#include "steal_deque.hpp"

namespace spargio::model_checker {
namespace {

using detail::AsymmetricFence;
using detail::atomic;
using detail::StealDeque;

constexpr std::size_t kMostItems = 4;
constexpr std::size_t kMostSeekers = 2;

bool granted() noexcept {
    Engine::instance().barrier();
    return true;
}

/// One deque, and who seeks. The owner is in light mode when the threads start, unless it is said.
struct World {
    explicit World(bool light = true) : fence(AsymmetricFence::Policy::Adaptive), deque(2, fence) {
        if (light) {
            offer();
            check(fence.look().light(), "an offer without seekers is not taken");
        }
    }

    void offer() noexcept {
        fence.offer([this] {
            bool none = true;
            for (auto& seeker : seeks) {
                none = none && seeker.load(std::memory_order_seq_cst) == 0;
            }
            return none;
        });
    }

    // The owner.

    void push() noexcept {
        items[pushed].content.write(1);
        check(deque.push(&items[pushed]), "no room");
        ++pushed;
    }
    bool pop() noexcept { return take(deque.pop()); }

    // A seeker.

    template <class Barrier>
    bool begin(std::size_t seeker, Barrier barrier) noexcept {
        seeks[seeker].exchange(1, std::memory_order_seq_cst);
        return fence.begin(barrier) || deque.acknowledged() >= fence.pending();
    }
    bool begin(std::size_t seeker) noexcept { return begin(seeker, granted); }
    void end(std::size_t seeker) noexcept { seeks[seeker].store(0, std::memory_order_release); }
    bool steal() noexcept { return take(deque.steal()); }
    /// All of a search, with a barrier that is granted.
    void search(std::size_t seeker, int steals) noexcept {
        check(begin(seeker), "the barrier was granted");
        for (; steals != 0; --steals) {
            steal();
        }
        end(seeker);
    }

    /// When all threads have ended: takes what is left.
    void finish() noexcept {
        while (pop()) {}
        check(deque.size() == 0, "an empty deque is not empty");
        check(deque.taken() == pushed, "taken() is wrong");
        for (std::size_t i = 0; i < pushed; ++i) {
            check(items[i].taken == 1, "an item is lost");
        }
        push();
        check(pop() && !pop(), "the deque works no more");
    }

    AsymmetricFence fence;
    StealDeque deque;
    Item items[kMostItems + 1];
    std::size_t pushed = 0;
    atomic<int> seeks[kMostSeekers];
};

void last_item() {
    World world;
    const auto owner = [&] {
        world.push();
        world.pop();
    };
    const auto thief = [&] { world.search(0, 1); };
    run(owner, thief);
    world.finish();
}
const Scenario last("fence: the last item of a light owner, a thief", holds, last_item);

void two_items() {
    World world;
    world.push();
    world.push();
    const auto owner = [&] {
        world.pop();
        world.pop();
    };
    const auto thief = [&] { world.search(0, 2); };
    run(owner, thief);
    world.finish();
}
const Scenario two("fence: two items, both wanted", holds, two_items);

void index_used_again() {
    World world;
    world.push();
    const auto owner = [&] {
        world.pop();
        world.push();  // At the index of the one before.
    };
    const auto thief = [&] { world.search(0, 1); };
    run(owner, thief);
    world.finish();
}
const Scenario again("fence: an index is used again", holds, index_used_again);

void two_thieves() {
    World world;
    world.push();
    world.push();
    const auto owner = [&] { world.pop(); };
    const auto thief = [&] { world.search(0, 1); };
    const auto other_thief = [&] { world.search(1, 1); };
    run(owner, thief, other_thief);
    world.finish();
}
const Scenario thieves("fence: two thieves, each with its barrier", holds, two_thieves, 2);

/// A push, and a shard that parks: the owner looks who is parked only where it is not light.
void handshake() {
    World world;
    bool owner_sees = false;
    bool sleeper_sees = false;
    const auto owner = [&] {
        world.push();
        owner_sees = world.seeks[0].load(std::memory_order_seq_cst) != 0;
    };
    const auto sleeper = [&] {
        check(world.begin(0), "the barrier was granted");
        sleeper_sees = world.deque.size() != 0;
    };
    run(owner, sleeper);
    check(owner_sees || sleeper_sees, "nobody wakes the sleeper, who has not seen the item");
    world.finish();
}
const Scenario sleep("fence: a push and a sleeper", holds, handshake);

/// Two that park, each with its barrier: the one may find the other's half done.
void two_handshakes() {
    World world;
    bool owner_sees[] = {false, false};
    bool sleeper_sees[] = {false, false};
    const auto owner = [&] {
        world.push();
        for (std::size_t i = 0; i < 2; ++i) {
            owner_sees[i] = world.seeks[i].load(std::memory_order_seq_cst) != 0;
        }
    };
    const auto park = [&](std::size_t i) {
        check(world.begin(i), "the barrier was granted");
        sleeper_sees[i] = world.deque.size() != 0;
    };
    run(
        owner, [&] { park(0); }, [&] { park(1); });
    for (std::size_t i = 0; i < 2; ++i) {
        check(owner_sees[i] || sleeper_sees[i], "nobody wakes the sleeper, who has not seen the item");
    }
    world.finish();
}
const Scenario sleepers("fence: a push and two sleepers", holds, two_handshakes, 3);

/// The owner takes what is oldest as a thief does, without seeking.
void own_oldest() {
    World world;
    world.push();
    world.push();
    const auto owner = [&] {
        world.steal();
        world.pop();
    };
    const auto thief = [&] { world.search(0, 1); };
    run(owner, thief);
    world.finish();
}
const Scenario oldest("fence: the owner takes the oldest, a thief", holds, own_oldest);

/// The owner offers while a thief begins, works, ends.
void offered_meanwhile() {
    World world(false);
    world.push();
    world.push();
    const auto owner = [&] {
        world.offer();
        world.pop();
        world.pop();
    };
    const auto thief = [&] { world.search(0, 2); };
    run(owner, thief);
    world.finish();
}
const Scenario offered("longer fence: offered while a thief begins and ends", holds, offered_meanwhile);

/// Another owner offers, so that the one who pops learns of it, and of what was stolen before, by the word alone.
void offered_by_another() {
    World world(false);
    world.push();
    const auto owner = [&] { world.pop(); };
    const auto thief = [&] { world.search(0, 1); };
    const auto other_owner = [&] { world.offer(); };
    run(owner, thief, other_owner);
    world.finish();
}
const Scenario another("longer fence: another owner offers", holds, offered_by_another);

void two_offers() {
    World world(false);
    world.push();
    const auto owner = [&] {
        world.offer();
        world.pop();
    };
    const auto other_owner = [&] { world.offer(); };
    const auto thief = [&] { world.search(0, 1); };
    run(owner, other_owner, thief);
    world.finish();
}
const Scenario offers("longer fence: two owners offer, a thief", holds, two_offers, 3);

/// The barrier is refused: a thief may take what it wants once the owner has acknowledged that it fences.
void refused() {
    World world;
    world.push();
    world.push();
    const auto owner = [&] {
        world.pop();
        world.push();
        world.pop();
    };
    const auto thief = [&] {
        const auto refuse = [] { return false; };
        if (world.begin(0, refuse) || world.begin(0, refuse)) {
            world.steal();
            world.steal();
        }
        world.end(0);
    };
    run(owner, thief);
    world.finish();
}
const Scenario without("fence: the barrier is refused", holds, refused);

/// The same of an owner that touches nothing, but says between two steps that it fences.
void refused_and_answered() {
    World world;
    world.push();
    world.push();
    const auto owner = [&] {
        world.pop();
        world.deque.answer_seekers();
        world.deque.answer_seekers();
    };
    const auto thief = [&] {
        if (world.begin(0, [] { return false; })) {
            world.steal();
            world.steal();
        }
        world.end(0);
    };
    run(owner, thief);
    world.finish();
}
const Scenario answered("fence: the barrier is refused, an owner that answers", holds, refused_and_answered);

/// Refused, and the owner seeks itself for a while: it has seen that it must fence (Shard::sees_deque()).
void refused_both() {
    World world;
    world.push();
    world.push();
    const auto refuse = [] { return false; };
    const auto owner = [&] {
        world.pop();
        static_cast<void>(world.begin(1, refuse));
        world.end(1);
        world.push();
        world.pop();
    };
    const auto thief = [&] {
        if (world.begin(0, refuse) || world.seeks[1].load(std::memory_order_seq_cst) != 0) {
            world.steal();
            world.steal();
        }
        world.end(0);
    };
    run(owner, thief);
    world.finish();
}
const Scenario both("longer fence: the barrier is refused to both", holds, refused_both, 4);

/// The barrier is refused to the one, and granted to the other.
void refused_once() {
    World world;
    world.push();
    world.push();
    const auto owner = [&] { world.pop(); };
    const auto thief = [&] {
        if (world.begin(0, [] { return false; })) {
            world.steal();
        }
        world.end(0);
    };
    const auto other_thief = [&] { world.search(1, 1); };
    run(owner, thief, other_thief);
    world.finish();
}
const Scenario once("longer fence: refused to one, granted to the other", holds, refused_once, 2);

}  // namespace
}  // namespace spargio::model_checker
