// SPDX-License-Identifier: MIT
// fork() in the middle of load: the child leaves by exit(), with a runtime among its static objects; the parent notices
// nothing.
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/child_process.hpp"
#include "support/event.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"
#include "support/workloads.hpp"

#if SPARGIO_ASAN
// A child has only the stack of the thread that forked: what the others' stacks held looks lost.
extern "C" const char* __asan_default_options() {
    return "detect_leaks=0";
}
#elif SPARGIO_TSAN
// Without the second that it gives other threads to race with the exit; a child may have threads of its own.
extern "C" const char* __tsan_default_options() {
    return "atexit_sleep_ms=0:die_after_fork=0";
}
#endif

namespace spargio::test {
namespace {

class ForkUnderLoad : public BackendTest {};

/// The child says nothing when it is aborted.
pid_t quiet_fork() {
    const pid_t pid = fork();
    if (pid == 0) {
        std::fclose(stderr);
    }
    return pid;
}

TEST_P(ForkUnderLoad, TheChildExitsAndTheParentIsUnaffected) {
    // Destroyed by exit(), in each child too.
    static std::vector<Runtime> runtimes;
    runtimes.push_back(builder(2).idle_spin(std::chrono::microseconds(0)).build());
    const RuntimeHandle handle = runtimes.back().handle();
    for (ShardId shard = 0; shard < 2; ++shard) {
        finish_step(handle, shard);  // What a thread opens and closes as it starts is behind it.
    }
    const auto descriptors = open_descriptors();
    std::atomic<bool> enough{false};
    std::atomic<std::uint64_t> wrong{0};
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 2; ++i) {
        threads.emplace_back([&, i] {
            while (!enough) {
                const auto here = static_cast<ShardId>(i);
                const auto there = static_cast<ShardId>(1 - i);
                const auto ran = handle.spawn_pinned(here, call_each_round(handle, there, 50)).get();
                wrong += ran == 50 ? 0U : 1U;
                // Frames that are made here and freed there: threads hand each other memory all the time.
                for (int k = 0; k < 1000; ++k) {
                    handle.spawn_pinned(there, [] {}).detach();
                }
                finish_step(handle, there);
            }
        });
    }
    // This thread too has something to give back when a child exits.
    std::vector<JoinHandle<int>> many;
    for (int i = 0; i < 1000; ++i) {
        many.push_back(handle.spawn_stealable([] { return 1; }));
    }
    for (auto& one : many) {
        wrong += one.get() == 1 ? 0U : 1U;
    }
    const unsigned forks = scaled(200, 30);
    for (unsigned i = 0; i < forks; ++i) {
        std::fflush(nullptr);
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            std::exit(3);
        }
        const std::string end = end_of_child(child);
        if (end != "exit 3") {
            ADD_FAILURE() << "a child's end: " << end;
            break;
        }
    }
    enough = true;
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(wrong, 0U);
    EXPECT_EQ(do_some_of_everything(runtimes.back()), everything);
    EXPECT_EQ(handle.stats_snapshot().late_wakes, 0U);
    EXPECT_TRUE(descriptors_fall_to(descriptors)) << open_descriptors() << " instead of " << descriptors;
    runtimes.clear();
}

TEST_P(ForkUnderLoad, AChildMayShutItsCopyDownOrDropIt) {
    auto owner = std::make_unique<Runtime>(runtime(2));
    auto sleeper = owner->handle().spawn_pinned(0, sleep_for_ever());
    EXPECT_EQ(run_forked([&owner] {
                  owner->shutdown();
                  owner.reset();
                  return 4;
              }),
              "exit 4");
    EXPECT_EQ(do_some_of_everything(*owner), everything);
    EXPECT_FALSE(sleeper.done());
    owner->shutdown();
    EXPECT_TRUE(sleeper.done());
}

TEST_P(ForkUnderLoad, AChildThatNeedsAThreadOfItsParentIsAborted) {
    auto owner = builder(2).idle_spin(std::chrono::microseconds(0)).build();
    const auto handle = owner.handle();
    const auto sleeper = handle.spawn_pinned(1, sleep_for_ever());
    for (ShardId shard = 0; shard < 2; ++shard) {
        finish_step(handle, shard);
    }
    const char* const sentence = "uses its parent's runtime";
    EXPECT_DEATH(handle.spawn_pinned(0, [] {}).get(), sentence);
    EXPECT_DEATH(handle.spawn_blocking([] {}).detach(), sentence);
    EXPECT_DEATH(static_cast<void>(handle.remote(0)->send_raw(1, 1)), sentence);
    EXPECT_DEATH(owner.block_on([]() -> Task<> { co_await yield(); }), sentence);
    EXPECT_DEATH(static_cast<void>(sleeper.wait_for(std::chrono::hours(1))), sentence);
    EXPECT_EQ(do_some_of_everything(owner), everything);
}

/// It has one thread, the shard's; the rings are not mapped there.
TEST_P(ForkUnderLoad, AChildOfATaskEndsWithTheStep) {
    const auto owner = runtime(2);
    const auto handle = owner.handle();
    auto other = handle.spawn_pinned(0, sleep_for_ever());
    const pid_t child = handle.spawn_pinned(0, quiet_fork).get();
    ASSERT_GT(child, 0);
    EXPECT_EQ(end_of_child(child), "signal 6");
    const pid_t reader = handle
                             .spawn_pinned(0,
                                           [handle]() -> Task<pid_t> {
                                               const auto lane = handle.native_lane(0);
                                               const pid_t pid = quiet_fork();
                                               if (pid == 0 && lane) {
                                                   std::byte room[1];
                                                   static_cast<void>(co_await lane->read_at(0, 0, std::span(room)));
                                               }
                                               co_return pid;
                                           })
                             .get();
    ASSERT_GT(reader, 0);
    EXPECT_EQ(end_of_child(reader), "signal 6");
    EXPECT_FALSE(other.done());
    EXPECT_EQ(do_some_of_everything(owner), everything);
}

/// Its copy of the queue has the parent's jobs, which are not run there.
TEST_P(ForkUnderLoad, AChildOfABlockingJobEndsWithTheJob) {
    const auto owner = builder(1).blocking_threads(1).build();
    const auto handle = owner.handle();
    Event forks;
    auto child = handle.spawn_blocking([&forks] {
        forks.wait();
        return quiet_fork();
    });
    const pid_t parent = getpid();
    auto next = handle.spawn_blocking([parent] {
        if (getpid() != parent) {
            _exit(1);
        }
    });
    forks.set();
    EXPECT_EQ(end_of_child(child.get()), "signal 6");
    next.get();
}

TEST_P(ForkUnderLoad, AChildMayDropEndsOfChannels) {
    const auto owner = runtime(2);
    auto ends = boundary::channel<int, int>(4);
    auto client = std::make_unique<boundary::Client<int, int>>(std::move(ends.first));
    auto serving = owner.handle().spawn_pinned(0, [server = std::move(ends.second)]() mutable -> Task<int> {
        auto request = co_await server.recv();
        co_return request ? request->take() : -1;
    });
    finish_step(owner.handle(), 0);
    EXPECT_EQ(run_forked([&client] {
                  client.reset();
                  return 6;
              }),
              "exit 6");
    auto call = client->try_call(5);
    EXPECT_EQ(serving.get(), 5);
}

TEST_P(ForkUnderLoad, AChildMayBuildARuntimeOfItsOwn) {
    const auto owner = runtime(2);
    EXPECT_EQ(run_forked([] {
                  const auto own = runtime(2);
                  return do_some_of_everything(own) == everything ? 5 : 1;
              }),
              "exit 5");
    EXPECT_EQ(do_some_of_everything(owner), everything);
}

TEST_P(ForkUnderLoad, NoDescriptorOutlivesAnExec) {
    const auto owner = runtime(2);
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code error;
        const std::string target = std::filesystem::read_symlink(entry.path(), error).string();
        if (!error && target.find("anon_inode") != std::string::npos) {
            const int descriptor = std::stoi(entry.path().filename().string());
            EXPECT_NE(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, 0) << target;
        }
    }
}

SPARGIO_ON_BOTH_BACKENDS(ForkUnderLoad);

}  // namespace
}  // namespace spargio::test
