// SPDX-License-Identifier: MIT
// The stop word under races: a task, its completer and a canceller, as in a join.
#include "spargio/detail/stop_link.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <stop_token>

#include <gtest/gtest.h>

#include "spargio/detail/seams.hpp"
#include "stop_link.hpp"
#include "support/race.hpp"
#include "support/stress.hpp"

namespace spargio::detail {
namespace {

void cancel_nobody(Wait*, TaskHeader*) noexcept {}

// The wait is armed: whoever of the two comes first, one of them schedules the task, and the canceller never holds a
// wait whose task runs again.
void race_for_an_armed_wait(bool with_token) {
    std::unique_ptr<StopLink> link;
    Wait wait(&cancel_nobody);
    std::atomic<int> schedules{0};
    std::atomic<bool> lets_go{false};
    bool held = false;
    bool runs_while_held = false;
    int wrong = 0;
    const auto prepare = [&] {
        link = std::make_unique<StopLink>();
        EXPECT_EQ(with_token, with_token && link->shared_state() != nullptr);
        EXPECT_TRUE(link->arm(&wait));
        schedules.store(0);
        lets_go.store(false);
        runs_while_held = false;
    };
    const auto complete = [&](RandomSource& random) {
        test::jitter(random, 8);
        if (link->disarm(&wait)) {
            runs_while_held = !lets_go.load();
            schedules.fetch_add(1);
        }
    };
    const auto stop = [&](RandomSource& random) {
        test::jitter(random, 8);
        held = link->request() != nullptr;
        if (held) {
            test::jitter(random, 4);
            lets_go.store(true);
            if (link->finish_cancel()) {
                schedules.fetch_add(1);
            }
        }
    };
    const auto check = [&] {
        wrong += schedules.load() != 1 ? 1 : 0;
        wrong += held && runs_while_held ? 1 : 0;
    };
    test::race(test::scaled(30'000, 5'000), prepare, complete, {stop}, check);
    EXPECT_EQ(wrong, 0);
}

TEST(StopLinkRace, ACompleterAndACancellerAgree) {
    race_for_an_armed_wait(false);
}

TEST(StopLinkRace, ACompleterAndACancellerAgreeWhenThereIsAToken) {
    race_for_an_armed_wait(true);
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
    Wait wait{&cancel_nobody};
    std::atomic<Slot> slot{Slot::Empty};
    std::atomic<int> schedules{0};
    std::atomic<int> held_waits{0};
    std::stop_token token;
};

TEST(StopLinkRace, EachSuspensionIsScheduledOnce) {
    std::unique_ptr<Suspension> suspension;
    bool suspended = false;
    int wrong = 0;
    const auto prepare = [&] { suspension = std::make_unique<Suspension>(); };
    const auto suspend = [&](RandomSource& random) {
        test::jitter(random, 30);
        suspended = suspension->suspend(random.below(2) == 0);
    };
    const auto complete = [&](RandomSource& random) {
        test::jitter(random, 30);
        suspension->complete();
    };
    const auto stop = [&](RandomSource& random) {
        test::jitter(random, 30);
        suspension->stop();
    };
    const auto check = [&] {
        wrong += suspension->schedules.load() != (suspended ? 1 : 0) ? 1 : 0;
        wrong += suspension->held_waits.load() > 1 ? 1 : 0;
        wrong += !suspension->link.stop_requested() ? 1 : 0;
        wrong += suspension->token.stop_possible() && !suspension->token.stop_requested() ? 1 : 0;
    };
    test::race(test::scaled(10'000, 2'000), prepare, suspend, {complete, stop}, check);
    test::race(test::scaled(2'000, 500), prepare, suspend, {complete, stop, stop}, check);
    EXPECT_EQ(wrong, 0);
}

// The token's state takes over from the word while a request is under way: neither may lose the stop.
TEST(StopLinkRace, ARequestMeetsTheFirstAskForTheToken) {
    std::unique_ptr<StopLink> link;
    StopLink::StopState* state = nullptr;
    int wrong = 0;
    const auto prepare = [&] { link = std::make_unique<StopLink>(); };
    const auto ask = [&](RandomSource& random) {
        test::jitter(random, 10);
        state = link->shared_state();
    };
    const auto stop = [&](RandomSource& random) {
        test::jitter(random, 10);
        EXPECT_EQ(link->request(), nullptr);
    };
    const auto check = [&] {
        wrong += !link->stop_requested() ? 1 : 0;
        wrong += state != nullptr && !state->source.stop_requested() ? 1 : 0;
    };
    test::race(test::scaled(30'000, 5'000), prepare, ask, {stop}, check);
    EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace spargio::detail
