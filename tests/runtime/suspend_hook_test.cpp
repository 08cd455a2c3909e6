// SPDX-License-Identifier: MIT
// Everything in which another thread can resume a task, when that one comes first: the task goes on elsewhere, ends and
// is freed before the await_suspend() that has published it returns. What that one touched afterwards, a sanitizer
// would see.
#include <atomic>
#include <chrono>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <unistd.h>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/files.hpp"
#include "support/lane_operations.hpp"
#include "support/stalled_shard.hpp"
#include "support/streams.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"
#include "suspend_hook.hpp"

namespace spargio::test {
namespace {

/// One suspension that does not return before release(). One at a time in the process.
class HeldSuspension {
public:
    HeldSuspension() noexcept {
        current_ = this;
        detail::suspend_hook.store(&hold);
    }
    HeldSuspension(const HeldSuspension&) = delete;
    HeldSuspension& operator=(const HeldSuspension&) = delete;
    ~HeldSuspension() {
        detail::suspend_hook.store(nullptr);
        current_ = nullptr;
    }

    /// The calling task's, in the step in which it suspends: that suspension.
    void choose_next() noexcept { chosen_ = std::this_thread::get_id(); }
    void wait() const { suspended_.wait(); }
    void release() noexcept { released_.store(true, std::memory_order_relaxed); }

private:
    static void hold() noexcept {
        HeldSuspension& held = *current_;
        auto chosen = std::this_thread::get_id();
        if (held.chosen_.compare_exchange_strong(chosen, std::thread::id())) {
            held.suspended_.set();
            while (!held.released_.load(std::memory_order_relaxed)) {
                std::this_thread::yield();
            }
        }
    }

    static inline HeldSuspension* current_ = nullptr;
    std::atomic<std::thread::id> chosen_;
    Event suspended_;
    // Relaxed: what the suspension does afterwards comes after nothing that others did, and TSan sees each touch.
    std::atomic<bool> released_{false};
};

/// The task's first step, on shard 0: the next thing that it waits for is held.
[[nodiscard]] Task<> begin(HeldSuspension& held) {
    static_cast<void>(co_await resume_on(0));
    held.choose_next();
}

/// Runs `task`, which begins with begin(). When it is suspended, `end(task)` ends its wait; it goes on on shard 1, and
/// all of it is freed when its suspension returns.
template <class End>
void run_held(HeldSuspension& held, const RuntimeHandle& two, Task<> task, const End& end) {
    {
        auto running = two.spawn_stealable(std::move(task));
        held.wait();
        end(running);
        running.get();
    }
    held.release();
    finish_step(two, 0);
}

class OtherThreadFirst : public BackendTest {
protected:
    template <class End>
    void run(Task<> task, const End& end) {
        run_held(held_, two_.handle(), std::move(task), end);
    }

    Watchdog watchdog_{"other thread first"};
    HeldSuspension held_;
    Runtime two_ = runtime(2);
};
SPARGIO_ON_BOTH_BACKENDS(OtherThreadFirst);

constexpr auto stop = [](const JoinHandle<>& task) { task.request_stop(); };

TEST_P(OtherThreadFirst, Join) {
    Event ends;
    auto child = two_.handle().spawn_blocking([&ends] { ends.wait(); });
    const auto join = [](HeldSuspension& held, JoinHandle<> joined) -> Task<> {
        co_await begin(held);
        co_await std::move(joined);
        EXPECT_EQ(shard_here(), 1);
    };
    run(join(held_, std::move(child)), [&ends](const JoinHandle<>&) { ends.set(); });
}

TEST_P(OtherThreadFirst, JoinThatIsStopped) {
    Event ends;
    auto child = two_.handle().spawn_blocking([&ends] { ends.wait(); });
    const auto join = [](HeldSuspension& held, JoinHandle<>& joined) -> Task<> {
        co_await begin(held);
        const auto end = co_await joined.join();
        EXPECT_EQ(end.error(), std::errc::operation_canceled);
        EXPECT_EQ(shard_here(), 1);
    };
    run(join(held_, child), stop);
    ends.set();
    child.get();
}

TEST_P(OtherThreadFirst, Call) {
    auto ends = boundary::channel<int, int>(1);
    const auto call = [](HeldSuspension& held, boundary::Client<int, int>& client) -> Task<> {
        co_await begin(held);
        const auto reply = co_await client.call(1);
        EXPECT_EQ(reply.value_or(0), 2);
        EXPECT_EQ(shard_here(), 1);
    };
    run(call(held_, ends.first), [&](const JoinHandle<>&) { EXPECT_TRUE(ends.second.try_recv()->respond(2)); });
}

TEST_P(OtherThreadFirst, CallThatIsStopped) {
    auto ends = boundary::channel<int, int>(1);
    const auto call = [](HeldSuspension& held, boundary::Client<int, int>& client) -> Task<> {
        co_await begin(held);
        const auto reply = co_await client.call(1);
        EXPECT_EQ(reply.error(), BoundaryError::Canceled);
    };
    run(call(held_, ends.first), stop);
}

TEST_P(OtherThreadFirst, Receive) {
    auto ends = boundary::channel<int, int>(1);
    const auto receive = [](HeldSuspension& held, boundary::Server<int, int>& server) -> Task<> {
        co_await begin(held);
        const auto request = co_await server.recv();
        EXPECT_TRUE(request.has_value());
        EXPECT_EQ(shard_here(), 1);
    };
    run(receive(held_, ends.second), [&](const JoinHandle<>&) { EXPECT_TRUE(ends.first.try_call(1).has_value()); });
}

TEST_P(OtherThreadFirst, ReceiveThatIsStopped) {
    auto ends = boundary::channel<int, int>(1);
    const auto receive = [](HeldSuspension& held, boundary::Server<int, int>& server) -> Task<> {
        co_await begin(held);
        const auto request = co_await server.recv();
        EXPECT_EQ(request.error(), BoundaryError::Canceled);
    };
    run(receive(held_, ends.second), stop);
}

TEST_P(OtherThreadFirst, Ticket) {
    std::optional<StalledShard> looks_late(std::in_place, two_.handle(), 1);
    const auto send = [](HeldSuspension& held) -> Task<> {
        auto ticket = ShardCtx::current()->send_raw(1, 1, 1);
        co_await yield();  // It is published when the step ends.
        co_await begin(held);
        const auto seen = co_await *ticket;
        EXPECT_TRUE(seen.has_value());
        EXPECT_EQ(shard_here(), 1);
    };
    run(send(held_), [&](const JoinHandle<>&) { looks_late.reset(); });
}

TEST_P(OtherThreadFirst, TicketThatIsStopped) {
    std::optional<StalledShard> looks_late(std::in_place, two_.handle(), 1);
    const auto send = [](HeldSuspension& held) -> Task<> {
        auto ticket = ShardCtx::current()->send_raw(1, 1, 1);
        co_await yield();  // It is published when the step ends.
        co_await begin(held);
        const auto seen = co_await *ticket;
        EXPECT_EQ(seen.error(), std::errc::operation_canceled);
        EXPECT_EQ(shard_here(), 1);
    };
    run(send(held_), [&](const JoinHandle<>& task) {
        task.request_stop();
        looks_late.reset();
    });
}

TEST_P(OtherThreadFirst, GroupJoin) {
    Event ends;
    const auto join = [](HeldSuspension& held, Event& child_ends, const RuntimeHandle& runtime) -> Task<> {
        co_await begin(held);
        TaskGroup group(runtime);
        group.spawn(TaskPlacement::pinned(1), [&child_ends] { child_ends.wait(); });
        co_await group.join();
        EXPECT_EQ(shard_here(), 1);
    };
    const auto handle = two_.handle();
    run(join(held_, ends, handle), [&ends](const JoinHandle<>&) { ends.set(); });
}

TEST_P(OtherThreadFirst, GroupJoinThatIsStopped) {
    const auto join = [](HeldSuspension& held, const RuntimeHandle& runtime) -> Task<> {
        co_await begin(held);
        TaskGroup group(runtime);
        auto sleeps = []() -> Task<> { static_cast<void>(co_await sleep_for(std::chrono::hours(1))); };
        group.spawn(TaskPlacement::pinned(1), sleeps());
        co_await group.join();
        EXPECT_EQ(shard_here(), 1);
    };
    const auto handle = two_.handle();
    run(join(held_, handle), stop);
}

// A shard that has gone to sleep is not woken for the only task of another one: it is for what else is spawned.
TEST_P(OtherThreadFirst, Yield) {
    const auto wait = [](HeldSuspension& held) -> Task<> {
        co_await begin(held);
        co_await yield();
        EXPECT_EQ(shard_here(), 1);
    };
    run(wait(held_), [this](const JoinHandle<>&) { two_.handle().spawn_stealable([] {}).get(); });
}

TEST_P(OtherThreadFirst, ResumeOn) {
    const auto wait = [](HeldSuspension& held) -> Task<> {
        co_await begin(held);
        static_cast<void>(co_await resume_on(1));
        EXPECT_EQ(shard_here(), 1);
    };
    run(wait(held_), [](const JoinHandle<>&) {});
}

/// Each operation of the native lane.
class OtherThreadFirstUring : public UringTest {
protected:
    [[nodiscard]] static Task<> run_operation(HeldSuspension& held, const LaneOperation& operation, NativeLane lane,
                                              int fd, bool stopped) {
        co_await begin(held);
        const std::error_code error = co_await operation.run(lane, fd);
        // What waits for nothing may have ended before the stop.
        EXPECT_TRUE(stopped && (error || operation.transfers) ? error == std::errc::operation_canceled : !error)
            << operation.name << ": " << error.message();
        EXPECT_EQ(shard_here(), 1);
    }

    /// Bytes come and room, or a stop.
    void run_all_by(const NativeLane& lane, bool stopped) {
        for (const LaneOperation& operation : lane_operations()) {
            const auto file = file_of();
            // The writing end has no room, and nothing has come to it.
            const Stream stream(StreamKind{"socket", true, true});
            stream.fill();
            HeldSuspension held;
            const int fd = operation.transfers ? stream.writer.get() : file.get();
            run_held(held, two_.handle(), run_operation(held, operation, lane, fd, stopped),
                     [&](const JoinHandle<>& task) {
                         if (stopped) {
                             task.request_stop();
                             return;
                         }
                         EXPECT_FALSE(stream.drain().empty());
                         EXPECT_EQ(write(stream.reader.get(), "same", 4), 4);
                     });
        }
    }

    Watchdog watchdog_{"other thread first, on a lane"};
    Runtime two_ = builder(2).build();
};

TEST_F(OtherThreadFirstUring, OperationsOfAnotherShardsLane) {
    run_all_by(two_.handle().native_lane(1).value(), false);
}

TEST_F(OtherThreadFirstUring, OperationsOfAnotherShardsLaneThatAreStopped) {
    run_all_by(two_.handle().native_lane(1).value(), true);
}

TEST_F(OtherThreadFirstUring, OperationsOfAnotherRuntimesLane) {
    const auto other = builder(1).build();
    run_all_by(other.handle().native_lane(0).value(), false);
}

TEST_F(OtherThreadFirstUring, OperationsOfAnotherRuntimesLaneThatAreStopped) {
    const auto other = builder(1).build();
    run_all_by(other.handle().native_lane(0).value(), true);
}

}  // namespace
}  // namespace spargio::test
