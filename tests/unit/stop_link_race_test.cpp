// SPDX-License-Identifier: MIT
// The stop word under races: a task, its completer and two cancellers, as in a join.
#include "spargio/detail/stop_link.hpp"

#include <array>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <thread>

#include <gtest/gtest.h>

#include "spargio/detail/seams.hpp"
#include "stop_link.hpp"
#include "support/stress.hpp"

namespace spargio::detail {
namespace {

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
        return !link.disarm(&wait);  // The completer or a canceller came first.
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
    Wait wait{[](Wait*, TaskHeader*) noexcept {}};
    std::atomic<Slot> slot{Slot::Empty};
    std::atomic<int> schedules{0};
    std::atomic<int> held_waits{0};
    std::stop_token token;
};

enum Role : std::size_t { Task, Completer, FirstCanceller, SecondCanceller, Roles };

TEST(StopLinkRace, EachSuspensionIsScheduledOnce) {
    const unsigned rounds = test::scaled(6'000, 2'000);
    const auto seed = test::stress_seed();
    std::unique_ptr<Suspension> suspension;
    std::atomic<bool> suspended{false};
    std::barrier line(Roles + 1);
    std::array<std::thread, Roles> threads;
    for (std::size_t role = 0; role < Roles; ++role) {
        threads[role] = std::thread([&, role] {
            RandomSource random(seed + role);
            for (unsigned round = 0; round < rounds; ++round) {
                line.arrive_and_wait();
                for (auto spins = random.below(60); spins != 0; --spins) {
                    cpu_relax();
                }
                if (role == Task) {
                    suspended.store(suspension->suspend(random.below(2) == 0));
                } else if (role == Completer) {
                    suspension->complete();
                } else {
                    suspension->stop();
                }
                line.arrive_and_wait();
            }
        });
    }
    int wrong = 0;
    int canceled = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        suspension = std::make_unique<Suspension>();
        line.arrive_and_wait();
        line.arrive_and_wait();
        wrong += suspension->schedules.load() != (suspended.load() ? 1 : 0) ? 1 : 0;
        wrong += suspension->held_waits.load() > 1 ? 1 : 0;
        wrong += !suspension->link.stop_requested() ? 1 : 0;
        wrong += suspension->token.stop_possible() && !suspension->token.stop_requested() ? 1 : 0;
        canceled += suspension->held_waits.load();
    }
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(wrong, 0);
    RecordProperty("held", canceled);
}

// The token's state takes over from the word while a request is under way: neither may lose the stop.
TEST(StopLinkRace, ARequestMeetsTheFirstAskForTheToken) {
    const unsigned rounds = test::scaled(6'000, 2'000);
    std::unique_ptr<StopLink> link;
    std::atomic<int> wrong{0};
    std::barrier line(2);
    std::thread canceller([&] {
        for (unsigned round = 0; round < rounds; ++round) {
            line.arrive_and_wait();
            wrong += link->request() != nullptr ? 1 : 0;
            line.arrive_and_wait();
        }
    });
    for (unsigned round = 0; round < rounds; ++round) {
        link = std::make_unique<StopLink>();
        line.arrive_and_wait();
        auto* state = link->shared_state();
        line.arrive_and_wait();
        wrong += !link->stop_requested() ? 1 : 0;
        wrong += state != nullptr && !state->source.stop_requested() ? 1 : 0;
    }
    canceller.join();
    EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace spargio::detail
