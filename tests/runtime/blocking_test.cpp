// SPDX-License-Identifier: MIT
// spawn_blocking: a bounded pool of threads outside the shards.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

class Blocking : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(Blocking);

TEST_P(Blocking, RunsOutsideTheShards) {
    auto two = runtime(2);
    const auto handle = two.handle();
    std::set<std::thread::id> shard_threads;
    for (ShardId shard = 0; shard < 2; ++shard) {
        shard_threads.insert(handle.spawn_pinned(shard, std::this_thread::get_id).get());
    }
    auto job = handle.spawn_blocking([] {
        EXPECT_EQ(ShardCtx::current(), nullptr);
        return std::this_thread::get_id();
    });
    const auto thread = job.get();
    EXPECT_EQ(shard_threads.count(thread), 0U);
    EXPECT_NE(thread, std::this_thread::get_id());
}

TEST_P(Blocking, GivesValuesAndExceptionsLikeATask) {
    auto two = runtime(2);
    const auto handle = two.handle();
    EXPECT_EQ(handle.spawn_blocking([] { return 7; }).get(), 7);
    handle.spawn_blocking([] {}).get();
    EXPECT_EQ(*handle.spawn_blocking([p = std::make_unique<int>(8)]() mutable { return std::move(p); }).get(), 8);
    EXPECT_THROW(handle.spawn_blocking([] { throw std::out_of_range("job"); }).get(), std::out_of_range);
    two.block_on([&]() -> Task<> {
        const auto here = std::this_thread::get_id();
        auto awaited = handle.spawn_blocking([] { return std::string("value"); });
        const auto word = co_await std::move(awaited);
        EXPECT_EQ(word, "value");
        EXPECT_EQ(std::this_thread::get_id(), here) << "a pinned joiner goes on on its shard";
        auto joined = handle.spawn_blocking([]() -> int { throw std::out_of_range("job"); });
        bool caught = false;
        try {
            static_cast<void>(co_await joined.join());
        } catch (const std::out_of_range&) {
            caught = true;
        }
        EXPECT_TRUE(caught);
    });
}

TEST_P(Blocking, TheShardGoesOnMeanwhile) {
    auto one = runtime(1);
    const auto handle = one.handle();
    Event release;
    auto task = handle.spawn_pinned(0, [&]() -> Task<int> {
        auto job = handle.spawn_blocking([&] {
            release.wait();
            return 7;
        });
        co_return co_await std::move(job);
    });
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(handle.spawn_pinned(0, [i] { return i; }).get(), i);
    }
    EXPECT_FALSE(task.done());
    release.set();
    EXPECT_EQ(task.get(), 7);
}

TEST_P(Blocking, TheCallableEndsOnItsThreadBeforeTheJoinerGoesOn) {
    auto one = runtime(1);
    for (int round = 0; round < 100; ++round) {
        EndLog log;
        auto job = one.handle().spawn_blocking([t = Tracker(log)] { return std::this_thread::get_id(); });
        const auto thread = job.get();
        ASSERT_EQ(log.size(), 1U);
        ASSERT_EQ(log.all()[0].thread, thread);
    }
}

TEST_P(Blocking, TenThousandJobsNeverExceedTheBound) {
    constexpr int kThreads = 4;
    constexpr std::size_t kJobs = 10'000;
    auto one = builder(1).blocking_threads(kThreads).blocking_queue_capacity(kJobs).build();
    const auto handle = one.handle();
    const auto threads_before = thread_count();
    std::atomic<int> running{0};
    std::atomic<int> most{0};
    std::atomic<std::size_t> ran{0};
    std::vector<JoinHandle<void>> jobs;
    std::size_t threads_seen = 0;
    for (std::size_t i = 0; i < kJobs; ++i) {
        jobs.push_back(handle.spawn_blocking([&] {
            const int now = running.fetch_add(1) + 1;
            int seen = most.load();
            while (seen < now && !most.compare_exchange_weak(seen, now)) {}
            ran.fetch_add(1);
            running.fetch_sub(1);
        }));
        ASSERT_FALSE(jobs.back().spawn_error());
        if (i % 500 == 0) {
            threads_seen = std::max(threads_seen, thread_count());
        }
    }
    for (auto& job : jobs) {
        job.get();
    }
    EXPECT_EQ(ran.load(), kJobs);
    EXPECT_LE(most.load(), kThreads);
    EXPECT_LE(threads_seen, threads_before + kThreads);
}

TEST_P(Blocking, AllThreadsOfTheBoundAreUsed) {
    constexpr std::size_t kThreads = 6;
    auto one = builder(1).blocking_threads(kThreads).build();
    for (int round = 0; round < 20; ++round) {
        // Each job waits for all the others: fewer threads would never end.
        Latch together(kThreads);
        std::vector<JoinHandle<void>> jobs;
        for (std::size_t i = 0; i < kThreads; ++i) {
            jobs.push_back(one.handle().spawn_blocking([&] { together.arrive_and_wait(); }));
        }
        for (auto& job : jobs) {
            job.get();
        }
    }
}

TEST_P(Blocking, ThreadsStartOnDemand) {
    const auto before = thread_count();
    auto one = builder(1).blocking_threads(50).build();
    EXPECT_LE(thread_count(), before + 1);
    one.handle().spawn_blocking([] {}).get();
    EXPECT_LE(thread_count(), before + 2) << "one job, one thread";
}

TEST_P(Blocking, AFullQueueIsOverloaded) {
    auto one = builder(1).blocking_threads(2).blocking_queue_capacity(3).build();
    const auto handle = one.handle();
    Latch running(2);
    Event release;
    std::atomic<int> ran{0};
    std::vector<JoinHandle<void>> accepted;
    for (int i = 0; i < 2; ++i) {
        accepted.push_back(handle.spawn_blocking([&] {
            running.arrive();
            release.wait();
            ran.fetch_add(1);
        }));
    }
    running.wait();
    for (int i = 0; i < 3; ++i) {
        accepted.push_back(handle.spawn_blocking([&] { ran.fetch_add(1); }));
        EXPECT_FALSE(accepted.back().spawn_error());
    }
    for (int i = 0; i < 5; ++i) {
        auto refused = handle.spawn_blocking([&] { ran.fetch_add(100); });
        EXPECT_EQ(refused.spawn_error(), RuntimeError::Overloaded);
        EXPECT_TRUE(refused.done());
    }
    one.block_on([&]() -> Task<> {
        auto refused = handle.spawn_blocking([&] { ran.fetch_add(100); });
        const auto joined = co_await refused.join();
        EXPECT_EQ(joined.error(), RuntimeError::Overloaded) << "a task is refused too";
    });
    release.set();
    for (auto& job : accepted) {
        job.get();
    }
    EXPECT_EQ(ran.load(), 5);
    handle.spawn_blocking([] {}).get();
}

// Who knows that the last job has ended knows that its thread is free.
TEST_P(Blocking, AThreadWhoseJobHasEndedIsFree) {
    auto one = builder(1).blocking_threads(1).blocking_queue_capacity(1).build();
    const auto handle = one.handle();
    for (unsigned round = 0; round < scaled(3'000, 500); ++round) {
        handle.spawn_blocking([] {}).get();
        Event release;
        auto running = handle.spawn_blocking([&] { release.wait(); });
        auto waiting = handle.spawn_blocking([] {});
        release.set();
        ASSERT_FALSE(running.spawn_error());
        ASSERT_FALSE(waiting.spawn_error()) << "round " << round;
        running.get();
        waiting.get();
    }
}

/// Waits for another job when it is destroyed.
class WaitsForAJob {
public:
    WaitsForAJob(RuntimeHandle handle, Event& ran) : handle_(std::move(handle)), ran_(&ran) {}
    WaitsForAJob(WaitsForAJob&& other) noexcept
        : handle_(std::move(other.handle_)), ran_(std::exchange(other.ran_, nullptr)) {}
    WaitsForAJob(const WaitsForAJob&) = delete;
    WaitsForAJob& operator=(const WaitsForAJob&) = delete;
    WaitsForAJob& operator=(WaitsForAJob&&) = delete;
    ~WaitsForAJob() {
        if (ran_ != nullptr) {
            handle_.spawn_blocking([this] { ran_->set(); }).get();
        }
    }

private:
    RuntimeHandle handle_;
    Event* ran_;
};

// What nobody joins is destroyed by the job's thread, which then is not free.
TEST_P(Blocking, TheEndOfAJobMayWaitForAnother) {
    const Watchdog watchdog("blocking jobs");
    auto one = builder(1).blocking_threads(2).build();
    const auto handle = one.handle();
    Event ran;
    Event detached;
    handle
        .spawn_blocking([&] {
            detached.wait();
            return WaitsForAJob(handle, ran);
        })
        .detach();
    detached.set();
    ran.wait();
}

TEST_P(Blocking, JobsForWhichAThreadIsOnItsWayDoNotWait) {
    for (int round = 0; round < 50; ++round) {
        auto one = builder(1).blocking_threads(2).blocking_queue_capacity(1).build();
        Event release;
        std::vector<JoinHandle<void>> jobs;
        for (int i = 0; i < 3; ++i) {  // Two threads, and one may wait.
            jobs.push_back(one.handle().spawn_blocking([&] { release.wait(); }));
            EXPECT_FALSE(jobs.back().spawn_error()) << i;
        }
        EXPECT_EQ(one.handle().spawn_blocking([] {}).spawn_error(), RuntimeError::Overloaded);
        release.set();
        for (auto& job : jobs) {
            job.get();
        }
    }
}

TEST_P(Blocking, WaitingJobsRunInTheOrderTheyCame) {
    auto one = builder(1).blocking_threads(1).build();
    Event release;
    std::vector<int> order;
    std::vector<JoinHandle<void>> jobs;
    jobs.push_back(one.handle().spawn_blocking([&] { release.wait(); }));
    for (int i = 0; i < 100; ++i) {
        jobs.push_back(one.handle().spawn_blocking([&order, i] { order.push_back(i); }));
    }
    release.set();
    for (auto& job : jobs) {
        job.get();
    }
    ASSERT_EQ(order.size(), 100U);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST_P(Blocking, ThreadsEndWithTheRuntime) {
    ASSERT_TRUE(threads_fall_to(threads_of_a_test));
    {
        Latch together(8);
        auto one = builder(1).blocking_threads(8).build();
        for (int i = 0; i < 8; ++i) {
            one.handle().spawn_blocking([&] { together.arrive_and_wait(); }).detach();
        }
        together.wait();
    }
    EXPECT_TRUE(threads_fall_to(threads_of_a_test));
}

TEST_P(Blocking, IdleThreadsEndAfterAWhile) {
    ASSERT_TRUE(threads_fall_to(threads_of_a_test));
    Latch together(4);
    auto one = builder(1).blocking_threads(4).build();
    for (int i = 0; i < 4; ++i) {
        one.handle().spawn_blocking([&] { together.arrive_and_wait(); }).detach();
    }
    together.wait();
    EXPECT_GE(thread_count(), 3U);
    EXPECT_TRUE(threads_fall_to(threads_of_a_test + 1)) << "only the shard is left";
    EXPECT_EQ(one.handle().spawn_blocking([] { return 7; }).get(), 7) << "and a new one starts";
}

/// A thread-local object of a job's, as a connection may be: its end needs a shard.
struct NeedsTheShardAtItsEnd {
    NeedsTheShardAtItsEnd(RuntimeHandle used, Event& ending, Event& served)
        : handle(std::move(used)), ends(ending), was_served(served) {}
    NeedsTheShardAtItsEnd(const NeedsTheShardAtItsEnd&) = delete;
    NeedsTheShardAtItsEnd& operator=(const NeedsTheShardAtItsEnd&) = delete;
    ~NeedsTheShardAtItsEnd() {
        ends.set();
        handle.spawn_pinned(0, [] {}).get();
        was_served.set();
    }
    RuntimeHandle handle;
    Event& ends;
    Event& was_served;
};

TEST_P(Blocking, ASpawnNeverWaitsForTheEndOfAThread) {
    Watchdog watchdog("ends of blocking threads");
    Event ends;
    Event served;
    auto one = builder(1).blocking_threads(2).build();
    const auto handle = one.handle();
    handle.spawn_blocking([&] { thread_local const NeedsTheShardAtItsEnd kept(handle, ends, served); }).get();
    one.block_on([&]() -> Task<> {
        ends.wait();  // The thread has left, and waits for this shard.
        auto job = handle.spawn_blocking([] { return 1; });
        co_await yield();
        const int given = co_await std::move(job);
        EXPECT_EQ(given, 1);
    });
    served.wait();  // By a runtime that has not begun to end.
}

TEST_P(Blocking, JobsMayUseTheRuntime) {
    auto two = runtime(2);
    const auto handle = two.handle();
    auto job = handle.spawn_blocking([&] {
        const int pinned = handle.spawn_pinned(1, [] { return 1; }).get();
        const int on_shard = two.block_on([]() -> Task<int> {
            co_await yield();
            co_return 2;
        });
        const int nested = handle.spawn_blocking([] { return 3; }).get();
        return pinned + on_shard + nested;
    });
    EXPECT_EQ(job.get(), 6);
}

TEST_P(Blocking, FromManyTasksAtOnce) {
    auto two = builder(2).blocking_threads(3).blocking_queue_capacity(10'000).build();
    const auto handle = two.handle();
    std::vector<JoinHandle<int>> tasks;
    for (int i = 0; i < 100; ++i) {
        tasks.push_back(handle.spawn_stealable([&, i]() -> Task<int> {
            int sum = 0;
            for (int k = 0; k < 10; ++k) {
                auto job = handle.spawn_blocking([i, k] { return i * k; });
                const int product = co_await std::move(job);
                sum += product;
            }
            co_return sum;
        }));
    }
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(tasks[static_cast<std::size_t>(i)].get(), i * 45);
    }
}

}  // namespace
}  // namespace spargio::test
