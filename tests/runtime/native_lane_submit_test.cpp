// SPDX-License-Identifier: MIT
// Operations of one's own: stops and shutdowns of opens and accepts lose no descriptor and no connection, and what
// cannot be one operation is refused.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/event.hpp"
#include "support/files.hpp"
#include "support/lane_tasks.hpp"
#include "support/process_gauges.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

/// A socket that listens under a name of the kernel's choice, and those that connect to it.
class Listener {
public:
    Listener() {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        listen_or_throw(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name.sun_family));
        listen_or_throw(listen(socket_.get(), 1000));
    }

    [[nodiscard]] int get() const noexcept { return socket_.get(); }
    /// Is accepted, or waits for that, when this returns.
    [[nodiscard]] Descriptor connect() const {
        sockaddr_un name{};
        socklen_t length = sizeof name;
        Descriptor client = stream();
        listen_or_throw(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&name), &length));
        listen_or_throw(::connect(client.get(), reinterpret_cast<const sockaddr*>(&name), length));
        return client;
    }
    /// A connection that nobody has accepted.
    [[nodiscard]] Descriptor take_pending() const {
        pollfd ready{socket_.get(), POLLIN, 0};
        return poll(&ready, 1, 0) == 1 ? Descriptor(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC))
                                       : Descriptor();
    }

private:
    static Descriptor stream() { return Descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); }
    static void listen_or_throw(int result) {
        if (result != 0) {
            throw std::system_error(errno, std::system_category(), "a listening socket");
        }
    }

    const Descriptor socket_ = stream();
};

enum class Where { Inline, InWorker };

PrepareEntry opens_null(Where where) {
    return [where](io_uring_sqe* sqe) {
        io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
        if (where == Where::InWorker) {
            sqe->flags |= IOSQE_ASYNC;
        }
    };
}

PrepareEntry accepts(const Listener& listener, Where where) {
    return [fd = listener.get(), where](io_uring_sqe* sqe) {
        io_uring_prep_accept(sqe, fd, nullptr, nullptr, SOCK_CLOEXEC);
        if (where == Where::InWorker) {
            sqe->flags |= IOSQE_ASYNC;
        }
    };
}

/// Closes what it has got, and begins again, until a shutdown.
Task<> run_over_and_over(NativeLane lane, PrepareEntry prepare) {
    for (;;) {
        const auto opened = co_await lane.submit(prepare);
        if (!opened) {
            co_return;
        }
        ::close(*opened);
    }
}

class NativeLaneStopSubmit : public UringTest {
protected:
    static TaskPlacement anywhere(Random& random) {
        return random.one_in(3) ? TaskPlacement::stealable() : TaskPlacement::pinned(ShardId(random.below(2)));
    }
    static Where in_any_way(Random& random) { return random.one_in(2) ? Where::Inline : Where::InWorker; }

    Watchdog watchdog_{"operations of one's own"};
};

TEST_F(NativeLaneStopSubmit, AShutdownClosesWhatIsBeingOpened) {
    const unsigned rounds = scaled(40, 10);
    Random random(stress_seed());
    const auto descriptors = open_descriptors();
    for (unsigned round = 0; round < rounds; ++round) {
        const Listener listener;
        std::vector<Descriptor> clients;
        Runtime runtime = builder(2).build();
        const auto handle = runtime.handle();
        for (int i = 0; i < 50; ++i) {
            const auto lane = handle.native_lane(ShardId(random.below(2))).value();
            auto prepare = i % 5 != 0 ? opens_null(in_any_way(random)) : accepts(listener, in_any_way(random));
            handle.spawn_with_placement(anywhere(random), run_over_and_over(lane, std::move(prepare))).detach();
        }
        std::thread caller([&] {
            for (int i = 0; i < 100; ++i) {
                clients.push_back(listener.connect());
            }
        });
        spin_for(std::chrono::nanoseconds(random.below(2'000'000)));
        runtime.shutdown();
        caller.join();
        watchdog_.progress("shutdown " + std::to_string(round));
    }
    EXPECT_EQ(open_descriptors(), descriptors);
}

/// The operation has ended, and the shard that is to go on with the task does not come to it any more.
TEST_F(NativeLaneStopSubmit, AShutdownClosesWhatNoTaskHasTaken) {
    const Listener listener;
    const Descriptor client = listener.connect();
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC;
    const std::vector<PrepareEntry> all = {
        opens_null(Where::Inline),
        [&how](io_uring_sqe* sqe) { io_uring_prep_openat2(sqe, AT_FDCWD, "/dev/null", &how); },
        [](io_uring_sqe* sqe) { io_uring_prep_socket(sqe, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0); },
        accepts(listener, Where::Inline),
        // Its result, 0, is no descriptor, and another's.
        [](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); },
    };
    for (const PrepareEntry& prepare : all) {
        const auto descriptors = open_descriptors();
        Runtime runtime = builder(2).build();
        const auto handle = runtime.handle();
        StalledShard ring(handle, 1);
        auto opening = handle.spawn_pinned(0, run_once(handle.native_lane(1).value(), prepare));
        finish_step(handle, 0);
        Event within;
        Event ended;
        auto last_step = handle.spawn_pinned(0, [&] {
            within.set();
            ended.wait();
            runtime.shutdown();
        });
        within.wait();
        ring.release();
        finish_step(handle, 1);
        while (handle.stats_snapshot().pending_native_ops != 0) {
            std::this_thread::yield();
        }
        ended.set();
        last_step.get();
        runtime.shutdown();
        EXPECT_TRUE(opening.done());
        EXPECT_EQ(open_descriptors(), descriptors);
    }
}

/// Descriptors 0 to 2 are somebody's: a result of 0 that is none, or that the task has got, must not be closed.
TEST_F(NativeLaneStopSubmit, NothingIsClosedThatWasNotOpened) {
    Runtime runtime = builder(1).build();
    const auto handle = runtime.handle();
    const auto lane = handle.native_lane(0).value();
    const Pipe pipe;
    const auto nop = [](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); };
    EXPECT_EQ(handle.spawn_pinned(0, run_once(lane, nop)).get().value(), 0);
    const int taken = handle.spawn_pinned(0, run_once(lane, opens_null(Where::Inline))).get().value();
    EXPECT_NE(fcntl(taken, F_GETFD), -1);
    ::close(taken);
    // Begun, and ended by the shutdown; never begun.
    const Listener listener;
    auto waiting = handle.spawn_pinned(0, run_once(lane, accepts(listener, Where::Inline)));
    auto polling = handle.spawn_pinned(
        0, run_once(lane, [fd = pipe.reader.get()](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, fd, POLLIN); }));
    handle
        .spawn_pinned(0,
                      [&]() -> Task<> {
                          auto&& forgotten = lane.submit(opens_null(Where::Inline));
                          static_cast<void>(forgotten);
                          co_return;
                      })
        .get();
    runtime.shutdown();
    EXPECT_TRUE(waiting.done());
    EXPECT_TRUE(polling.done());
    EXPECT_NE(fcntl(STDIN_FILENO, F_GETFD), -1);
}

/// Each connection was got, or is still there for the next one. Until both have happened: where CPUs are few, stops may
/// come first for long.
TEST_F(NativeLaneStopSubmit, StopsOfAcceptsLoseNoConnection) {
    const unsigned rounds = scaled(5'000, 600);
    Random random(stress_seed() + 1);
    Runtime runtime = builder(2).build();
    const auto handle = runtime.handle();
    const Listener listener;
    const auto descriptors = open_descriptors();
    unsigned got = 0;
    unsigned stopped = 0;
    for (unsigned round = 0; round < rounds || got == 0 || stopped == 0; ++round) {
        const auto lane = handle.native_lane(ShardId(random.below(2))).value();
        auto accepting = handle.spawn_with_placement(
            anywhere(random), run_once(lane, accepts(listener, random.one_in(8) ? Where::InWorker : Where::Inline)));
        Descriptor client;
        std::thread stopper;
        const bool stop_beside = random.one_in(4);
        if (stop_beside) {
            stopper = std::thread([&] { accepting.request_stop(); });
        }
        spin_for(std::chrono::nanoseconds(random.below(30'000)));
        client = listener.connect();
        spin_for(std::chrono::nanoseconds(random.below(30'000)));
        if (stop_beside) {
            stopper.join();
        } else {
            accepting.request_stop();
        }
        const auto accepted = accepting.get();
        if (accepted) {
            ++got;
            ::close(*accepted);
        } else {
            ++stopped;
            ASSERT_EQ(accepted.error(), std::errc::operation_canceled);
            ASSERT_GE(listener.take_pending().get(), 0) << "a connection was lost";
        }
        if (round < rounds) {
            watchdog_.progress("accept " + std::to_string(round));
        }
    }
    EXPECT_LT(listener.take_pending().get(), 0);
    EXPECT_TRUE(descriptors_fall_to(descriptors)) << open_descriptors() << " instead of " << descriptors;
}

/// Until both ends of an open have happened, too.
TEST_F(NativeLaneStopSubmit, StopsOfOpensLoseNoDescriptor) {
    const unsigned rounds = scaled(5'000, 600);
    Random random(stress_seed() + 2);
    Runtime runtime = builder(2).build();
    const auto handle = runtime.handle();
    const auto descriptors = open_descriptors();
    unsigned got = 0;
    unsigned stopped = 0;
    for (unsigned round = 0; round < rounds || got == 0 || stopped == 0; ++round) {
        const auto lane = handle.native_lane(ShardId(random.below(2))).value();
        auto opening = handle.spawn_with_placement(anywhere(random), run_once(lane, opens_null(in_any_way(random))));
        spin_for(std::chrono::nanoseconds(random.below(20'000)));
        opening.request_stop();
        const auto opened = opening.get();
        if (opened) {
            ++got;
            ::close(*opened);
        } else {
            ++stopped;
            ASSERT_EQ(opened.error(), std::errc::operation_canceled);
        }
        if (round % 1000 == 0 && round < rounds) {
            watchdog_.progress("open " + std::to_string(round));
        }
    }
    EXPECT_TRUE(descriptors_fall_to(descriptors)) << open_descriptors() << " instead of " << descriptors;
}

/// In a worker of the kernel's they say that they were interrupted by a code that errno has no name for.
TEST_F(NativeLaneStopSubmit, StopsOfSplicesAreCancellations) {
    Runtime runtime = builder(1).build();
    const auto handle = runtime.handle();
    const auto lane = handle.native_lane(0).value();
    const Pipe from;
    const Pipe to;
    const int in = from.reader.get();
    const int out = to.writer.get();
    const std::vector<PrepareEntry> all = {
        [in, out](io_uring_sqe* sqe) { io_uring_prep_splice(sqe, in, -1, out, -1, 1, 0); },
        [in, out](io_uring_sqe* sqe) { io_uring_prep_tee(sqe, in, out, 1, 0); },
    };
    for (int round = 0; round < 20; ++round) {
        std::vector<JoinHandle<Result<int>>> moving;
        for (const PrepareEntry& prepare : all) {
            moving.push_back(handle.spawn_pinned(0, run_once(lane, prepare)));
        }
        while (handle.stats_snapshot().pending_native_ops != all.size()) {
            std::this_thread::yield();
        }
        // Until each has a worker, else it may be cancelled before it has begun.
        spin_for(std::chrono::microseconds(round * 100));
        for (auto& one : moving) {
            one.request_stop();
            EXPECT_EQ(one.get().error(), std::errc::operation_canceled);
        }
    }
}

using NativeLaneSubmitDeathTest = UringTest;

TEST_F(NativeLaneSubmitDeathTest, ARequestWithSeveralCompletionsIsACheckedFailure) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto polls_again_and_again = [] {
        const Pipe pipe;
        const Runtime one = builder(1).build();
        auto polling = one.handle().spawn_pinned(
            0, run_once(one.handle().native_lane(0).value(), [fd = pipe.reader.get()](io_uring_sqe* sqe) {
                io_uring_prep_poll_multishot(sqe, fd, POLLIN);
            }));
        static_cast<void>(write(pipe.writer.get(), "x", 1));
        static_cast<void>(polling.get());
    };
    EXPECT_DEATH(polls_again_and_again(), "NativeLane::submit\\(\\): a request with several completions");
}

}  // namespace
}  // namespace spargio::test
