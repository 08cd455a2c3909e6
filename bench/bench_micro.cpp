// SPDX-License-Identifier: MIT
// What the structures under the runtime cost by themselves: where the nanoseconds of bench_spawn can come from.
#include <spargio/detail/frame_pool.hpp>
#include <spargio/detail/seams.hpp>
#include <spargio/detail/timer_queue.hpp>
#include <spargio/detail/work_item.hpp>
#include <spargio/result.hpp>

#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "inbox.hpp"
#include "mpsc_ring.hpp"
#include "park_state.hpp"
#include "spsc_ring.hpp"
#include "steal_queue.hpp"
#include "support/affinity.hpp"
#include "support/environment.hpp"
#include "support/timed_batches.hpp"

namespace {

using namespace spargio::detail;

void do_nothing(WorkItem*, Shard*) noexcept {}

/// A WorkItem with the value that proves that it came through.
struct Numbered : WorkItem {
    Numbered() noexcept : WorkItem(&do_nothing) {}
    std::uint64_t number = 0;
};

std::vector<Numbered> numbered_items(std::size_t count) {
    std::vector<Numbered> items(count);
    for (std::size_t i = 0; i < count; ++i) {
        items[i].number = i;
    }
    return items;
}

std::uint64_t drain(WorkList& list) {
    std::uint64_t sum = 0;
    while (auto* item = list.pop_front()) {
        sum += static_cast<Numbered*>(item)->number;
    }
    return sum;
}

void expect(benchmark::State& state, bool right) {
    if (!right) {
        state.SkipWithError("wrong result: the structure lost or made something up");
    }
}

// Frames: the sizes are those of a small task and of a large one.

void frame_pool(benchmark::State& state) {
    const auto bytes = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        void* block = pool_allocate(bytes);
        benchmark::DoNotOptimize(block);
        pool_free(block, bytes);
    }
}
BENCHMARK(frame_pool)->Name("allocate_free/frame_pool")->Arg(160)->Arg(1000);

void plain_malloc(benchmark::State& state) {
    const auto bytes = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        void* block = std::malloc(bytes);
        benchmark::DoNotOptimize(block);
        std::free(block);
    }
}
BENCHMARK(plain_malloc)->Name("allocate_free/malloc")->Arg(160)->Arg(1000);

/// More blocks at once than a thread keeps: through the shared store and back.
void frame_pool_many(benchmark::State& state) {
    constexpr std::size_t bytes = 160;
    std::vector<void*> blocks(static_cast<std::size_t>(state.range(0)));
    while (state.KeepRunningBatch(state.range(0))) {
        for (auto& block : blocks) {
            block = pool_allocate(bytes);
        }
        for (auto* block : blocks) {
            pool_free(block, bytes);
        }
    }
}
BENCHMARK(frame_pool_many)->Name("allocate_free_many/frame_pool")->Arg(1'000)->Arg(100'000);

void malloc_many(benchmark::State& state) {
    constexpr std::size_t bytes = 160;
    std::vector<void*> blocks(static_cast<std::size_t>(state.range(0)));
    while (state.KeepRunningBatch(state.range(0))) {
        for (auto& block : blocks) {
            block = std::malloc(bytes);
        }
        for (auto* block : blocks) {
            std::free(block);
        }
    }
}
BENCHMARK(malloc_many)->Name("allocate_free_many/malloc")->Arg(1'000)->Arg(100'000);

// Queues.

void work_list(benchmark::State& state) {
    auto items = numbered_items(64);
    WorkList list;
    while (state.KeepRunningBatch(64)) {
        for (auto& item : items) {
            list.push_back(&item);
        }
        if (drain(list) != bench::sum_below(64)) {
            return expect(state, false);
        }
    }
}
BENCHMARK(work_list)->Name("push_pop/work_list");

void inbox(benchmark::State& state) {
    const auto batch = static_cast<std::size_t>(state.range(0));
    auto items = numbered_items(batch);
    Inbox inbox;
    WorkList list;
    while (state.KeepRunningBatch(state.range(0))) {
        for (auto& item : items) {
            benchmark::DoNotOptimize(inbox.try_push(&item));
        }
        inbox.take_all(list);
        if (drain(list) != bench::sum_below(batch)) {
            return expect(state, false);
        }
    }
}
BENCHMARK(inbox)->Name("push_take/inbox")->Arg(1)->Arg(64);

/// One thread pushes what another takes as fast as it comes: the line that both write is what this costs.
void inbox_between_threads(benchmark::State& state) {
    constexpr std::size_t count = 1'000'000;
    const auto producer_cpu = bench::nth_cpu(0);
    const auto consumer_cpu = bench::nth_cpu(1);
    auto items = numbered_items(count);
    const bench::PinnedScope pinned(producer_cpu);
    bench::run_batches(state, count, bench::sum_below(count), [&] {
        Inbox inbox;
        std::atomic<bool> ready{false};
        std::uint64_t sum = 0;
        std::thread consumer([&] {
            const bench::PinnedScope apart(consumer_cpu);
            ready.store(true);
            WorkList list;
            for (std::size_t taken = 0; taken < count;) {
                if (inbox.empty()) {
                    cpu_relax();
                    continue;
                }
                taken += inbox.take_all(list);
                sum += drain(list);
            }
        });
        while (!ready.load()) {
            cpu_relax();
        }
        const bench::Stopwatch stopwatch;
        for (auto& item : items) {
            benchmark::DoNotOptimize(inbox.try_push(&item));
        }
        consumer.join();
        return bench::Timed{stopwatch.seconds(), sum};
    });
}
BENCHMARK(inbox_between_threads)->Name("push_take_two_threads/inbox")->UseManualTime();

/// As lanes are used: a batch is staged, published, noticed and taken.
void spsc_ring(benchmark::State& state) {
    const auto batch = static_cast<std::size_t>(state.range(0));
    SpscRing ring(64);
    std::vector<std::uint64_t> taken(batch);
    while (state.KeepRunningBatch(state.range(0))) {
        benchmark::DoNotOptimize(ring.room(batch));
        ring.stage(batch, [](std::size_t i) { return i; });
        ring.publish();
        benchmark::DoNotOptimize(ring.notice());
        const auto count = ring.take(batch, [&](std::size_t i, std::uint64_t item) { taken[i] = item; });
        if (count != batch || taken.back() != batch - 1) {
            return expect(state, false);
        }
    }
}
BENCHMARK(spsc_ring)->Name("stage_take/spsc_ring")->Arg(1)->Arg(64);

void mpsc_ring(benchmark::State& state) {
    const auto batch = static_cast<std::size_t>(state.range(0));
    MpscRing<std::uint64_t> ring(64);
    std::vector<std::uint64_t> taken(batch);
    while (state.KeepRunningBatch(state.range(0))) {
        const auto reserved = ring.reserve(batch);
        for (std::size_t i = 0; i < batch; ++i) {
            ring.fill(reserved->first + i, i);
        }
        benchmark::DoNotOptimize(ring.notice());
        if (ring.take(taken.data(), batch) != batch || taken.back() != batch - 1) {
            return expect(state, false);
        }
    }
}
BENCHMARK(mpsc_ring)->Name("reserve_take/mpsc_ring")->Arg(1)->Arg(64);

void steal_queue(benchmark::State& state) {
    auto items = numbered_items(64);
    StealQueue queue;
    while (state.KeepRunningBatch(64)) {
        for (auto& item : items) {
            benchmark::DoNotOptimize(queue.offer(&item, 1024));
        }
        std::uint64_t sum = 0;
        while (auto* item = queue.pop()) {
            sum += static_cast<Numbered*>(item)->number;
        }
        if (sum != bench::sum_below(64)) {
            return expect(state, false);
        }
    }
}
BENCHMARK(steal_queue)->Name("offer_pop/steal_queue");

void steal_half(benchmark::State& state) {
    auto items = numbered_items(64);
    StealQueue queue;
    while (state.KeepRunningBatch(64)) {
        for (auto& item : items) {
            benchmark::DoNotOptimize(queue.offer(&item, 1024));
        }
        std::uint64_t sum = 0;
        WorkList stolen;
        while (queue.steal(stolen, 32) != 0) {
            sum += drain(stolen);
        }
        if (sum != bench::sum_below(64)) {
            return expect(state, false);
        }
    }
}
BENCHMARK(steal_half)->Name("offer_steal/steal_queue");

// Timers: `range` deadlines within a second, in no order.

std::vector<TimerNode> timer_nodes(std::size_t count) {
    const auto now = clock::now();
    RandomSource random(1);
    std::vector<TimerNode> nodes;
    nodes.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        nodes.emplace_back(now + std::chrono::microseconds(random.below(1'000'000)));
    }
    return nodes;
}

/// The time goes on by a millisecond each, and for the next batch it is a second later.
void timer_expire(benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.range(0));
    auto now = clock::now();
    auto nodes = timer_nodes(count);
    TimerQueue timers;
    while (state.KeepRunningBatch(state.range(0))) {
        for (auto& node : nodes) {
            timers.insert(&node, now);
        }
        auto last = clock::time_point::min();
        std::size_t expired = 0;
        for (int millisecond = 0; millisecond < 1'001; ++millisecond) {
            now += std::chrono::milliseconds(1);
            while (auto* node = timers.pop_due(now)) {
                expired += node->due >= last ? 1 : 0;
                last = node->due;
                node->due += std::chrono::milliseconds(1'001);
            }
        }
        if (expired != count) {
            return expect(state, false);
        }
    }
}
BENCHMARK(timer_expire)->Name("insert_expire/timer_queue")->Arg(1'000)->Arg(1'000'000);

void timer_cancel(benchmark::State& state) {
    const auto now = clock::now();
    auto nodes = timer_nodes(static_cast<std::size_t>(state.range(0)));
    TimerQueue timers;
    while (state.KeepRunningBatch(state.range(0))) {
        for (auto& node : nodes) {
            timers.insert(&node, now);
        }
        for (auto& node : nodes) {
            timers.remove(&node);
        }
        if (!timers.empty()) {
            return expect(state, false);
        }
    }
}
BENCHMARK(timer_cancel)->Name("insert_cancel/timer_queue")->Arg(1'000)->Arg(1'000'000);

// The sleep handshake, without the sleep.

void park_unpark(benchmark::State& state) {
    ParkState park;
    for (auto _ : state) {
        park.prepare();
        if (!park.notify() || park.resume() != ParkState::Woken::Notified) {
            return expect(state, false);
        }
    }
}
BENCHMARK(park_unpark)->Name("prepare_notify_resume/park_state");

void notify_running(benchmark::State& state) {
    ParkState park;
    for (auto _ : state) {
        if (park.notify()) {
            return expect(state, false);
        }
    }
}
BENCHMARK(notify_running)->Name("notify_running/park_state");

// Results: returned through a function that the compiler cannot look into.

[[gnu::noinline]] spargio::Result<std::uint64_t> half_of(std::uint64_t value) {
    if (value % 2 != 0) {
        return std::make_error_code(std::errc::invalid_argument);
    }
    return value / 2;
}

[[gnu::noinline]] std::optional<std::uint64_t> optional_half_of(std::uint64_t value) {
    if (value % 2 != 0) {
        return std::nullopt;
    }
    return value / 2;
}

template <auto function>
void return_value(benchmark::State& state) {
    std::uint64_t value = 42;
    for (auto _ : state) {
        benchmark::DoNotOptimize(value);
        const auto half = function(value);
        if (!half || *half != 21) {
            return expect(state, false);
        }
    }
}
BENCHMARK(return_value<half_of>)->Name("return_value/result");
BENCHMARK(return_value<optional_half_of>)->Name("return_value/optional");

template <auto function>
void return_failure(benchmark::State& state) {
    std::uint64_t value = 41;
    for (auto _ : state) {
        benchmark::DoNotOptimize(value);
        const auto half = function(value);
        if (half) {
            return expect(state, false);
        }
    }
}
BENCHMARK(return_failure<half_of>)->Name("return_failure/result");
BENCHMARK(return_failure<optional_half_of>)->Name("return_failure/optional");

}  // namespace

int main(int argc, char** argv) {
    bench::describe_environment();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 1;
    }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
