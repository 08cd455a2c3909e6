// SPDX-License-Identifier: MIT
// The workloads. Not inline: Clang 14 cannot build a coroutine of weak linkage under its function sanitizer.
#include "support/workloads.hpp"

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

namespace spargio::test {

namespace {

Task<int> nap() {
    const Result<void> slept = co_await sleep_for(std::chrono::milliseconds(1));
    co_return slept ? 16 : 0;
}

Task<int> spawn_one_of_each(RuntimeHandle runtime) {
    const auto last = static_cast<ShardId>(runtime.shard_count() - 1);
    auto there = runtime.spawn_pinned(last, [] { return 1; });
    auto anywhere = runtime.spawn_stealable([] { return 2; });
    auto blocking = runtime.spawn_blocking([] { return 4; });
    auto local = ShardCtx::current()->spawn_local([] { return 8; });
    auto sleeping = runtime.spawn_round_robin(nap());
    co_await yield();
    int sum = co_await std::move(there);
    sum += co_await std::move(anywhere);
    sum += co_await std::move(blocking);
    sum += co_await std::move(local);
    sum += co_await std::move(sleeping);
    co_return sum;
}

void call_from_outside(const RuntimeHandle& runtime, unsigned rounds, std::uint64_t seed,
                       std::atomic<std::uint64_t>& ran) {
    Random random(seed);
    const auto shards = static_cast<std::uint32_t>(runtime.shard_count());
    for (unsigned round = 0; round < rounds; ++round) {
        auto handle = runtime.spawn_pinned(static_cast<ShardId>(random.below(shards)), [&ran] { ++ran; });
        if (random.one_in(8)) {
            handle.detach();
        } else {
            handle.get();
        }
        if (random.one_in(2)) {
            spin_for(std::chrono::microseconds(random.below(60)));
        }
    }
    // Those that were let go have run when one behind them has.
    for (std::uint32_t shard = 0; shard < shards; ++shard) {
        runtime.spawn_pinned(static_cast<ShardId>(shard), [] {}).get();
    }
}

}  // namespace

std::uint64_t spawn_from_outside(const RuntimeHandle& runtime, unsigned threads, unsigned rounds, Watchdog& watchdog) {
    std::atomic<std::uint64_t> ran{0};
    std::vector<std::thread> callers;
    const auto seed = stress_seed();
    for (unsigned i = 0; i < threads; ++i) {
        callers.emplace_back([&, i] { call_from_outside(runtime, rounds, seed + i, ran); });
    }
    for (auto& caller : callers) {
        caller.join();
        watchdog.progress("a thread has ended");
    }
    return ran;
}

Task<unsigned> call_each_round(RuntimeHandle runtime, ShardId target, unsigned rounds) {
    unsigned ran = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        auto child = runtime.spawn_pinned(target, [] { return 1U; });
        ran += co_await std::move(child);
    }
    co_return ran;
}

int do_some_of_everything(const Runtime& runtime) {
    return runtime.handle().spawn_pinned(0, spawn_one_of_each(runtime.handle())).get();
}

Task<> sleep_for_ever() {
    static_cast<void>(co_await sleep_for(std::chrono::hours(1'000'000)));
}

}  // namespace spargio::test
