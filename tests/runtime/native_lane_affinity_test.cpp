// SPDX-License-Identifier: MIT
// An operation, or its stop, that turns up on a shard whose ring is not its own: counted, not submitted there, and not
// lost. No public call brings that about, so the test carries the message to the wrong shard itself.
#include <thread>

#include "operation.hpp"
#include "scheduler.hpp"
#include "shard.hpp"
#include "support/event.hpp"
#include "support/files.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

/// In a step of the shard that owns the ring: waits for the start of an operation, or its stop, that another shard
/// sends here, and puts it into the inbox of `wrong` instead.
void misdirect_next_message(ShardId wrong) {
    detail::Shard& here = *detail::current_shard();
    detail::Shard& there = *here.runtime().shards[wrong];
    while (here.inbox.empty()) {
        std::this_thread::yield();
    }
    detail::WorkList arrived;
    ASSERT_EQ(here.inbox.take_all(arrived), 1U);
    detail::WorkItem* message = arrived.pop_front();
    ASSERT_TRUE(detail::is_operation_message(message));
    if (there.inbox.push(message) == detail::Push::WasEmpty) {
        detail::wake_shard(there, &here);
    }
}

/// On any shard of the runtime: how many operations have begun on the ring of one.
std::uint64_t begun_on(ShardId shard) {
    return detail::current_shard()->runtime().shards[shard]->counters.native_begun.get();
}

class NativeLaneAffinity : public UringTest {};

TEST_F(NativeLaneAffinity, AnOperationOnTheWrongShardIsCountedAndRunsOnItsOwnRing) {
    constexpr ShardId reader = 0;
    constexpr ShardId owner = 1;
    constexpr ShardId wrong = 2;
    const Watchdog watchdog("an operation on the wrong shard");
    const auto file = file_of("x");
    const Runtime three = builder(3).build();
    const auto handle = three.handle();
    const auto lane = handle.native_lane(owner).value();
    // Once on the shard of the task that waits, once on one that has nothing to do with it.
    std::uint64_t violations = 0;
    for (const ShardId elsewhere : {reader, wrong}) {
        Event inside;
        auto carrier = handle.spawn_pinned(owner, [&] {
            inside.set();
            misdirect_next_message(elsewhere);
        });
        inside.wait();
        auto reading = handle.spawn_pinned(reader, [&]() -> Task<> {
            const auto read = co_await lane.read_at(file.get(), 0, 10);
            EXPECT_EQ(text_of(read.value()), "x");
            EXPECT_EQ(ShardCtx::current()->shard_id(), reader);
            EXPECT_EQ(begun_on(reader), 0U);
            EXPECT_EQ(begun_on(wrong), 0U);
        });
        reading.get();
        carrier.get();
        const auto stats = handle.stats_snapshot();
        EXPECT_EQ(stats.native_affinity_violations, ++violations);
        EXPECT_EQ(stats.pending_native_ops, 0U);
        EXPECT_EQ(stats.late_wakes, 0U);
    }
    EXPECT_EQ(handle.spawn_pinned(owner, [&] { return begun_on(owner); }).get(), 2U);
}

TEST_F(NativeLaneAffinity, AStopOnTheWrongShardIsCountedAndReachesItsOperation) {
    constexpr ShardId reader = 0;
    constexpr ShardId owner = 1;
    constexpr ShardId wrong = 2;
    const Watchdog watchdog("a stop on the wrong shard");
    const Pipe pipe;
    const Runtime three = builder(3).build();
    const auto handle = three.handle();
    const auto lane = handle.native_lane(owner).value();
    std::uint64_t violations = 0;
    for (const ShardId elsewhere : {reader, wrong}) {
        auto reading = handle.spawn_pinned(reader, [&]() -> Task<std::error_code> {
            const auto read = co_await lane.read_at(pipe.reader.get(), current_position, 10);
            co_return read.error();
        });
        finish_step(handle, reader);
        finish_step(handle, owner);  // The read is in the ring.
        Event inside;
        auto carrier = handle.spawn_pinned(owner, [&] {
            inside.set();
            misdirect_next_message(elsewhere);
        });
        inside.wait();
        reading.request_stop();
        carrier.get();
        EXPECT_EQ(reading.get(), std::errc::operation_canceled);
        const auto stats = handle.stats_snapshot();
        EXPECT_EQ(stats.native_affinity_violations, ++violations);
        EXPECT_EQ(stats.pending_native_ops, 0U);
        EXPECT_EQ(stats.late_wakes, 0U);
    }
}

}  // namespace
}  // namespace spargio::test
