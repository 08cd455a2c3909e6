// SPDX-License-Identifier: MIT
// A million sleepers of one shard at once: in order, stopped, and what they take of memory.
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

}  // namespace
}  // namespace spargio::test
