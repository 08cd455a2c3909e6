// SPDX-License-Identifier: MIT
// A runtime with nothing to do uses no CPU, and is there at once when something comes.
#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/files.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto bound = milliseconds(sanitized ? 50 : 10);

/// The CPU time of the process in the quietest of three windows, for a second each: what else the machine does makes a
/// window dearer (a shard that is moved to another CPU in its wake), never cheaper. A shard that spins or wakes for
/// nothing does so in all of them.
[[nodiscard]] std::chrono::nanoseconds idle_cpu_time() {
    auto least = std::chrono::nanoseconds::max();
    for (int window = 0; window < 3 && least >= bound; ++window) {
        const auto before = cpu_time();
        std::this_thread::sleep_for(std::chrono::seconds(1));
        least = std::min<std::chrono::nanoseconds>(least, cpu_time() - before);
    }
    return least;
}

class IdleRuntime : public BackendTest {};
class SubmissionThreadTiming : public UringTest {};

TEST_P(IdleRuntime, UsesNoCpuAndAnswersWithinAMillisecond) {
    const auto runtime = this->runtime(4);
    for (ShardId shard = 0; shard < 4; ++shard) {
        finish_step(runtime.handle(), shard);
    }
    EXPECT_LT(idle_cpu_time(), bound);

    std::vector<microseconds> answers;
    for (int round = 0; round < 31; ++round) {
        // Long enough for every shard to be fast asleep, and for its CPU to be halted.
        std::this_thread::sleep_for(milliseconds(15));
        const auto shard = static_cast<ShardId>(round % 4);
        const auto asked = steady_clock::now();
        finish_step(runtime.handle(), shard);
        answers.push_back(std::chrono::duration_cast<microseconds>(steady_clock::now() - asked));
    }
    std::sort(answers.begin(), answers.end());
    EXPECT_LT(answers[answers.size() / 2], milliseconds(sanitized ? 5 : 1));
    EXPECT_EQ(runtime.handle().stats_snapshot().late_wakes, 0U);
}

TEST_P(IdleRuntime, UsesNoCpuWhileTasksWaitForMessages) {
    auto two = runtime(2);
    const auto handle = two.handle();
    const auto answer = []() -> Task<> {
        for (;;) {
            const auto event = co_await ShardCtx::current()->next_event();
            EXPECT_TRUE(ShardCtx::current()->send_raw_nowait(event.from, 1, event.val).has_value());
        }
    };
    handle.spawn_pinned(1, answer()).detach();
    const auto play = []() -> Task<> {
        for (std::uint32_t round = 0; round < 1000; ++round) {
            EXPECT_TRUE(ShardCtx::current()->send_raw_nowait(1, 1, round).has_value());
            const auto event = co_await ShardCtx::current()->next_event();
            EXPECT_EQ(event.val, round);
        }
    };
    handle.spawn_pinned(0, play()).get();
    EXPECT_LT(idle_cpu_time(), bound);
    handle.spawn_pinned(0, play()).get();
    EXPECT_EQ(handle.stats_snapshot().late_wakes, 0U);
}

TEST_P(IdleRuntime, UsesNoCpuWhileTasksWaitAtABoundary) {
    auto two = runtime(2);
    const auto handle = two.handle();
    auto [client, server] = boundary::channel<int, int>(4);
    auto [to_nobody, nobody] = boundary::channel<int, int>(4);
    // One waits for requests, one for an answer with a deadline, one for the answer of a ticket.
    auto serving = handle.spawn_pinned(0, [server = std::move(server)]() mutable -> Task<> {
        while (auto request = co_await server.recv()) {
            EXPECT_TRUE(request->respond(request->request() + 1).has_value());
        }
    });
    auto asking = handle.spawn_pinned(1, [to_nobody = to_nobody]() -> Task<std::error_code> {
        const auto answer = co_await to_nobody.call_with_timeout(1, std::chrono::hours(1));
        co_return answer.error();
    });
    auto holding = handle.spawn_pinned(1, [to_nobody = to_nobody]() -> Task<std::error_code> {
        auto ticket = to_nobody.try_call(2);
        const auto answer = co_await ticket.value();
        co_return answer.error();
    });
    EXPECT_EQ(client.call(1).get(), Result<int>(2));
    finish_step(handle, 1);
    const auto threads = thread_count();
    EXPECT_LT(idle_cpu_time(), bound);
    EXPECT_EQ(handle.stats_snapshot().timers_fired, 0U);

    std::vector<microseconds> answers;
    for (int round = 0; round < 31; ++round) {
        std::this_thread::sleep_for(milliseconds(15));
        const auto asked = steady_clock::now();
        EXPECT_EQ(client.call(round).get(), Result<int>(round + 1));
        answers.push_back(std::chrono::duration_cast<microseconds>(steady_clock::now() - asked));
    }
    std::sort(answers.begin(), answers.end());
    EXPECT_LT(answers[answers.size() / 2], milliseconds(sanitized ? 5 : 1));
    EXPECT_LE(thread_count(), threads);
    EXPECT_EQ(handle.stats_snapshot().late_wakes, 0U);

    { const auto gone = std::move(nobody); }
    EXPECT_EQ(asking.get(), BoundaryError::Closed);
    EXPECT_EQ(holding.get(), BoundaryError::Closed);
    { const auto gone = std::move(client); }
    serving.get();
}

TEST_P(IdleRuntime, ALoneTaskThatYieldsIsNoLostWake) {
    auto two = builder(2).idle_spin(std::chrono::microseconds(0)).build();
    const auto handle = two.handle();
    std::atomic<bool> stop{false};
    auto yielder = handle.spawn_stealable([&]() -> Task<> {
        while (!stop.load()) {
            co_await yield();
        }
    });
    // More than two safety time-outs of the shard that has nothing to do.
    EXPECT_FALSE(yielder.wait_for(std::chrono::milliseconds(1'300)));
    stop.store(true);
    yielder.get();
    EXPECT_EQ(handle.stats_snapshot().late_wakes, 0U);
}

TEST_P(IdleRuntime, WithASleepingTaskUsesNoCpu) {
    const auto runtime = this->runtime(4);
    std::vector<JoinHandle<void>> sleepers;
    for (ShardId shard = 0; shard < 4; ++shard) {
        sleepers.push_back(runtime.handle().spawn_pinned(shard, sleep_for_ever()));
        finish_step(runtime.handle(), shard);
    }
    EXPECT_LT(idle_cpu_time(), bound);
    const NoLateWakes all_woken(runtime.handle());
    for (auto& sleeper : sleepers) {
        sleeper.request_stop();
    }
    for (auto& sleeper : sleepers) {
        sleeper.get();
    }
}

// However close a deadline, the shard sleeps for it, and for long enough that it is worth it: no spin is paid for by
// what was known to come. (A deadline that has passed before the shard gets there needs no sleep.)
TEST_P(IdleRuntime, SleepsForAWhileOrNotAtAll) {
    auto one = runtime(1);
    one.block_on([]() -> Task<> {
        const auto handle = ShardCtx::current()->handle();
        int parked = 0;
        for (int sleeps = 0; parked < 100 && sleeps < 20'000; ++sleeps) {
            const auto parks = handle.stats_snapshot().parks;
            const auto begin = steady_clock::now();
            EXPECT_TRUE((co_await sleep_for(microseconds(sanitized ? 20 : 5))).has_value());
            const auto slept = steady_clock::now() - begin;
            if (handle.stats_snapshot().parks != parks) {
                ++parked;
                EXPECT_GE(slept, microseconds(50));
            }
        }
        EXPECT_EQ(parked, 100);
    });
}

// The kernel's threads, which count as the process's, look for work for as long as they were told to, then sleep until
// they are told that there is some.
TEST_F(SubmissionThreadTiming, UsesNoCpuAfterItsIdleTime) {
    const auto two = builder(2).io_uring_sqpoll(milliseconds(20)).build();
    const auto handle = two.handle();
    ASSERT_TRUE(handle.capabilities().sqpoll);
    const auto file = file_of("a");
    const auto read_on = [&](ShardId shard) {
        const auto read = [](NativeLane lane, int fd) -> Task<std::size_t> {
            co_return (co_await lane.read_at(fd, 0, 1)).value().size();
        };
        EXPECT_EQ(handle.spawn_pinned(shard, read(handle.native_lane(shard).value(), file.get())).get(), 1U);
    };
    for (int round = 0; round < 2; ++round) {
        read_on(0);
        read_on(1);
        EXPECT_LT(idle_cpu_time(), bound);
    }
    EXPECT_EQ(handle.stats_snapshot().late_wakes, 0U);
}

SPARGIO_ON_BOTH_BACKENDS(IdleRuntime);

}  // namespace
}  // namespace spargio::test
