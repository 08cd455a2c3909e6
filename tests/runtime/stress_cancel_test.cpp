// SPDX-License-Identifier: MIT
// Stops at random moments of everything that a task can wait in, mixed: every wait ends, and every byte and message is
// found again.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "support/files.hpp"
#include "support/stress.hpp"
#include "support/suspend_delays.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

/// Several times what the pipe `out` holds: written in parts, and stopped between them.
constexpr std::size_t long_text = 20'000;

/// What the tasks use, and what they count. Outlives the runtime.
struct WaitWorld {
    WaitWorld() { fcntl(out.writer.get(), F_SETPIPE_SZ, 4096); }

    /// Waited for by a poll, or in the write itself.
    [[nodiscard]] int a_writer(bool blocking) const noexcept {
        return blocking ? blocking_writer.get() : out.writer.get();
    }

    Pipe in;
    Pipe out{O_NONBLOCK};  // The main thread fills it and drains it; while it is full, writers wait.
    Descriptor blocking_writer{
        open(("/proc/self/fd/" + std::to_string(out.writer.get())).c_str(), O_WRONLY | O_CLOEXEC)};
    std::atomic<std::uint64_t> read = 0;
    std::atomic<std::uint64_t> reads_stopped = 0;
    std::atomic<std::uint64_t> written = 0;
    std::atomic<std::uint64_t> writes_stopped = 0;
    std::atomic<std::uint64_t> long_begun = 0;
    std::atomic<std::uint64_t> long_written = 0;
    std::atomic<std::uint64_t> long_stopped = 0;
    std::atomic<std::uint64_t> events = 0;
    std::atomic<std::uint64_t> events_stopped = 0;
};

/// A wait ends with what was waited for, or by the stop; with nothing else.
bool has_come(const std::error_code& error) {
    EXPECT_TRUE(!error || error == std::errc::operation_canceled) << error.message();
    return !error;
}

Task<bool> read_some(WaitWorld& world, NativeLane lane) {
    std::byte room[8];
    const auto count = co_await lane.read_at(world.in.reader.get(), current_position, std::span(room));
    world.read += count.value_or(0);
    world.reads_stopped += has_come(count.error()) ? 0 : 1;
    co_return count.has_value();
}

Task<bool> write_some(WaitWorld& world, NativeLane lane, bool blocking) {
    const auto count = co_await lane.write_at(world.a_writer(blocking), current_position, bytes_of("wwwwwwww"));
    world.written += count.value_or(0);
    world.writes_stopped += has_come(count.error()) ? 0 : 1;
    co_return count.has_value();
}

Task<bool> write_long_text(WaitWorld& world, NativeLane lane, bool blocking) {
    ++world.long_begun;
    const std::string text(long_text, 'l');
    const auto all = co_await lane.write_all_at(world.a_writer(blocking), current_position, bytes_of(text));
    world.long_written += all ? 1 : 0;
    world.long_stopped += has_come(all.error()) ? 0 : 1;
    co_return all.has_value();
}

Task<bool> sleep_some(std::chrono::nanoseconds span) {
    const auto slept = co_await sleep_for(span);
    co_return has_come(slept.error());
}

Task<bool> wait_for_event(WaitWorld& world) {
    try {
        static_cast<void>(co_await ShardCtx::current()->next_event());
    } catch (const std::system_error& error) {
        world.events_stopped += has_come(error.code()) ? 0 : 1;
        co_return false;
    }
    ++world.events;
    co_return true;
}

Task<bool> await_handle(JoinHandle<bool> child) {
    co_return co_await std::move(child);
}

Task<bool> join_a_child(WaitWorld& world, NativeLane lane) {
    auto child = ShardCtx::current()->spawn_local(read_some(world, std::move(lane)));
    const auto joined = co_await child.join();
    if (joined) {
        co_return true;
    }
    child.request_stop();
    auto end = await_handle(std::move(child));
    co_return co_await without_stop(std::move(end));
}

Task<bool> read_or_time_out(WaitWorld& world, NativeLane lane, std::chrono::nanoseconds limit) {
    auto reading = read_some(world, std::move(lane));
    const auto read = co_await timeout(limit, std::move(reading));
    co_return read.has_value();
}

Task<bool> whichever_is_first(WaitWorld& world, NativeLane lane, std::chrono::nanoseconds limit) {
    auto reading = read_some(world, std::move(lane));
    auto sleeping = sleep_some(limit);
    const auto first = co_await when_any(std::move(reading), std::move(sleeping));
    co_return first.index == 0;
}

Task<bool> all_of_them(WaitWorld& world, NativeLane lane, std::chrono::nanoseconds limit, bool blocking) {
    auto reading = read_some(world, lane);
    auto writing = write_some(world, lane, blocking);
    auto sleeping = sleep_some(limit);
    co_await when_all(std::move(reading), std::move(writing), std::move(sleeping));
    co_return true;
}

Task<bool> a_group(WaitWorld& world, NativeLane lane, std::chrono::nanoseconds limit, bool blocking) {
    auto body = [&world, lane, limit, blocking](TaskGroup& group) -> Task<bool> {
        group.spawn(TaskPlacement::stealable(), read_some(world, lane));
        group.spawn(TaskPlacement::pinned(1), write_some(world, lane, blocking));
        group.spawn(TaskPlacement::pinned(0), wait_for_event(world));
        co_return co_await sleep_some(limit);
    };
    co_return co_await with_group(body);
}

class StressCancel : public UringTest {
protected:
    Task<bool> any_task(Random& random) {
        const auto lane = handle_.native_lane(ShardId(random.below(2))).value();
        const std::chrono::nanoseconds limit(random.below(60'000));
        const bool blocking = random.one_in(2);
        switch (random.below(10)) {
        case 0:
            return read_some(world_, lane);
        case 1:
            return write_some(world_, lane, blocking);
        case 2:
            return sleep_some(random.one_in(2) ? std::chrono::nanoseconds(1h) : limit);
        case 3:
            return wait_for_event(world_);
        case 4:
            return join_a_child(world_, lane);
        case 5:
            return read_or_time_out(world_, lane, limit);
        case 6:
            return whichever_is_first(world_, lane, limit);
        case 7:
            return all_of_them(world_, lane, limit, blocking);
        case 8:
            return write_long_text(world_, lane, blocking);
        default:
            return a_group(world_, lane, limit, blocking);
        }
    }

    void feed(Random& random) {
        if (random.one_in(2)) {
            ASSERT_EQ(write(world_.in.writer.get(), "12345", 5), 5);
            fed_ += 5;
        }
        for (ShardId shard = 0; shard < 2; ++shard) {
            if (random.one_in(4) && handle_.remote(shard)->send_raw_nowait(1, 2)) {
                ++sent_;
            }
        }
    }

    /// So that whoever writes waits.
    void fill_out() {
        const std::string filling(4096, 'f');
        for (ssize_t count = 0; count >= 0; count = write(world_.out.writer.get(), filling.data(), filling.size())) {
            filled_ += static_cast<std::uint64_t>(count);
        }
    }

    void drain_out() {
        char bytes[4096];
        for (ssize_t count = 0; count >= 0; count = ::read(world_.out.reader.get(), bytes, sizeof bytes)) {
            for (ssize_t i = 0; i < count; ++i) {
                ++drained_[static_cast<unsigned char>(bytes[i])];
            }
        }
    }

    /// What is left of what was fed.
    void take_bytes() {
        char bytes[4096];
        for (ssize_t count = sizeof bytes; count == sizeof bytes;) {
            count = ::read(in_without_waiting_.get(), bytes, sizeof bytes);
            bytes_taken_ += count > 0 ? static_cast<std::uint64_t>(count) : 0;
        }
    }

    /// The messages that are left.
    void take_events() {
        for (ShardId shard = 0; shard < 2; ++shard) {
            auto take_all = [this] {
                while (ShardCtx::current()->try_next_event()) {
                    ++events_taken_;
                }
            };
            handle_.spawn_pinned(shard, std::move(take_all)).get();
        }
    }

    void expect_what_was_written() {
        EXPECT_EQ(drained_['f'], filled_);
        EXPECT_EQ(drained_['w'], world_.written.load());
        // How much of one that was stopped has been written is not told; of some it was a part.
        EXPECT_GT(drained_['l'], world_.long_written.load() * long_text);
        EXPECT_LT(drained_['l'], world_.long_begun.load() * long_text);
        EXPECT_EQ(world_.long_begun.load(), world_.long_written.load() + world_.long_stopped.load());
        EXPECT_GT(world_.written.load(), 0U);
        EXPECT_GT(world_.writes_stopped.load(), 0U) << "no write has waited";
        EXPECT_GT(world_.long_stopped.load(), 0U);
    }

    const SuspendDelays delays_;
    Watchdog watchdog_{"stops at random moments"};
    WaitWorld world_;
    Runtime runtime_ = builder(2).build();
    RuntimeHandle handle_ = runtime_.handle();
    Descriptor in_without_waiting_{
        open(("/proc/self/fd/" + std::to_string(world_.in.reader.get())).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    std::uint64_t fed_ = 0;
    std::uint64_t bytes_taken_ = 0;
    std::uint64_t sent_ = 0;
    std::uint64_t events_taken_ = 0;
    std::uint64_t filled_ = 0;
    std::array<std::uint64_t, 256> drained_{};  // Of each character.
};

TEST_F(StressCancel, EveryWaitEndsAndNothingIsLost) {
    const unsigned wanted = scaled(20'000, 20'000);  // Of tasks that had not ended.
    Random random(stress_seed());
    std::uint64_t stops = 0;
    std::uint64_t ended_early = 0;
    std::uint64_t told = 0;
    while (stops < wanted) {
        if (random.one_in(2)) {
            fill_out();
        }
        std::vector<JoinHandle<bool>> tasks;
        for (std::size_t i = 0; i < 4; ++i) {
            const auto placement =
                random.one_in(3) ? TaskPlacement::stealable() : TaskPlacement::pinned(ShardId(random.below(2)));
            tasks.push_back(handle_.spawn_with_placement(placement, any_task(random)));
            feed(random);
        }
        for (auto& task : tasks) {
            spin_for(std::chrono::nanoseconds(random.below(20'000)));
            if (random.one_in(4)) {
                drain_out();
            }
            stops += task.done() ? 0 : 1;
            task.request_stop();
        }
        for (auto& task : tasks) {
            ended_early += task.get() ? 0 : 1;
        }
        // Else what was not taken in time would become more and more, and nobody would have to wait for anything.
        if (random.one_in(4)) {
            take_bytes();
            take_events();
        }
        if (stops >= told + 1'000) {
            told = stops;
            watchdog_.progress(std::to_string(stops) + " stops");
        }
    }
    EXPECT_GT(ended_early, wanted / 4) << "of " << stops;
    drain_out();
    expect_what_was_written();
    EXPECT_GT(world_.reads_stopped.load(), 0U);
    take_bytes();
    EXPECT_EQ(world_.read.load() + bytes_taken_, fed_);
    EXPECT_GT(world_.events_stopped.load(), 0U);
    take_events();
    EXPECT_EQ(world_.events.load() + events_taken_, sent_);
    finish_step(handle_, 0);
    finish_step(handle_, 1);
    const auto stats = handle_.stats_snapshot();
    EXPECT_EQ(stats.tasks_live, 0U) << to_string(stats);
    EXPECT_EQ(stats.pending_native_ops, 0U) << to_string(stats);
    EXPECT_EQ(stats.late_wakes, 0U) << to_string(stats);
}

}  // namespace
}  // namespace spargio::test
