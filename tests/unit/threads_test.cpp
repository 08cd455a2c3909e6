// SPDX-License-Identifier: MIT
// Tests of the runtime's threads: no signals, a name that keeps its number, joined once.
#include "threads.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <pthread.h>
#include <signal.h>

#include <gtest/gtest.h>

namespace spargio::detail {
namespace {

sigset_t blocked_signals() {
    sigset_t set;
    sigemptyset(&set);
    pthread_sigmask(SIG_SETMASK, nullptr, &set);
    return set;
}

TEST(SignalsBlocked, HoldsForTheThreadsThatStartMeanwhile) {
    const sigset_t before = blocked_signals();
    {
        const SignalsBlocked guard;
        std::thread([] {
            const sigset_t set = blocked_signals();
            for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD, SIGPROF}) {
                EXPECT_EQ(sigismember(&set, signal), 1) << signal;
            }
        }).join();
    }
    const sigset_t after = blocked_signals();
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGALRM}) {
        EXPECT_EQ(sigismember(&after, signal), sigismember(&before, signal)) << signal;
    }
}

TEST(Thread, JoinWaitsForTheEnd) {
    int written = 0;
    Thread thread([&written]() noexcept { written = 1; });
    thread.join();
    EXPECT_EQ(written, 1);
}

TEST(Thread, JoinWaitsForAnEndThatIsFarAway) {
    std::atomic<bool> joining = false;
    int written = 0;
    Thread thread([&]() noexcept {
        joining.wait(false);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));  // Longer than any join spins.
        written = 1;
    });
    joining = true;
    joining.notify_one();
    thread.join();
    EXPECT_EQ(written, 1);
}

TEST(Thread, WhatItCallsIsDestroyedBeforeTheJoin) {
    const auto owned = std::make_shared<int>(0);
    Thread thread([copy = owned]() noexcept { ++*copy; });
    thread.join();
    EXPECT_EQ(*owned, 1);
    EXPECT_EQ(owned.use_count(), 1);
}

TEST(Thread, IsCurrentOnItselfOnly) {
    std::atomic<Thread*> self = nullptr;
    bool current = false;
    Thread thread([&]() noexcept {
        self.wait(nullptr);
        current = self.load()->is_current();
    });
    EXPECT_FALSE(thread.is_current());
    self = &thread;
    self.notify_one();
    thread.join();
    EXPECT_TRUE(current);
}

TEST(Thread, MayMoveAndBeDetached) {
    auto gone = std::make_shared<std::promise<void>>();
    auto waited_for = gone->get_future();
    Thread thread([gone]() noexcept { gone->set_value(); });
    Thread other(std::move(thread));
    other.detach();
    waited_for.wait();
}

std::string name_given(const std::string& prefix, std::uint64_t number) {
    std::string name;
    std::thread([&] {
        name_this_thread(prefix, "-", number);
        std::array<char, 64> buffer{};
        pthread_getname_np(pthread_self(), buffer.data(), buffer.size());
        name = buffer.data();
    }).join();
    return name;
}

TEST(NameThisThread, IsPrefixAndNumber) {
    EXPECT_EQ(name_given("spargio-shard", 0), "spargio-shard-0");
    EXPECT_EQ(name_given("io", 12), "io-12");
    EXPECT_EQ(name_given("", 3), "-3");
}

TEST(NameThisThread, ALongPrefixIsCutAndTheNumberIsNot) {
    EXPECT_EQ(name_given("spargio-shard", 10), "spargio-shar-10");
    EXPECT_EQ(name_given("a-prefix-of-many-characters", 65533), "a-prefix--65533");
    EXPECT_EQ(name_given("prefix", 12'345'678'901'234), "-12345678901234");
}

}  // namespace
}  // namespace spargio::detail
