// SPDX-License-Identifier: MIT
// Tests of sleeps at both ends of what a duration can say, and of their order: on the virtual clock.
#include "spargio/time.hpp"

#include <chrono>
#include <concepts>
#include <limits>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "small_runtime.hpp"
#include "spargio/shard_ctx.hpp"
#include "support/virtual_clock.hpp"

namespace spargio {
namespace {

using std::chrono::duration;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

static_assert(std::same_as<decltype(sleep_for(milliseconds(1)).await_resume()), Result<void>>);
static_assert(std::same_as<decltype(sleep_until(steady_clock::now()).await_resume()), Result<void>>);

template <class Rep, class Period>
Task<std::error_code> nap(duration<Rep, Period> span) {
    const Result<void> slept = co_await sleep_for(span);
    co_return slept.error();
}

Task<std::error_code> nap_until(steady_clock::time_point due) {
    const Result<void> slept = co_await sleep_until(due);
    co_return slept.error();
}

TEST(Sleep, NothingAndLessIsOverAtOnce) {
    const Runtime runtime = test::small_runtime();
    const auto handle = runtime.handle();
    EXPECT_EQ(handle.spawn_pinned(0, nap(milliseconds(0))).get(), std::error_code());
    EXPECT_EQ(handle.spawn_pinned(0, nap(milliseconds(-5))).get(), std::error_code());
    EXPECT_EQ(handle.spawn_pinned(0, nap(std::chrono::hours::min())).get(), std::error_code());
    EXPECT_EQ(handle.spawn_pinned(0, nap(duration<double>(std::numeric_limits<double>::quiet_NaN()))).get(),
              std::error_code());
    EXPECT_EQ(handle.spawn_pinned(0, nap_until(steady_clock::time_point::min())).get(), std::error_code());
    EXPECT_EQ(handle.spawn_pinned(0, nap_until(steady_clock::now() - milliseconds(1))).get(), std::error_code());
    EXPECT_EQ(handle.stats_snapshot().timers_fired, 0U) << "none of these is a timer";
}

TEST(Sleep, LastsAsLongAsItSays) {
    test::VirtualClock clock;
    const Runtime runtime = test::small_runtime();
    const auto handle = runtime.handle();
    auto longer = handle.spawn_pinned(0, nap(milliseconds(10)));
    auto shorter = handle.spawn_pinned(0, nap_until(clock.now() + milliseconds(5)));
    test::finish_step(handle, 0);
    const nanoseconds a_bit(1);
    clock.advance(handle, milliseconds(5) - a_bit);
    EXPECT_FALSE(shorter.done());
    clock.advance(handle, a_bit);
    EXPECT_EQ(shorter.get(), std::error_code());
    clock.advance(handle, milliseconds(5) - a_bit);
    EXPECT_FALSE(longer.done());
    clock.advance(handle, a_bit);
    EXPECT_EQ(longer.get(), std::error_code());
    EXPECT_EQ(handle.stats_snapshot().timers_fired, 2U);
}

TEST(Sleep, ForEverIsUntilAStop) {
    test::VirtualClock clock;
    const Runtime runtime = test::small_runtime();
    const auto handle = runtime.handle();
    std::vector<JoinHandle<std::error_code>> sleepers;
    sleepers.push_back(handle.spawn_pinned(0, nap(std::chrono::hours::max())));
    sleepers.push_back(handle.spawn_pinned(0, nap(std::chrono::nanoseconds::max())));
    sleepers.push_back(handle.spawn_pinned(0, nap(std::chrono::years::max())));
    sleepers.push_back(handle.spawn_pinned(0, nap(duration<double>(std::numeric_limits<double>::infinity()))));
    sleepers.push_back(handle.spawn_pinned(0, nap(duration<long double>::max())));
    sleepers.push_back(handle.spawn_pinned(0, nap_until(steady_clock::time_point::max())));
    test::finish_step(handle, 0);
    clock.advance(handle, std::chrono::years(100));
    for (auto& sleeper : sleepers) {
        EXPECT_FALSE(sleeper.done());
        sleeper.request_stop();
        EXPECT_EQ(sleeper.get(), std::errc::operation_canceled);
    }
}

TEST(Sleep, BegunAfterAStopIsNotBegun) {
    const Runtime runtime = test::small_runtime();
    auto stop_a_child = []() -> Task<std::error_code> {
        auto child = ShardCtx::current()->spawn_local(nap(std::chrono::hours(1)));
        child.request_stop();
        co_return co_await std::move(child);
    };
    EXPECT_EQ(runtime.handle().spawn_pinned(0, std::move(stop_a_child)).get(), std::errc::operation_canceled);
}

Task<> note_after(std::string& log, char name, steady_clock::time_point due) {
    static_cast<void>(co_await sleep_until(due));
    log += name;
}

TEST(Sleep, DeadlinesComeInTheirOrder) {
    test::VirtualClock clock;
    const Runtime runtime = test::small_runtime();
    const auto handle = runtime.handle();
    std::string log;
    std::vector<JoinHandle<void>> tasks;
    for (const char name : std::string("cadb")) {
        tasks.push_back(handle.spawn_pinned(0, note_after(log, name, clock.now() + milliseconds(name - 'a' + 1))));
    }
    test::finish_step(handle, 0);
    EXPECT_EQ(log, "");
    clock.advance(handle, milliseconds(10));  // All at once.
    for (auto& task : tasks) {
        task.get();
    }
    EXPECT_EQ(log, "abcd");
}

}  // namespace
}  // namespace spargio
