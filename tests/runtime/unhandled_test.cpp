// SPDX-License-Identifier: MIT
// Exceptions of tasks that nobody joins: the hook, its thread, its default; and tasks that throw hurt nobody else.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stress.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

/// What a hook was called with.
struct Report {
    std::string what;
    ShardId shard;
    std::thread::id thread;
};

class Unhandled : public BackendTest {
protected:
    RuntimeBuilder hooked(std::size_t shards) {
        return builder(shards).on_unhandled_exception([this](const std::exception_ptr& error) {
            Report report{"", shard_here(), std::this_thread::get_id()};
            try {
                std::rethrow_exception(error);
            } catch (const std::exception& known) {
                report.what = known.what();
            } catch (...) {
                report.what = "unknown";
            }
            {
                const std::lock_guard lock(mutex_);
                reports_.push_back(std::move(report));
            }
            count_.fetch_add(1);
            count_.notify_all();
        });
    }

    void wait_for_reports(int wanted) const {
        for (int seen = count_.load(); seen < wanted; seen = count_.load()) {
            count_.wait(seen);
        }
    }
    [[nodiscard]] int report_count() const { return count_.load(); }
    [[nodiscard]] std::vector<Report> reports() const {
        const std::lock_guard lock(mutex_);
        return reports_;
    }

private:
    mutable std::mutex mutex_;
    std::vector<Report> reports_;
    std::atomic<int> count_{0};
};
SPARGIO_ON_BOTH_BACKENDS(Unhandled);

Task<int> throw_after(Event& go, const char* what) {
    co_await go.async_wait();
    throw std::runtime_error(what);
}

TEST_P(Unhandled, ADetachedTaskReportsOnItsShard) {
    auto two_shards = hooked(2).build();
    Event go;
    const auto thread = two_shards.handle().spawn_pinned(1, [] { return std::this_thread::get_id(); }).get();
    two_shards.handle().spawn_pinned(1, throw_after(go, "detached")).detach();
    EXPECT_EQ(report_count(), 0);
    go.set();
    wait_for_reports(1);
    finish_step(two_shards.handle(), 1);
    const auto all = reports();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].what, "detached");
    EXPECT_EQ(all[0].shard, 1);
    EXPECT_EQ(all[0].thread, thread);
}

TEST_P(Unhandled, AHandleDroppedBeforeTheEndReportsOnTheTasksShard) {
    auto two_shards = hooked(2).build();
    Event go;
    { const auto dropped = two_shards.handle().spawn_pinned(1, throw_after(go, "dropped")); }
    go.set();
    wait_for_reports(1);
    EXPECT_EQ(reports()[0].shard, 1);
}

TEST_P(Unhandled, DetachingAFinishedTaskReportsOnTheDetachingThread) {
    auto two_shards = hooked(2).build();
    Event go;
    go.set();
    auto child = two_shards.handle().spawn_pinned(1, throw_after(go, "finished"));
    ASSERT_TRUE(child.wait_for(std::chrono::seconds(60)));
    EXPECT_EQ(report_count(), 0) << "it can still be joined";
    child.detach();
    ASSERT_EQ(report_count(), 1);
    EXPECT_EQ(reports()[0].thread, std::this_thread::get_id());
    EXPECT_EQ(reports()[0].what, "finished");
}

TEST_P(Unhandled, DestroyingTheHandleOfAFinishedTaskReportsOnThatThread) {
    auto two_shards = hooked(2).build();
    Event go;
    go.set();
    auto child = two_shards.handle().spawn_pinned(1, throw_after(go, "finished"));
    ASSERT_TRUE(child.wait_for(std::chrono::seconds(60)));
    auto dropper = two_shards.handle().spawn_pinned(
        0, [mine = std::move(child)]() mutable { const auto dropped = std::move(mine); });
    dropper.get();
    ASSERT_EQ(report_count(), 1);
    EXPECT_EQ(reports()[0].shard, 0);
}

TEST_P(Unhandled, WhatIsJoinedIsNotReported) {
    {
        auto one = hooked(1).build();
        const auto handle = one.handle();
        const auto thrower = []() -> Task<int> {
            co_await yield();
            throw std::runtime_error("joined");
        };
        EXPECT_THROW(static_cast<void>(handle.spawn_pinned(0, thrower).get()), std::runtime_error);
        EXPECT_THROW(static_cast<void>(one.block_on(thrower)), std::runtime_error);
        one.block_on([&]() -> Task<> {
            auto awaited = handle.spawn_pinned(0, thrower);
            auto joined = handle.spawn_pinned(0, thrower);
            int caught = 0;
            try {
                static_cast<void>(co_await std::move(awaited));
            } catch (const std::runtime_error&) {
                ++caught;
            }
            try {
                static_cast<void>(co_await joined.join());
            } catch (const std::runtime_error&) {
                ++caught;
            }
            try {
                static_cast<void>(co_await thrower());
            } catch (const std::runtime_error&) {
                ++caught;
            }
            EXPECT_EQ(caught, 3);
        });
    }
    EXPECT_EQ(report_count(), 0);
}

TEST_P(Unhandled, ARefusedOrCanceledTaskReportsNothing) {
    Event never;
    {
        auto one = hooked(1).build();
        one.handle().spawn_pinned(5, throw_after(never, "refused")).detach();
        one.handle().spawn_pinned(0, throw_after(never, "canceled")).detach();
        auto kept = one.handle().spawn_pinned(0, throw_after(never, "kept"));
        finish_step(one.handle(), 0);
        one.shutdown();
    }
    EXPECT_EQ(report_count(), 0);
}

TEST_P(Unhandled, AFinishedTaskWhoseHandleAShutdownDestroysIsNotReported) {
    Event never;
    Event joined;
    {
        auto one = hooked(1).build();
        one.handle()
            .spawn_pinned(0,
                          [&]() -> Task<> {
                              Event now;
                              now.set();
                              auto child =
                                  ShardCtx::current()->spawn_local(throw_after(now, "its handle is in a frame"));
                              while (!child.done()) {
                                  co_await yield();
                              }
                              joined.set();
                              co_await never.async_wait();
                          })
            .detach();
        joined.wait();
    }
    EXPECT_EQ(report_count(), 0);
}

TEST_P(Unhandled, AHandleThatOutlivesTheRuntimeStillReports) {
    std::optional<JoinHandle<int>> child;
    {
        auto one = hooked(1).build();
        Event now;
        now.set();
        child.emplace(one.handle().spawn_pinned(0, throw_after(now, "kept")));
        ASSERT_TRUE(child->wait_for(std::chrono::seconds(60)));
    }
    EXPECT_EQ(report_count(), 0) << "it can still be joined";
    child.reset();
    ASSERT_EQ(report_count(), 1);
    EXPECT_EQ(reports()[0].thread, std::this_thread::get_id());
}

TEST_P(Unhandled, AHandleThatOutlivesTheRuntimeStillJoins) {
    std::optional<JoinHandle<int>> child;
    {
        auto one = hooked(1).build();
        Event now;
        now.set();
        child.emplace(one.handle().spawn_pinned(0, throw_after(now, "kept")));
        ASSERT_TRUE(child->wait_for(std::chrono::seconds(60)));
    }
    EXPECT_THROW(static_cast<void>(child->get()), std::runtime_error);
    EXPECT_EQ(report_count(), 0);
}

TEST_P(Unhandled, ABlockingJobReportsOnItsThread) {
    auto one = hooked(1).build();
    Event detached;  // Else the last chance to join may go away here, after the job's end.
    one.handle()
        .spawn_blocking([&]() -> int {
            detached.wait();
            throw std::runtime_error("blocking");
        })
        .detach();
    detached.set();
    wait_for_reports(1);
    const auto all = reports();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].what, "blocking");
    EXPECT_EQ(all[0].shard, external_sender);
    EXPECT_NE(all[0].thread, std::this_thread::get_id());
}

TEST_P(Unhandled, AnAwaitedTasksExceptionIsReportedOnceThroughItsParent) {
    auto one = hooked(1).build();
    Event go;
    one.handle()
        .spawn_pinned(0,
                      [&]() -> Task<> {
                          auto inner = throw_after(go, "through the parent");
                          static_cast<void>(co_await std::move(inner));
                      })
        .detach();
    go.set();
    wait_for_reports(1);
    finish_step(one.handle(), 0);
    ASSERT_EQ(report_count(), 1);
    EXPECT_EQ(reports()[0].what, "through the parent");
}

TEST_P(Unhandled, TheEndAndTheDetachRaceAndReportOnce) {
    Random random(stress_seed());
    const unsigned rounds = scaled(2000, 400);
    {
        auto one = hooked(1).build();
        for (unsigned round = 0; round < rounds; ++round) {
            auto child = one.handle().spawn_pinned(0, [] { throw std::runtime_error("race"); });
            spin_for(std::chrono::nanoseconds(random.below(10'000)));
            child.detach();
            wait_for_reports(static_cast<int>(round) + 1);
            ASSERT_EQ(report_count(), static_cast<int>(round) + 1);
        }
    }
    EXPECT_EQ(report_count(), static_cast<int>(rounds));
}

TEST_P(Unhandled, ManyThrowingTasksAndEveryShardLivesOn) {
    VirtualClock clock;
    auto four = hooked(4).build();
    const auto handle = four.handle();
    for (ShardId shard = 0; shard < 4; ++shard) {
        auto joined = handle.spawn_pinned(shard, [shard]() -> int { throw std::out_of_range(std::to_string(shard)); });
        handle
            .spawn_pinned(shard,
                          []() -> Task<> {
                              co_await yield();
                              throw 42;  // NOLINT(hicpp-exception-baseclass)
                          })
            .detach();
        try {
            static_cast<void>(joined.get());
            ADD_FAILURE() << "nothing was thrown";
        } catch (const std::out_of_range& error) {
            EXPECT_EQ(error.what(), std::to_string(shard));
        }
    }
    for (int i = 0; i < 100; ++i) {
        handle.spawn_stealable([] { throw std::runtime_error("stealable"); }).detach();
    }
    wait_for_reports(104);
    for (ShardId shard = 0; shard < 4; ++shard) {
        EXPECT_EQ(handle.spawn_pinned(shard, shard_here).get(), shard);
        const auto nap = []() -> Task<> { static_cast<void>(co_await sleep_for(std::chrono::milliseconds(1))); };
        auto sleeper = handle.spawn_pinned(shard, nap());
        clock.advance_until_done(handle, sleeper, std::chrono::milliseconds(1));
        sleeper.get();
    }
    EXPECT_EQ(report_count(), 104);
}

class UnhandledDeathTest : public Unhandled {};
SPARGIO_ON_BOTH_BACKENDS(UnhandledDeathTest);

// Its own terminate handler, so that stderr holds the library's line only.
void detached_with_the_default_hook(const RuntimeBuilder& builder, bool known) {
    std::set_terminate([] { std::abort(); });
    auto one = builder.build();
    Event never;
    one.handle()
        .spawn_pinned(0,
                      [known]() -> Task<> {
                          co_await yield();
                          if (known) {
                              throw std::runtime_error("something broke");
                          }
                          throw 42;  // NOLINT(hicpp-exception-baseclass)
                      })
        .detach();
    never.wait();
}

MATCHER_P(IsOneLineThatSays, text, "") {
    static_cast<void>(result_listener);
    return !arg.empty() && arg.find('\n') == arg.size() - 1 && arg.starts_with("spargio: ") &&
           arg.find(text) != std::string::npos;
}

TEST_P(UnhandledDeathTest, TheDefaultHookWritesOneLineAndTerminates) {
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_EXIT(detached_with_the_default_hook(builder(1), true), ::testing::KilledBySignal(SIGABRT),
                IsOneLineThatSays("something broke"));
    EXPECT_EXIT(detached_with_the_default_hook(builder(1), false), ::testing::KilledBySignal(SIGABRT),
                IsOneLineThatSays("exception"));
}

}  // namespace
}  // namespace spargio::test
