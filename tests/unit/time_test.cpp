// SPDX-License-Identifier: MIT
// Tests of sleeps at both ends of what a duration can say, and of their order.
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

namespace spargio {
namespace {

using std::chrono::duration;
using std::chrono::milliseconds;
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
    const Runtime runtime = test::small_runtime();
    const auto begin = steady_clock::now();
    EXPECT_EQ(runtime.handle().spawn_pinned(0, nap(milliseconds(10))).get(), std::error_code());
    EXPECT_GE(steady_clock::now() - begin, milliseconds(10));
    const auto due = steady_clock::now() + milliseconds(5);
    EXPECT_EQ(runtime.handle().spawn_pinned(0, nap_until(due)).get(), std::error_code());
    EXPECT_GE(steady_clock::now(), due);
    EXPECT_EQ(runtime.handle().stats_snapshot().timers_fired, 2U);
}

TEST(Sleep, ForEverIsUntilAStop) {
    const Runtime runtime = test::small_runtime();
    const auto handle = runtime.handle();
    std::vector<JoinHandle<std::error_code>> sleepers;
    sleepers.push_back(handle.spawn_pinned(0, nap(std::chrono::hours::max())));
    sleepers.push_back(handle.spawn_pinned(0, nap(std::chrono::nanoseconds::max())));
    sleepers.push_back(handle.spawn_pinned(0, nap(std::chrono::years::max())));
    sleepers.push_back(handle.spawn_pinned(0, nap(duration<double>(std::numeric_limits<double>::infinity()))));
    sleepers.push_back(handle.spawn_pinned(0, nap(duration<long double>::max())));
    sleepers.push_back(handle.spawn_pinned(0, nap_until(steady_clock::time_point::max())));
    // All of them are asleep once a shorter sleep, begun later, is over.
    EXPECT_EQ(handle.spawn_pinned(0, nap(milliseconds(1))).get(), std::error_code());
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
    const Runtime runtime = test::small_runtime();
    std::string log;
    auto all = [&log]() -> Task<> {
        const auto start = steady_clock::now() + milliseconds(20);
        std::vector<JoinHandle<void>> tasks;
        for (const char name : std::string("cadb")) {
            const auto due = start + milliseconds(name - 'a');
            tasks.push_back(ShardCtx::current()->spawn_local(note_after(log, name, due)));
        }
        for (auto& task : tasks) {
            co_await std::move(task);
        }
    };
    runtime.handle().spawn_pinned(0, std::move(all)).get();
    EXPECT_EQ(log, "abcd");
}

}  // namespace
}  // namespace spargio
