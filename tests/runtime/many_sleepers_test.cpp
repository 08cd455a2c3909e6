// SPDX-License-Identifier: MIT
// Very many sleepers at once. A million of one shard: in order, stopped, and what they take of memory. A hundred
// thousand of two: awake, stopped, destroyed.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <utility>
#include <vector>

#include <malloc.h>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

#ifdef __OPTIMIZE__
constexpr unsigned many = sanitized ? 20'000 : 1'000'000;
#else
constexpr unsigned many = 50'000;
#endif

/// Begins as many sleeps as there are deadlines, and notes their ends. The shard's, while they run.
class Sleepers {
public:
    explicit Sleepers(std::uint64_t seed) : random_(seed) { handles_.reserve(many); }

    void begin(const RuntimeHandle& runtime) {
        runtime
            .spawn_pinned(0,
                          [this] {
                              for (unsigned i = 0; i < many; ++i) {
                                  handles_.push_back(ShardCtx::current()->spawn_local(sleep(random_.below(longest))));
                              }
                          })
            .get();
        finish_step(runtime, 0);  // They all sleep.
    }
    void stop(const RuntimeHandle& runtime) {
        runtime
            .spawn_pinned(0,
                          [this] {
                              for (auto& handle : handles_) {
                                  handle.request_stop();
                              }
                          })
            .get();
    }
    void wait() {
        for (auto& handle : handles_) {
            handle.get();
        }
        handles_.clear();
    }

    static constexpr std::uint32_t longest = 4'000'000'000;  // Of a quarter of a microsecond.

    bool in_order = true;
    unsigned over = 0;
    unsigned stopped = 0;

private:
    Task<> sleep(std::uint32_t span) {
        const auto slept = co_await sleep_for(std::chrono::nanoseconds(std::uint64_t{span} * 250 + 1));
        if (slept) {
            in_order = in_order && span >= last_;
            last_ = span;
            ++over;
        } else {
            stopped += slept.error() == std::errc::operation_canceled ? 1 : 0;
        }
    }

    Random random_;
    std::vector<JoinHandle<void>> handles_;
    std::uint32_t last_ = 0;
};

TEST(ManySleepers, AllEndInOrderOrAreStoppedAndTheirMemoryIsUsedAgain) {
    const Watchdog watchdog("a million sleepers");
    VirtualClock clock;
    const Runtime one = RuntimeBuilder().shards(1).backend(best_backend()).build();
    const auto handle = one.handle();
    Sleepers sleepers(stress_seed());
    finish_step(handle, 0);

    malloc_trim(0);  // What other tests of this process have used counts as used.
    const auto before = resident_bytes();
    sleepers.begin(handle);
    const auto asleep = resident_bytes();
    EXPECT_EQ(sleepers.over, 0U);
    EXPECT_EQ(handle.stats_snapshot().tasks_live, many);
    clock.advance(handle, std::chrono::hours(1));
    sleepers.wait();
    EXPECT_EQ(sleepers.over, many);
    EXPECT_TRUE(sleepers.in_order);
    EXPECT_EQ(handle.stats_snapshot().timers_fired, many);

    sleepers.begin(handle);
    const auto asleep_again = resident_bytes();
    sleepers.stop(handle);
    sleepers.wait();
    EXPECT_EQ(sleepers.stopped, many);
    EXPECT_EQ(handle.stats_snapshot().timers_fired, many);
    EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
    if (!sanitized) {
        // 208 with its handle, or 273 without optimisation.
        EXPECT_LT(asleep, before + many * std::size_t{300});
        EXPECT_LT(asleep_again, asleep + many * std::size_t{32}) << "the first ones' memory was not given back";
    }
}

class SleepersOfTwoShards : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(SleepersOfTwoShards);

TEST_P(SleepersOfTwoShards, AllWakeAndCostNoDescriptor) {
    const unsigned sleepers = scaled(100'000, 20'000);
    VirtualClock clock;
    auto two = runtime(2);
    const auto handle = two.handle();
    finish_step(handle, 0);  // What a shard does first is over.
    finish_step(handle, 1);
    const auto descriptors = open_descriptors();
    const auto threads = thread_count();
    std::atomic<unsigned> woken{0};
    Latch all(sleepers);
    const auto start = clock.now();
    for (unsigned i = 0; i < sleepers; ++i) {
        handle
            .spawn_round_robin([&, i]() -> Task<> {
                const auto slept = co_await sleep_until(start + std::chrono::microseconds(1 + (i * 7919U) % 300'000U));
                woken.fetch_add(slept.has_value() ? 1 : 0);
                all.arrive();
            })
            .detach();
    }
    EXPECT_TRUE(descriptors_fall_to(descriptors)) << open_descriptors() << " instead of " << descriptors;
    EXPECT_LE(thread_count(), threads);  // A joined one may be seen for a while.
    finish_step(handle, 0);
    finish_step(handle, 1);
    EXPECT_EQ(woken.load(), 0U);
    clock.advance(handle, std::chrono::milliseconds(300));
    all.wait();
    EXPECT_EQ(woken.load(), sleepers);
}

TEST_P(SleepersOfTwoShards, AreCanceled) {
    const unsigned count = scaled(100'000, 20'000);
    auto two = runtime(2);
    const auto handle = two.handle();
    std::vector<JoinHandle<std::error_code>> sleepers;
    sleepers.reserve(count);
    for (unsigned i = 0; i < count; ++i) {
        const auto span = std::chrono::hours(1 + (i * 7919U) % 1000U);
        sleepers.push_back(handle.spawn_round_robin([span]() -> Task<std::error_code> {
            const auto slept = co_await sleep_for(span);
            co_return slept.error();
        }));
    }
    // In an order that is not that of their times.
    Random random(stress_seed());
    for (unsigned i = count - 1; i > 0; --i) {
        std::swap(sleepers[i], sleepers[random.below(i + 1)]);
    }
    for (auto& sleeper : sleepers) {
        sleeper.request_stop();
    }
    unsigned canceled = 0;
    for (auto& sleeper : sleepers) {
        canceled += sleeper.get() == std::errc::operation_canceled ? 1 : 0;
    }
    EXPECT_EQ(canceled, count);
    EXPECT_EQ(handle.stats_snapshot().timers_fired, 0U);
}

TEST_P(SleepersOfTwoShards, AreDestroyedByAShutdown) {
    const unsigned count = scaled(100'000, 20'000);
    auto two = runtime(2);
    std::atomic<unsigned> ended{0};
    struct AtEnd {
        explicit AtEnd(std::atomic<unsigned>& c) : count(c) {}
        AtEnd(const AtEnd&) = delete;
        AtEnd& operator=(const AtEnd&) = delete;
        ~AtEnd() { count.fetch_add(1, std::memory_order_relaxed); }
        std::atomic<unsigned>& count;
    };
    for (unsigned i = 0; i < count; ++i) {
        two.handle()
            .spawn_round_robin([&ended]() -> Task<> {
                const AtEnd guard(ended);
                static_cast<void>(co_await sleep_for(std::chrono::hours(1)));
                ADD_FAILURE() << "a task was resumed by a shutdown";
            })
            .detach();
    }
    finish_step(two.handle(), 0);
    finish_step(two.handle(), 1);
    two.shutdown();
    EXPECT_EQ(ended.load(), count);
}

}  // namespace
}  // namespace spargio::test
