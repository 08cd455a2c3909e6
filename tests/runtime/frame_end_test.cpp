// SPDX-License-Identifier: MIT
// When a task ends, all that is in its frame ends on the task's shard, before any joiner sees the result.
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/tracker.hpp"

namespace spargio::test {
namespace {

class FrameEnd : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(FrameEnd);

enum class Ending { Value, Exception };

Task<int> body([[maybe_unused]] Tracker parameter, EndLog& log, Event& go, Ending ending) {
    const Tracker local(log, "local");
    co_await go.async_wait();
    if (ending == Ending::Exception) {
        throw std::runtime_error("thrown with everything in the frame");
    }
    co_return 7;
}

/// A callable with a local, a parameter and a capture.
auto tracked(EndLog& log, Event& go, Ending ending) {
    return [capture = Tracker(log, "capture"), &log, &go, ending]() -> Task<int> {
        auto inner = body(Tracker(log, "parameter"), log, go, ending);
        co_return co_await std::move(inner);
    };
}

void expect_all_ended_on(const EndLog& log, ShardId shard) {
    EXPECT_EQ(log.size(), 3U);
    EXPECT_EQ(log.on_shard(shard), 3U);
}

TEST_P(FrameEnd, BeforeAnAwaitingTaskGoesOn) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (const auto ending : {Ending::Value, Ending::Exception}) {
        for (const ShardId child_shard : {ShardId{0}, ShardId{1}}) {
            EndLog log;
            Event go;
            auto child = handle.spawn_pinned(child_shard, tracked(log, go, ending));
            auto joiner = handle.spawn_pinned(0, [&]() -> Task<> {
                go.set();
                try {
                    co_await std::move(child);
                } catch (const std::runtime_error&) {}
                expect_all_ended_on(log, child_shard);
            });
            joiner.get();
        }
    }
}

TEST_P(FrameEnd, BeforeAJoinByResultGoesOn) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (const auto place : {TaskPlacement::pinned(0), TaskPlacement::pinned(1), TaskPlacement::stealable()}) {
        EndLog log;
        Event go;
        auto child = handle.spawn_pinned(1, tracked(log, go, Ending::Value));
        auto joiner = handle.spawn_with_placement(place, [&]() -> Task<> {
            go.set();
            static_cast<void>(co_await child.join());
            expect_all_ended_on(log, 1);
        });
        joiner.get();
    }
}

TEST_P(FrameEnd, BeforeABlockedThreadGoesOn) {
    auto two_shards = runtime(2);
    for (int round = 0; round < 200; ++round) {
        EndLog log;
        Event go;
        auto child = two_shards.handle().spawn_pinned(1, tracked(log, go, Ending::Value));
        go.set();
        EXPECT_EQ(child.get(), 7);
        expect_all_ended_on(log, 1);
    }
}

TEST_P(FrameEnd, BeforeDoneIsTrue) {
    auto two_shards = runtime(2);
    for (int round = 0; round < 200; ++round) {
        EndLog log;
        Event go;
        auto child = two_shards.handle().spawn_pinned(1, tracked(log, go, Ending::Value));
        go.set();
        while (!child.done()) {
            std::this_thread::yield();
        }
        expect_all_ended_on(log, 1);
    }
}

TEST_P(FrameEnd, BeforeWaitForIsTrue) {
    auto two_shards = runtime(2);
    for (const auto ending : {Ending::Value, Ending::Exception}) {
        EndLog log;
        Event go;
        auto child = two_shards.handle().spawn_pinned(1, tracked(log, go, ending));
        EXPECT_FALSE(child.wait_for(std::chrono::milliseconds(1)));
        EXPECT_EQ(log.size(), 0U);
        go.set();
        EXPECT_TRUE(child.wait_for(std::chrono::seconds(60)));
        expect_all_ended_on(log, 1);
        if (ending == Ending::Exception) {
            EXPECT_THROW(static_cast<void>(child.get()), std::runtime_error);
        }
    }
}

TEST_P(FrameEnd, OnTheTasksShardAlsoWhenNobodyJoins) {
    auto two_shards = runtime(2);
    EndLog log;
    Event go;
    two_shards.handle().spawn_pinned(1, tracked(log, go, Ending::Value)).detach();
    go.set();
    while (log.size() < 3) {
        std::this_thread::yield();
    }
    expect_all_ended_on(log, 1);
}

TEST_P(FrameEnd, OfAStealableTaskOnTheShardOfItsLastStep) {
    auto two_shards = runtime(2);
    for (ShardId last = 0; last < 2; ++last) {
        EndLog log;
        auto child = two_shards.handle().spawn_stealable(
            [capture = Tracker(log, "capture"), &log, last]() -> Task<std::thread::id> {
                const Tracker local(log, "local");
                static_cast<void>(co_await resume_on(last));
                co_return std::this_thread::get_id();
            });
        const auto thread = child.get();
        ASSERT_EQ(log.size(), 2U);
        for (const auto& ended : log.all()) {
            EXPECT_EQ(ended.thread, thread);
            EXPECT_EQ(ended.shard, last);
        }
    }
}

TEST_P(FrameEnd, OfAPlainCallable) {
    auto two_shards = runtime(2);
    EndLog log;
    auto child = two_shards.handle().spawn_pinned(1, [capture = Tracker(log, "capture")] { return shard_here(); });
    EXPECT_EQ(child.get(), 1);
    EXPECT_EQ(log.on_shard(1), 1U);
}

TEST_P(FrameEnd, OfATaskThatIsSpawnedItself) {
    auto two_shards = runtime(2);
    EndLog log;
    Event go;
    auto child = two_shards.handle().spawn_pinned(1, body(Tracker(log, "parameter"), log, go, Ending::Value));
    go.set();
    EXPECT_EQ(child.get(), 7);
    EXPECT_EQ(log.on_shard(1), 2U);
}

TEST_P(FrameEnd, OfAnAwaitedTaskBeforeItsParentGoesOn) {
    auto one = runtime(1);
    EndLog log;
    Event go;
    go.set();
    one.block_on([&]() -> Task<> {
        for (const auto ending : {Ending::Value, Ending::Exception}) {
            const auto before = log.size();
            auto inner = body(Tracker(log, "parameter"), log, go, ending);
            try {
                static_cast<void>(co_await std::move(inner));
            } catch (const std::runtime_error&) {}
            EXPECT_EQ(log.size(), before + 2);
        }
    });
}

TEST_P(FrameEnd, ATaskThatIsNeverStartedRunsNothing) {
    EndLog log;
    Event go;
    bool ran = false;
    {
        const auto never_awaited = body(Tracker(log, "parameter"), log, go, Ending::Value);
        const auto other = [](bool& flag) -> Task<> {
            flag = true;
            co_return;
        }(ran);
        EXPECT_EQ(log.size(), 0U);
    }
    EXPECT_FALSE(ran);
    EXPECT_EQ(log.names(), (std::vector<std::string>{"parameter"}));
}

TEST_P(FrameEnd, AKeptHandleKeepsTheResultOnly) {
    auto one = runtime(1);
    EndLog log;
    const auto shared = std::make_shared<int>(1);
    auto child = one.handle().spawn_pinned(0, [shared, capture = Tracker(log, "capture")]() -> Task<std::string> {
        const auto copy = shared;
        co_await yield();
        co_return std::string(1000, 'x').append("y");  // (Of a string by itself GCC 12 says that it is out of bounds.)
    });
    ASSERT_TRUE(child.wait_for(std::chrono::seconds(60)));
    EXPECT_EQ(shared.use_count(), 1);
    EXPECT_EQ(log.size(), 1U);
    EXPECT_EQ(child.get().size(), 1001U);
}

// Destructors are user code that may call the runtime.
TEST_P(FrameEnd, ADestructorMaySpawnAndStop) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    Event never;
    Event spawned_ran;
    auto other = handle.spawn_pinned(0, [&]() -> Task<bool> { co_return co_await never.async_wait(); });
    struct Busy {
        Busy(const RuntimeHandle& h, JoinHandle<bool>& o, Event& e) : handle(h), other(o), ran(e) {}
        Busy(const Busy&) = delete;
        Busy& operator=(const Busy&) = delete;
        ~Busy() {
            other.request_stop();
            handle.spawn_stealable([&event = ran] { event.set(); }).detach();
        }
        const RuntimeHandle& handle;
        JoinHandle<bool>& other;
        Event& ran;
    };
    auto child = handle.spawn_pinned(1, [&]() -> Task<> {
        const Busy busy(handle, other, spawned_ran);
        co_await yield();
    });
    child.get();
    spawned_ran.wait();
    EXPECT_FALSE(other.get());
}

}  // namespace
}  // namespace spargio::test
