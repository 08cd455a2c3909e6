// SPDX-License-Identifier: MIT
// A signal ten thousand times a second: handlers run on the program's own threads, never on a shard, and waits are not
// disturbed.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/time.h>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/stress.hpp"
#include "support/workloads.hpp"

namespace spargio::test {
namespace {

std::atomic<unsigned> handled{0};
std::atomic<unsigned> handled_on_a_shard{0};

void handle_alarm(int) {
    const int before = errno;
    ++handled;
    if (ShardCtx::current() != nullptr) {
        ++handled_on_a_shard;
    }
    errno = before;
}

/// SIGALRM in short intervals while it lives; without SA_RESTART, so that system calls are interrupted.
class AlarmStorm {
public:
    AlarmStorm() {
        struct sigaction action {};
        action.sa_handler = handle_alarm;
        sigaction(SIGALRM, &action, nullptr);
        set_interval(100);
    }
    AlarmStorm(const AlarmStorm&) = delete;
    AlarmStorm& operator=(const AlarmStorm&) = delete;
    ~AlarmStorm() { set_interval(0); }

private:
    static void set_interval(suseconds_t microseconds) {
        const itimerval interval{{0, microseconds}, {0, microseconds}};
        setitimer(ITIMER_REAL, &interval, nullptr);
    }
};

/// Whether the calling thread takes alarms, under TSan: that handles a signal at once where it thinks the thread blocks
/// in pthread_join(), and hangs if that was just giving the other's stack back to TSan. Elsewhere every thread takes
/// them.
void take_alarms_under_tsan(bool take) {
    if (SPARGIO_TSAN != 0) {
        sigset_t alarm;
        sigemptyset(&alarm);
        sigaddset(&alarm, SIGALRM);
        pthread_sigmask(take ? SIG_UNBLOCK : SIG_BLOCK, &alarm, nullptr);
    }
}

bool all_signals_blocked() {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    for (const int signal : {SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1, SIGHUP, SIGPIPE}) {
        if (sigismember(&mask, signal) != 1) {
            return false;
        }
    }
    return true;
}

class Signals : public BackendTest {};

TEST_P(Signals, ThreadsOfARuntimeBlockThemAll) {
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    const auto owner = runtime(2);
    for (ShardId shard = 0; shard < 2; ++shard) {
        EXPECT_TRUE(owner.handle().spawn_pinned(shard, all_signals_blocked).get());
    }
    EXPECT_TRUE(owner.handle().spawn_blocking(all_signals_blocked).get());
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    EXPECT_EQ(sigismember(&before, SIGALRM), sigismember(&after, SIGALRM)) << "the builder's own mask was changed";
}

TEST_P(Signals, AStormOfThemDisturbsNobody) {
    Watchdog watchdog("signals");
    handled = 0;
    {
        const AlarmStorm storm;
        const unsigned rounds = scaled(2'000, 300);
        Runtime owner = builder(2).idle_spin(std::chrono::microseconds(0)).build();
        EXPECT_EQ(owner.block_on(call_each_round(owner.handle(), 1, rounds)), rounds);
        EXPECT_EQ(do_some_of_everything(owner), everything);
        auto sleeper = owner.handle().spawn_pinned(1, sleep_for_ever());
        EXPECT_FALSE(sleeper.wait_for(std::chrono::milliseconds(50)));
        watchdog.progress("what waits was interrupted");
        take_alarms_under_tsan(false);
        EXPECT_EQ(spawn_from_outside(owner.handle(), 3, rounds, watchdog), 3U * rounds);
        EXPECT_EQ(owner.handle().stats_snapshot().late_wakes, 0U);
        owner.shutdown();
        EXPECT_TRUE(sleeper.done());
        for (int i = 0; i < 20; ++i) {
            EXPECT_EQ(do_some_of_everything(runtime(2)), everything);
            watchdog.progress("a runtime has ended");
        }
        take_alarms_under_tsan(true);
    }
    EXPECT_GT(handled, 100U);
    EXPECT_EQ(handled_on_a_shard, 0U);
}

SPARGIO_ON_BOTH_BACKENDS(Signals);

}  // namespace
}  // namespace spargio::test
