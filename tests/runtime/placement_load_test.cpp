// SPDX-License-Identifier: MIT
// Pinned, sticky, round robin and local tasks never move, however much is stolen around them: checked at every step.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

/// A task that never moves, and what it waits for.
class Settled {
public:
    explicit Settled(RuntimeHandle runtime) : runtime_(std::move(runtime)) {}

    /// `steps` waits of random kinds. `home`: external_sender is wherever it begins. Gives where that was.
    Task<ShardId> live(ShardId home, std::uint64_t seed, int steps) {
        Random random(seed);
        if (home == external_sender) {
            home = shard_here();
        }
        check(home);
        for (int i = 0; i < steps; ++i) {
            co_await wait(random);
            check(home);
            if (random.one_in(8)) {
                auto local = ShardCtx::current()->spawn_local(inner(home, random.next()));
                co_await std::move(local);
                check(home);
            }
            co_await inner(home, random.next());
            check(home);
        }
        co_return home;
    }

    [[nodiscard]] std::uint64_t checks() const noexcept { return checks_; }
    [[nodiscard]] std::uint64_t moved() const noexcept { return moved_; }

private:
    void check(ShardId home) noexcept {
        ++checks_;
        moved_ += shard_here() != home ? 1 : 0;
    }
    Task<> inner(ShardId home, std::uint64_t seed) {
        Random random(seed);
        check(home);
        co_await wait(random);
        check(home);
    }
    Task<> wait(Random& random) {
        const auto other = static_cast<ShardId>(random.below(static_cast<std::uint32_t>(runtime_.shard_count())));
        const auto leaf = [](ShardId to) -> Task<> { static_cast<void>(co_await resume_on(to)); };
        switch (random.below(7)) {
        case 0:
            static_cast<void>(co_await sleep_for(std::chrono::microseconds(random.below(100))));
            break;
        case 1: {
            auto child = runtime_.spawn_stealable(leaf(other));
            co_await std::move(child);
            break;
        }
        case 2: {
            auto child = runtime_.spawn_pinned(other, leaf(other));
            co_await std::move(child);
            break;
        }
        case 3:
            co_await fork_join(leaf(other), leaf(other));  // They end, and so wake it, elsewhere.
            break;
        case 4:
            // Refused: it is not stealable, or is there already.
            static_cast<void>(co_await resume_on(other));
            break;
        case 5: {
            auto child = runtime_.spawn_stealable(
                []() -> Task<> { static_cast<void>(co_await sleep_for(std::chrono::hours(1))); });
            child.request_stop();
            static_cast<void>(co_await child.join());
            break;
        }
        default:
            co_await yield();
            break;
        }
    }

    const RuntimeHandle runtime_;
    std::atomic<std::uint64_t> checks_{0};
    std::atomic<std::uint64_t> moved_{0};
};

class PlacementUnderLoad : public BackendTest {
protected:
    Watchdog watchdog_{"tasks that never move"};
};
SPARGIO_ON_BOTH_BACKENDS(PlacementUnderLoad);

TEST_P(PlacementUnderLoad, OnlyStealableTasksMove) {
    constexpr ShardId kShards = 4;
    auto four = builder(kShards).stealable_queue_capacity(64).build();
    const auto handle = four.handle();
    const NoLateWakes all_woken(handle);
    Settled settled(handle);
    Random random(stress_seed());
    std::atomic<bool> stop{false};
    std::vector<JoinHandle<void>> load;
    for (int i = 0; i < 8; ++i) {
        load.push_back(handle.spawn_stealable([&]() -> Task<> {
            const auto leaf = []() -> Task<> { co_await yield(); };
            while (!stop) {
                // All to one shard, so that the others have something to steal.
                static_cast<void>(co_await resume_on(0));
                handle.spawn_stealable([] {}).detach();
                co_await fork_join(leaf(), leaf());
            }
        }));
    }
    const auto steps = static_cast<int>(scaled(100, 20));
    std::vector<JoinHandle<ShardId>> tasks;
    std::vector<ShardId> homes;  // external_sender: not known beforehand.
    for (std::uint64_t i = 0; i < 120; ++i) {
        const auto shard = static_cast<ShardId>(i % kShards);
        switch (i % 3) {
        case 0:
            tasks.push_back(handle.spawn_pinned(shard, settled.live(shard, random.next(), steps)));
            homes.push_back(shard);
            break;
        case 1:
            tasks.push_back(handle.spawn_round_robin(settled.live(external_sender, random.next(), steps)));
            homes.push_back(external_sender);
            break;
        default: {
            const auto home = handle.spawn_sticky(i, shard_here).get();
            tasks.push_back(handle.spawn_sticky(i, settled.live(home, random.next(), steps)));
            homes.push_back(home);
            break;
        }
        }
    }
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        const auto began = tasks[i].get();
        EXPECT_TRUE(homes[i] == external_sender || homes[i] == began);
    }
    watchdog_.progress("all have ended");
    stop = true;
    for (auto& task : load) {
        task.get();
    }
    EXPECT_EQ(settled.moved(), 0U) << "of " << settled.checks() << " steps";
    const auto stats = handle.stats_snapshot();
    std::printf("%llu stolen\n", static_cast<unsigned long long>(stats.stealable_stolen));
    EXPECT_GT(stats.stealable_stolen, 0U);
}

}  // namespace
}  // namespace spargio::test
