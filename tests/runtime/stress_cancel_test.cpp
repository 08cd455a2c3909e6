// SPDX-License-Identifier: MIT
// Stops at random moments of everything that a task can wait in, mixed: every wait ends, and every byte and message is
// found again.
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
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

/// What the tasks use, and what they count. Outlives the runtime.
struct WaitWorld {
    Pipe in;
    Pipe out{O_NONBLOCK};  // The main thread drains it; while it is full, writers wait.
    std::atomic<std::uint64_t> read = 0;
    std::atomic<std::uint64_t> written = 0;
    std::atomic<std::uint64_t> events = 0;
};

Task<bool> read_some(WaitWorld& world, NativeLane lane) {
    std::byte room[8];
    const auto count = co_await lane.read_at(world.in.reader.get(), current_position, std::span(room));
    world.read += count.value_or(0);
    co_return count.has_value();
}

Task<bool> write_some(WaitWorld& world, NativeLane lane) {
    const auto count = co_await lane.write_at(world.out.writer.get(), current_position, bytes_of("12345678"));
    world.written += count.value_or(0);
    co_return count.has_value();
}

Task<bool> sleep_some(std::chrono::nanoseconds span) {
    const auto slept = co_await sleep_for(span);
    co_return slept.has_value();
}

Task<bool> wait_for_event(WaitWorld& world) {
    try {
        static_cast<void>(co_await ShardCtx::current()->next_event());
    } catch (const std::system_error&) {
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

Task<bool> all_of_them(WaitWorld& world, NativeLane lane, std::chrono::nanoseconds limit) {
    auto reading = read_some(world, lane);
    auto writing = write_some(world, lane);
    auto sleeping = sleep_some(limit);
    co_await when_all(std::move(reading), std::move(writing), std::move(sleeping));
    co_return true;
}

Task<bool> a_group(WaitWorld& world, NativeLane lane, std::chrono::nanoseconds limit) {
    auto body = [&world, lane, limit](TaskGroup& group) -> Task<bool> {
        group.spawn(TaskPlacement::stealable(), read_some(world, lane));
        group.spawn(TaskPlacement::pinned(1), write_some(world, lane));
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
        switch (random.below(9)) {
        case 0:
            return read_some(world_, lane);
        case 1:
            return write_some(world_, lane);
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
            return all_of_them(world_, lane, limit);
        default:
            return a_group(world_, lane, limit);
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

    void drain(const Descriptor& from, std::uint64_t& into) {
        char bytes[4096];
        for (;;) {
            const auto count = ::read(from.get(), bytes, sizeof bytes);
            if (count <= 0) {
                return;
            }
            into += static_cast<std::uint64_t>(count);
        }
    }

    Watchdog watchdog_{"stops at random moments"};
    WaitWorld world_;
    Runtime runtime_ = builder(2).build();
    RuntimeHandle handle_ = runtime_.handle();
    std::uint64_t fed_ = 0;
    std::uint64_t sent_ = 0;
};

TEST_F(StressCancel, EveryWaitEndsAndNothingIsLost) {
    const unsigned rounds = scaled(5'000, 600);
    Random random(stress_seed());
    std::uint64_t drained = 0;
    std::uint64_t ended_early = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        std::vector<JoinHandle<bool>> tasks;
        for (std::size_t i = 0; i < 4; ++i) {
            const auto placement =
                random.one_in(3) ? TaskPlacement::stealable() : TaskPlacement::pinned(ShardId(random.below(2)));
            tasks.push_back(handle_.spawn_with_placement(placement, any_task(random)));
            feed(random);
        }
        for (auto& task : tasks) {
            spin_for(std::chrono::nanoseconds(random.below(20'000)));
            task.request_stop();
        }
        drain(world_.out.reader, drained);
        for (auto& task : tasks) {
            ended_early += task.get() ? 0 : 1;
        }
        // What nobody has read in time must not fill the pipe.
        while (fed_ - world_.read.load() > 30'000) {
            char byte = 0;
            ASSERT_EQ(::read(world_.in.reader.get(), &byte, 1), 1);
            ++world_.read;
        }
        if (round % 500 == 0) {
            watchdog_.progress("round " + std::to_string(round));
        }
    }
    EXPECT_GT(ended_early, 0U);
    drain(world_.out.reader, drained);
    EXPECT_EQ(drained, world_.written.load());
    world_.in.writer.close();
    std::uint64_t rest = 0;
    drain(world_.in.reader, rest);
    EXPECT_EQ(world_.read.load() + rest, fed_);

    std::atomic<std::uint64_t> left = 0;
    for (ShardId shard = 0; shard < 2; ++shard) {
        auto take_all = [&left] {
            while (ShardCtx::current()->try_next_event()) {
                ++left;
            }
        };
        handle_.spawn_pinned(shard, std::move(take_all)).get();
    }
    EXPECT_EQ(world_.events.load() + left.load(), sent_);
    finish_step(handle_, 0);
    finish_step(handle_, 1);
    const auto stats = handle_.stats_snapshot();
    EXPECT_EQ(stats.tasks_live, 0U) << to_string(stats);
    EXPECT_EQ(stats.pending_native_ops, 0U) << to_string(stats);
    EXPECT_EQ(stats.late_wakes, 0U) << to_string(stats);
}

}  // namespace
}  // namespace spargio::test
