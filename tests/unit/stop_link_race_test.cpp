// SPDX-License-Identifier: MIT
// The stop word under races: a task, its completer and a canceller, as in a join.
#include "spargio/detail/stop_link.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "spargio/detail/seams.hpp"
#include "start_line.hpp"
#include "stop_link.hpp"
#include "support/stress.hpp"

namespace spargio::detail {
namespace {

void cancel_nothing(Wait*, TaskHeader*) noexcept {}

// The wait is armed: whoever of the two comes first, one of them schedules the task, and the canceller never holds a
// wait whose task runs again.
TEST(StopLinkRace, ACompleterAndACancellerAgree) {
    const unsigned rounds = test::scaled(50'000, 5'000);
    const auto seed = test::stress_seed();
    std::unique_ptr<StopLink> link;
    Wait wait(&cancel_nothing);
    std::atomic<int> schedules{0};
    std::atomic<bool> lets_go{false};
    bool held = false;  // Of the canceller; read between rounds.
    test::StartLine line(2);
    std::thread canceller([&] {
        RandomSource random(seed + 1);
        for (unsigned round = 0; round < rounds; ++round) {
            line.arrive_and_wait();
            test::spin(random.below(8));
            held = link->request() != nullptr;
            if (held) {
                test::spin(random.below(4));
                lets_go.store(true);
                if (link->finish_cancel()) {
                    schedules.fetch_add(1);
                }
            }
            line.arrive_and_wait();
        }
    });
    RandomSource random(seed);
    unsigned wrong = 0;
    unsigned met = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        link = std::make_unique<StopLink>();
        if (round % 2 == 0) {
            static_cast<void>(link->shared_state());
        }
        schedules.store(0);
        lets_go.store(false);
        ASSERT_TRUE(link->arm(&wait));
        line.arrive_and_wait();
        test::spin(random.below(8));
        const bool disarmed = link->disarm(&wait);
        const bool alone = !lets_go.load();
        if (disarmed) {
            schedules.fetch_add(1);
        }
        line.arrive_and_wait();
        wrong += schedules.load() != 1 ? 1 : 0;
        wrong += disarmed && alone && held ? 1 : 0;
        met += held ? 1 : 0;
    }
    canceller.join();
    EXPECT_EQ(wrong, 0U);
    RecordProperty("held", std::to_string(met));
}

/// One suspension. `slot` is what a join word is: it decides who owns the completion.
class Suspension {
public:
    enum class Slot : std::uint8_t { Empty, Waits, Marked, Done };

    /// The task. True: it suspended, and somebody will schedule it once.
    bool suspend(bool asks_for_token) {
        if (asks_for_token) {
            if (auto* state = link.shared_state()) {
                token = state->source.get_token();
            }
        }
        if (!link.arm(&wait)) {
            return false;
        }
        auto seen = Slot::Empty;
        if (slot.compare_exchange_strong(seen, Slot::Waits)) {
            return true;
        }
        return !link.disarm(&wait);  // The completer or the canceller came first.
    }

    void complete() {
        if (slot.exchange(Slot::Done) == Slot::Waits && link.disarm(&wait)) {
            schedule();
        }
    }

    void stop() {
        Wait* held = link.request();
        if (held == nullptr) {
            return;
        }
        EXPECT_EQ(held, &wait);
        held_waits.fetch_add(1);
        bool taken_back = false;
        for (auto seen = slot.load(); seen != Slot::Done && seen != Slot::Marked;) {
            // The task waits: take it back. It is on its way: leave a mark that makes its arrival fail.
            const auto wanted = seen == Slot::Waits ? Slot::Empty : Slot::Marked;
            if (slot.compare_exchange_weak(seen, wanted)) {
                taken_back = wanted == Slot::Empty;
                break;
            }
        }
        if (link.finish_cancel() || taken_back) {
            schedule();
        }
    }

    void schedule() { schedules.fetch_add(1); }

    StopLink link;
    Wait wait{&cancel_nothing};
    std::atomic<Slot> slot{Slot::Empty};
    std::atomic<int> schedules{0};
    std::atomic<int> held_waits{0};
    std::stop_token token;
};

TEST(StopLinkRace, EachSuspensionIsScheduledOnce) {
    constexpr unsigned kOthers = 3;  // A completer and two cancellers; this thread is the task.
    const unsigned rounds = test::scaled(10'000, 2'000);
    const auto seed = test::stress_seed();
    std::unique_ptr<Suspension> suspension;
    test::StartLine line(kOthers + 1);
    std::array<std::thread, kOthers> others;
    for (unsigned role = 0; role < kOthers; ++role) {
        others[role] = std::thread([&, role] {
            RandomSource random(seed + 1 + role);
            for (unsigned round = 0; round < rounds; ++round) {
                line.arrive_and_wait();
                test::spin(random.below(60));
                if (role == 0) {
                    suspension->complete();
                } else {
                    suspension->stop();
                }
                line.arrive_and_wait();
            }
        });
    }
    RandomSource random(seed);
    unsigned wrong = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        suspension = std::make_unique<Suspension>();
        line.arrive_and_wait();
        test::spin(random.below(60));
        const bool suspended = suspension->suspend(random.below(2) == 0);
        line.arrive_and_wait();
        wrong += suspension->schedules.load() != (suspended ? 1 : 0) ? 1 : 0;
        wrong += suspension->held_waits.load() > 1 ? 1 : 0;
        wrong += !suspension->link.stop_requested() ? 1 : 0;
        wrong += suspension->token.stop_possible() && !suspension->token.stop_requested() ? 1 : 0;
    }
    for (auto& thread : others) {
        thread.join();
    }
    EXPECT_EQ(wrong, 0U);
}

// The token's state takes over from the word while a request is under way: neither may lose the stop.
TEST(StopLinkRace, ARequestMeetsTheFirstAskForTheToken) {
    const unsigned rounds = test::scaled(30'000, 5'000);
    const auto seed = test::stress_seed();
    std::unique_ptr<StopLink> link;
    bool found_a_wait = false;
    test::StartLine line(2);
    std::thread canceller([&] {
        RandomSource random(seed + 1);
        for (unsigned round = 0; round < rounds; ++round) {
            line.arrive_and_wait();
            test::spin(random.below(20));
            found_a_wait |= link->request() != nullptr;
            line.arrive_and_wait();
        }
    });
    RandomSource random(seed);
    unsigned wrong = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        link = std::make_unique<StopLink>();
        line.arrive_and_wait();
        test::spin(random.below(20));
        auto* state = link->shared_state();
        line.arrive_and_wait();
        wrong += !link->stop_requested() ? 1 : 0;
        wrong += state != nullptr && !state->source.stop_requested() ? 1 : 0;
    }
    canceller.join();
    EXPECT_EQ(wrong, 0U);
    EXPECT_FALSE(found_a_wait);
}

}  // namespace
}  // namespace spargio::detail
