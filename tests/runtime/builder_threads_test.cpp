// SPDX-License-Identifier: MIT
// The threads that a build starts, and what a failed build leaves: nothing.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/process_gauges.hpp"

namespace spargio::test {
namespace {

class BuilderThreads : public BackendTest {
protected:
    void SetUp() override {
        BackendTest::SetUp();
        // What the first runtime of a process allocates for good is not a leak.
        if (!IsSkipped() && !HasFatalFailure()) {
            runtime(2).block_on([] {});
            ASSERT_TRUE(threads_fall_to(threads_of_a_test)) << "somebody else's threads";
        }
    }
};
SPARGIO_ON_BOTH_BACKENDS(BuilderThreads);

std::vector<unsigned> usable_cpu_numbers() {
    cpu_set_t mask;
    std::vector<unsigned> cpus;
    if (sched_getaffinity(0, sizeof mask, &mask) == 0) {
        for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &mask)) {
                cpus.push_back(cpu);
            }
        }
    }
    return cpus;
}

TEST_P(BuilderThreads, OneThreadPerShardNamedWithItsId) {
    auto three = runtime(3);
    std::set<std::thread::id> threads;
    for (ShardId shard = 0; shard < 3; ++shard) {
        const auto name = three.handle().spawn_pinned(shard, thread_name).get();
        EXPECT_EQ(name, "spargio-shard-" + std::to_string(shard));
        threads.insert(three.handle().spawn_pinned(shard, std::this_thread::get_id).get());
    }
    EXPECT_EQ(threads.size(), 3U);
    EXPECT_EQ(threads.count(std::this_thread::get_id()), 0U);
}

TEST_P(BuilderThreads, ThePrefixCanBeChosen) {
    auto two = builder(2).thread_prefix("db").build();
    EXPECT_EQ(two.handle().spawn_pinned(0, thread_name).get(), "db-0");
    EXPECT_EQ(two.handle().spawn_pinned(1, thread_name).get(), "db-1");
}

TEST_P(BuilderThreads, ALongPrefixIsCutTheIdIsNot) {
    auto many = builder(12).thread_prefix("a-very-long-thread-name-prefix").build();
    const auto name_of = [&](ShardId shard) { return many.handle().spawn_pinned(shard, thread_name).get(); };
    EXPECT_EQ(name_of(3), "a-very-long-t-3");
    EXPECT_EQ(name_of(11), "a-very-long--11");
}

TEST_P(BuilderThreads, AffinityIsSetInTurn) {
    const auto cpus = usable_cpu_numbers();
    ASSERT_FALSE(cpus.empty());
    const std::vector<unsigned> chosen = {cpus.front(), cpus.back()};
    auto five = builder(5).thread_affinity(chosen).build();
    for (ShardId shard = 0; shard < 5; ++shard) {
        const auto allowed = five.handle().spawn_pinned(shard, usable_cpu_numbers).get();
        EXPECT_EQ(allowed, std::vector<unsigned>{chosen[shard % 2U]});
    }
    EXPECT_EQ(usable_cpu_numbers(), cpus) << "the builder's thread keeps its own";
}

TEST_P(BuilderThreads, WithoutAffinityAShardMayUseWhatItsBuilderMay) {
    auto one = runtime(1);
    EXPECT_EQ(one.handle().spawn_pinned(0, usable_cpu_numbers).get(), usable_cpu_numbers());
}

TEST_P(BuilderThreads, ShardsBlockAllSignals) {
    auto two = runtime(2);
    const auto open_signals = [] {
        sigset_t blocked;
        pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
        std::vector<int> open;
        for (int signal = 1; signal <= SIGRTMAX; ++signal) {
            // The C library keeps 32 and 33 to itself; the kernel two others.
            const bool reserved = (signal > 31 && signal < SIGRTMIN) || signal == SIGKILL || signal == SIGSTOP;
            if (!reserved && sigismember(&blocked, signal) == 0) {
                open.push_back(signal);
            }
        }
        return open;
    };
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    for (ShardId shard = 0; shard < 2; ++shard) {
        EXPECT_TRUE(two.handle().spawn_pinned(shard, open_signals).get().empty());
    }
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
        EXPECT_EQ(sigismember(&before, signal), sigismember(&after, signal)) << "signal " << signal;
    }
    EXPECT_TRUE(two.handle().spawn_blocking(open_signals).get().empty()) << "a thread of the blocking pool";
}

TEST_P(BuilderThreads, ABuildThatFailsLeavesNoThreadAndNoDescriptor) {
    const auto descriptors = open_descriptors();
    const auto cpus = usable_cpu_numbers();
    ASSERT_FALSE(cpus.empty());
    for (int round = 0; round < 10; ++round) {
        // Some shards have started, one cannot.
        EXPECT_FALSE(builder(4).thread_affinity({cpus[0], cpus[0], cpus[0], 4000}).try_build());
        EXPECT_FALSE(builder(4).thread_affinity({4000, cpus[0], cpus[0], cpus[0]}).try_build());
        EXPECT_FALSE(builder(0).try_build());
        EXPECT_THROW(static_cast<void>(builder(2).thread_affinity({4000}).build()), std::system_error);
        if (GetParam() == BackendKind::IoUring) {
            EXPECT_FALSE(builder(4).io_uring_sqpoll_cpu(9999).try_build());
        }
        EXPECT_EQ(open_descriptors(), descriptors);
    }
    EXPECT_TRUE(threads_fall_to(threads_of_a_test));
    EXPECT_EQ(runtime(2).block_on([] { return 7; }), 7) << "the next build is not affected";
}

TEST_P(BuilderThreads, ARuntimeThatEndsLeavesNoThreadAndNoDescriptor) {
    const auto descriptors = open_descriptors();
    for (int round = 0; round < 10; ++round) {
        {
            auto four = runtime(4);
            four.handle().spawn_stealable([] {}).get();
            four.handle().spawn_blocking([] {}).get();
            EXPECT_GE(thread_count(), 6U);
        }
        EXPECT_EQ(open_descriptors(), descriptors);
        EXPECT_TRUE(threads_fall_to(threads_of_a_test));
    }
}

TEST_P(BuilderThreads, TheHookOfAFailedBuildIsReleased) {
    const auto resource = std::make_shared<int>(1);
    {
        auto failing = builder(2).thread_affinity({4000}).on_unhandled_exception(
            [resource](const std::exception_ptr&) { static_cast<void>(resource); });
        EXPECT_FALSE(failing.try_build());
        EXPECT_FALSE(failing.try_build());
    }
    EXPECT_EQ(resource.use_count(), 1);
}

TEST_P(BuilderThreads, SeveralRuntimesLiveSideBySide) {
    auto first = builder(2).thread_prefix("first").build();
    auto second = builder(1).thread_prefix("second").build();
    auto queue = RuntimeBuilder().shards(2).backend(BackendKind::Queue).thread_prefix("queue").build();
    auto any = RuntimeBuilder().shards(1).thread_prefix("any").build();
    for (int round = 0; round < 20; ++round) {
        EXPECT_EQ(first.handle().spawn_pinned(1, thread_name).get(), "first-1");
        EXPECT_EQ(second.handle().spawn_pinned(0, thread_name).get(), "second-0");
        EXPECT_EQ(queue.handle().spawn_pinned(1, thread_name).get(), "queue-1");
        EXPECT_EQ(any.handle().spawn_pinned(0, thread_name).get(), "any-0");
    }
    first.shutdown();
    EXPECT_EQ(first.handle().spawn_pinned(0, [] {}).spawn_error(), RuntimeError::Closed);
    EXPECT_EQ(second.block_on(thread_name), "second-0");
    EXPECT_EQ(queue.handle().spawn_pinned(0, thread_name).get(), "queue-0");
}

TEST_P(BuilderThreads, RuntimesAreBuiltOnAnyThreadAtOnce) {
    std::vector<std::thread> builders;
    for (int i = 0; i < 6; ++i) {
        builders.emplace_back([] {
            for (int round = 0; round < 10; ++round) {
                auto mine = runtime(2);
                ASSERT_EQ(mine.block_on([] { return 7; }), 7);
            }
        });
    }
    for (auto& thread : builders) {
        thread.join();
    }
}

TEST_P(BuilderThreads, ARuntimeIsBuiltInsideATaskOfAnother) {
    auto outer = runtime(1);
    auto task = outer.handle().spawn_pinned(0, [] {
        auto inner = runtime(2);
        return inner.block_on(thread_name) + "+" +
               inner.handle().spawn_pinned(1, [] { return std::string("7"); }).get();
    });
    EXPECT_EQ(task.get(), "spargio-shard-0+7");
}

}  // namespace
}  // namespace spargio::test
