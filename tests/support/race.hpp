// SPDX-License-Identifier: MIT
// Lets threads run against each other, round after round, starting within nanoseconds.
#pragma once

#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "spargio/detail/atomic.hpp"
#include "spargio/detail/seams.hpp"
#include "support/stress.hpp"

namespace spargio::test {

/// A barrier that spins: one that sleeps wakes its threads one after the other, and the race that a test is after is
/// over before the second one runs. After a while it offers the CPU, so it works with fewer CPUs than threads.
class StartLine {
public:
    explicit StartLine(unsigned parties) noexcept : parties_(parties) {}

    void arrive_and_wait() noexcept {
        const auto round = round_.load();
        if (arrived_.fetch_add(1) + 1 == parties_) {
            arrived_.store(0);
            round_.fetch_add(1);
            return;
        }
        for (unsigned spins = 0; round_.load() == round; ++spins) {
            if (spins < 1'000) {
                detail::cpu_relax();
            } else {
                std::this_thread::yield();
            }
        }
    }

private:
    const unsigned parties_;
    detail::atomic<unsigned> arrived_{0};
    detail::atomic<unsigned> round_{0};
};

/// A pause of up to `most` short steps: it shifts the racers against each other.
inline void jitter(detail::RandomSource& random, unsigned most) noexcept {
    for (auto steps = random.below(most + 1); steps != 0; --steps) {
        detail::cpu_relax();
    }
}

/// Burns time, and offers the CPU: where there are fewer CPUs than racers, the others run meanwhile.
inline void pause_for(std::chrono::nanoseconds span) {
    const auto end = std::chrono::steady_clock::now() + span;
    while (std::chrono::steady_clock::now() < end) {
        std::this_thread::yield();
    }
}

/// A second thread, which begins what it is given at the same moment as the first.
class Rival {
public:
    Rival() = default;
    Rival(const Rival&) = delete;
    Rival& operator=(const Rival&) = delete;
    ~Rival() {
        its_ = nullptr;
        line_.arrive_and_wait();
        thread_.join();
    }

    template <class Mine, class Its>
    void race(Mine&& mine, Its&& its) {
        its_ = std::ref(its);
        line_.arrive_and_wait();
        mine();
        line_.arrive_and_wait();
    }

private:
    StartLine line_{2};
    std::function<void()> its_;  // Empty: it is over. Written before a start, read after it.
    std::thread thread_{[this] {
        for (;;) {
            line_.arrive_and_wait();
            if (!its_) {
                return;
            }
            its_();
            line_.arrive_and_wait();
        }
    }};
};

using Racer = std::function<void(detail::RandomSource&)>;

/// In each round `before` prepares, then `mine` (on this thread) and `others` (each on its own) run at the same time,
/// then `after` looks at what came out. On a machine that is too busy it ends after a second and the least number of
/// rounds: these rounds are a search, not a proof.
template <class Before, class After>
void race(unsigned rounds, Before before, const Racer& mine, const std::vector<Racer>& others, After after) {
    const auto seed = stress_seed();
    StartLine line(static_cast<unsigned>(others.size()) + 1);
    bool over = false;  // Written before a start, read after it.
    std::vector<std::thread> threads;
    for (const Racer& other : others) {
        threads.emplace_back([&, random = detail::RandomSource(seed + 1 + threads.size())]() mutable {
            for (;;) {
                line.arrive_and_wait();
                if (over) {
                    return;
                }
                other(random);
                line.arrive_and_wait();
            }
        });
    }
    detail::RandomSource random(seed);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    constexpr unsigned least = 200;
    for (unsigned round = 0; round < rounds && (round < least || std::chrono::steady_clock::now() < end); ++round) {
        before();
        line.arrive_and_wait();
        mine(random);
        line.arrive_and_wait();
        after();
    }
    over = true;
    line.arrive_and_wait();
    for (auto& thread : threads) {
        thread.join();
    }
}

}  // namespace spargio::test
