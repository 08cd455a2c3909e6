// SPDX-License-Identifier: MIT
// exit() and quick_exit() while tasks run: in main, in a task, in a blocking job; the runtime a static or on main's
// stack.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/child_process.hpp"
#include "support/stress.hpp"
#include "support/workloads.hpp"

#if SPARGIO_ASAN
// What tasks own when exit() is called in the middle of them is not a leak.
extern "C" const char* __asan_default_options() {
    return "detect_leaks=0";
}
#elif SPARGIO_TSAN
// Nor is a thread that has ended and that nobody joins any more. And no second for other threads to race with the exit.
extern "C" const char* __tsan_default_options() {
    return "report_thread_leaks=0:atexit_sleep_ms=0";
}
#endif

namespace spargio::test {
namespace {

constexpr int status_of_child = 7;

void load(const RuntimeHandle& runtime) {
    for (ShardId shard = 0; shard < 2; ++shard) {
        auto spin = []() -> Task<> {
            for (;;) {
                co_await yield();
            }
        };
        runtime.spawn_pinned(shard, std::move(spin)).detach();
        runtime.spawn_pinned(shard, sleep_for_ever()).detach();
    }
    auto chatter = [runtime]() -> Task<> {
        for (;;) {
            const auto ran = co_await call_each_round(runtime, 1, 100);
            static_cast<void>(ran);
        }
    };
    runtime.spawn_pinned(0, std::move(chatter)).detach();
}

/// "<backend> <where the runtime is> <who exits> <how>"
[[noreturn]] void run_child(const std::string& words) {
    const auto named = [&words](const char* word) { return words.find(word) != std::string::npos; };
    RuntimeBuilder builder;
    builder.shards(2).backend(named("queue") ? BackendKind::Queue : best_backend());
    const auto leave = [quick = named("quick")] {
        if (quick) {
            std::quick_exit(status_of_child);
        }
        std::exit(status_of_child);
    };
    const auto act = [&](Runtime& runtime) {
        load(runtime.handle());
        if (named("task")) {
            runtime.handle().spawn_pinned(1, leave).get();
        } else if (named("stealable")) {
            runtime.handle().spawn_stealable(leave).get();
        } else if (named("job")) {
            runtime.handle().spawn_blocking(leave).get();
        } else {
            static_cast<void>(do_some_of_everything(runtime));
            leave();
        }
    };
    if (named("static")) {
        static Runtime runtime = builder.build();
        act(runtime);
    } else {
        Runtime runtime = builder.build();
        act(runtime);
    }
    std::fputs("nobody has left\n", stderr);
    std::abort();
}

TEST(ExitUnderLoad, EndsTheProcessFromAnywhere) {
    for (const char* backend : {"auto", "queue"}) {
        for (const char* place : {"static", "stack"}) {
            for (const char* who : {"main", "task", "stealable", "job"}) {
                for (const char* how : {"exit", "quick"}) {
                    const std::string words = std::string(backend) + ' ' + place + ' ' + who + ' ' + how;
                    for (unsigned round = 0; round < scaled(5, 2); ++round) {
                        EXPECT_EQ(run_self(words), "exit 7") << words;
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace spargio::test

int main(int argc, char** argv) {
    if (argc == 2 && argv[1][0] != '-') {
        spargio::test::run_child(argv[1]);
    }
    ::testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
