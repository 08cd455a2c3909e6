// SPDX-License-Identifier: MIT
// A deadline and what a task has waited for, both over when the shard looks: the task was ready, so it has the value.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <stop_token>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <unistd.h>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/files.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"
#include "support/virtual_clock.hpp"

namespace spargio::test {
namespace {

using std::chrono::milliseconds;

class TimeoutTie : public BackendTest {
protected:
    Watchdog watchdog_{"tie of a deadline"};
};
SPARGIO_ON_BOTH_BACKENDS(TimeoutTie);

Task<int> seven_after(milliseconds span) {
    static_cast<void>(co_await sleep_for(span));
    co_return 7;
}

Task<Result<int>> seven_after_within(milliseconds span, milliseconds limit) {
    co_return co_await timeout(limit, seven_after(span));
}

TEST_P(TimeoutTie, TheTaskWinsIfItsSleepWasOverBefore) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto handle = one.handle();
    for (const int before : {0, 1, 300}) {
        auto in_time = handle.spawn_pinned(0, seven_after_within(milliseconds(5), milliseconds(6)));
        auto late = handle.spawn_pinned(0, seven_after_within(milliseconds(6), milliseconds(5)));
        finish_step(handle, 0);
        std::vector<JoinHandle<void>> others;
        StalledShard stalled(handle, 0);
        for (int i = 0; i < before; ++i) {  // They stand in the queue before it.
            others.push_back(handle.spawn_pinned(0, []() -> Task<> { co_await yield(); }));
        }
        clock.set(clock.now() + milliseconds(10));
        stalled.release();
        EXPECT_EQ(in_time.get(), Result<int>(7)) << before;
        EXPECT_EQ(late.get().error(), std::errc::timed_out) << before;
        for (auto& other : others) {
            other.get();
        }
    }
}

Task<int> seven_in_when_all(milliseconds span) {
    auto seven = seven_after(span);
    const auto all = co_await when_all(std::move(seven));
    co_return std::get<0>(all);
}

Task<int> seven_in_a_group_body(milliseconds span) {
    auto body = [span](TaskGroup&) { return seven_in_when_all(span); };
    co_return co_await with_group(body);
}

Task<int> seven_in_a_group_child(milliseconds span) {
    int seven = 0;
    auto child = [span, &seven]() -> Task<> { seven = co_await seven_after(span); };
    auto body = [&child](TaskGroup& group) -> Task<> {
        group.spawn(TaskPlacement::pinned(0), std::move(child));
        co_return;
    };
    co_await with_group(body);
    co_return seven;
}

// The one that waits for the children is in a wait itself, which a stop would end; the child is ready.
TEST_P(TimeoutTie, TheTaskWinsIfItsChildsSleepWasOverBefore) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto handle = one.handle();
    const auto limited = [](Task<int> task, milliseconds limit) -> Task<Result<int>> {
        co_return co_await timeout(limit, std::move(task));
    };
    int form = 0;
    for (auto* seven : {&seven_in_when_all, &seven_in_a_group_body, &seven_in_a_group_child}) {
        auto in_time = handle.spawn_pinned(0, limited(seven(milliseconds(5)), milliseconds(6)));
        auto late = handle.spawn_pinned(0, limited(seven(milliseconds(6)), milliseconds(5)));
        finish_step(handle, 0);
        StalledShard stalled(handle, 0);
        clock.set(clock.now() + milliseconds(10));
        stalled.release();
        EXPECT_EQ(in_time.get(), Result<int>(7)) << form;
        EXPECT_EQ(late.get().error(), std::errc::timed_out) << form;
        ++form;
    }
}

// Its wake is behind others in the inbox, where the shard has not looked yet.
TEST_P(TimeoutTie, TheTaskWinsIfWhatItJoinsHadEnded) {
    VirtualClock clock;
    auto two = runtime(2);
    const auto handle = two.handle();
    for (const int before : {0, 100, 1'000}) {
        Event go;
        auto joined = handle.spawn_pinned(1, [&] {
            go.wait();
            return 7;
        });
        auto joiner = handle.spawn_pinned(0, [&]() -> Task<Result<int>> {
            co_return co_await timeout(milliseconds(5), [](JoinHandle<int> other) -> Task<int> {
                co_return co_await std::move(other);
            }(std::move(joined)));
        });
        finish_step(handle, 0);
        std::vector<JoinHandle<void>> others;
        StalledShard stalled(handle, 0);
        for (int i = 0; i < before; ++i) {
            others.push_back(handle.spawn_pinned(0, [] {}));
        }
        go.set();
        finish_step(handle, 1);
        clock.set(clock.now() + milliseconds(10));
        stalled.release();
        EXPECT_EQ(joiner.get(), Result<int>(7)) << before;
        for (auto& other : others) {
            other.get();
        }
    }
}

TEST_P(TimeoutTie, AShutdownFindsADeadlineThatStandsInTheQueue) {
    for (int round = 0; round < 50; ++round) {
        VirtualClock clock;
        auto one = runtime(1);
        const auto handle = one.handle();
        const auto shared = std::make_shared<int>(1);
        // Ready at the deadline, and again after it.
        auto task = handle.spawn_pinned(0, [shared]() -> Task<> {
            static_cast<void>(co_await timeout(milliseconds(5), [](std::shared_ptr<int>) -> Task<> {
                static_cast<void>(co_await sleep_for(milliseconds(4)));
                for (;;) {
                    co_await yield();
                }
            }(shared)));
        });
        finish_step(handle, 0);
        StalledShard stalled(handle, 0);
        clock.set(clock.now() + milliseconds(10));
        std::thread stopper([&one] { one.shutdown(); });
        if (round % 2 == 0) {
            while (handle.spawn_pinned(0, [] {}).spawn_error() != RuntimeError::Closed) {
                std::this_thread::yield();
            }
        }
        stalled.release();
        stopper.join();
        EXPECT_EQ(shared.use_count(), 1);
    }
}

// A look at each of them in each turn would take 10 s.
TEST_P(TimeoutTie, ManyTakeTheTimeOfOneRound) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto handle = one.handle();
    std::vector<JoinHandle<Result<int>>> tasks;
    for (unsigned i = 0; i < scaled(50'000, 2'000); ++i) {
        tasks.push_back(handle.spawn_pinned(0, seven_after_within(milliseconds(5), milliseconds(6))));
    }
    finish_step(handle, 0);
    clock.advance(handle, milliseconds(10));
    for (auto& task : tasks) {
        EXPECT_EQ(task.get(), Result<int>(7));
    }
}

TEST_P(TimeoutTie, OneThatIsAlwaysReadyIsTimedOut) {
    VirtualClock clock;
    auto one = runtime(1);
    const auto handle = one.handle();
    auto task = handle.spawn_pinned(0, []() -> Task<Result<>> {
        co_return co_await timeout(milliseconds(5), []() -> Task<> {
            const std::stop_token token = co_await this_task::stop_token();
            while (!token.stop_requested()) {
                co_await yield();
            }
        }());
    });
    finish_step(handle, 0);
    clock.set(clock.now() + milliseconds(10));
    EXPECT_EQ(task.get().error(), std::errc::timed_out);
}

class TimeoutTieOnRings : public UringTest {};

// The byte is taken: what it was read into must not be dropped.
TEST_F(TimeoutTieOnRings, NoByteIsLostWithAReadThatWasOverBefore) {
    VirtualClock clock;
    auto two = builder(2).build();
    const auto handle = two.handle();
    const Pipe pipe;
    for (unsigned round = 0; round < 50; ++round) {
        const NativeLane lane = handle.native_lane(static_cast<ShardId>(round % 2)).value();
        auto reader = handle.spawn_pinned(0, [&]() -> Task<Result<std::size_t>> {
            co_return co_await timeout(milliseconds(5), [](NativeLane of, int fd) -> Task<std::size_t> {
                std::array<std::byte, 1> byte{};
                const auto count = co_await of.read_at(fd, current_position, std::span<std::byte>(byte));
                co_return count.value();
            }(lane, pipe.reader.get()));
        });
        while (handle.stats_snapshot().pending_native_ops == 0) {
            std::this_thread::yield();
        }
        StalledShard stalled(handle, 0);
        ASSERT_EQ(write(pipe.writer.get(), "x", 1), 1);
        while (round % 2 == 1 && handle.stats_snapshot().pending_native_ops != 0) {
            std::this_thread::yield();  // The other shard's ring has read it,
        }
        finish_step(handle, 1);  // and it has said so.
        clock.set(clock.now() + milliseconds(10));
        stalled.release();
        EXPECT_EQ(reader.get(), Result<std::size_t>(1U)) << round;
    }
}

}  // namespace
}  // namespace spargio::test
