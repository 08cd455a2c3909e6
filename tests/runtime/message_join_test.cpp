// SPDX-License-Identifier: MIT
// Messages: what a joiner may rely on, and how refusals are counted.
#include <cstdint>
#include <span>
#include <vector>

#include "support/backend_test.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

class MessagesOfJoinedTasks : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(MessagesOfJoinedTasks);

struct Typed {
    std::uint32_t value;
    [[nodiscard]] RawMsg encode() const { return {1, value}; }
    static Typed decode(RawMsg raw) { return {raw.val}; }
};

TEST_P(MessagesOfJoinedTasks, AreThereWhenTheTaskHasBeenJoined) {
    auto two = runtime(2);
    const RemoteShard target = *two.handle().remote(1);
    unsigned late = 0;
    for (unsigned round = 0; round < scaled(30'000, 3'000); ++round) {
        two.handle().spawn_pinned(0, [target] { EXPECT_TRUE(target.send_raw_nowait(1, 1).has_value()); }).get();
        const auto look = [] { return ShardCtx::current()->try_next_event().has_value(); };
        const bool there = two.handle().spawn_pinned(1, look).get();
        late += there ? 0 : 1;
        while (!there && !two.handle().spawn_pinned(1, look).get()) {}
    }
    EXPECT_EQ(late, 0U);
}

TEST_P(MessagesOfJoinedTasks, ManyThatAreRefusedCountTheSameTypedOrNot) {
    auto two = builder(2).msg_ring_queue_capacity(10).build();
    const RemoteShard target = *two.handle().remote(1);
    StalledShard stalled(two.handle(), 1);
    const auto sent = target.send_many_raw_nowait(std::vector<RawMsg>(1000, RawMsg{1, 1}));
    EXPECT_EQ(sent.value_or(0), 10U);
    const auto raw = two.handle().stats_snapshot().ring_msgs_backpressure;
    EXPECT_EQ(raw, 990U);
    const std::vector<Typed> typed(1000, Typed{1});
    EXPECT_FALSE(target.send_many_nowait(std::span<const Typed>(typed)).has_value());
    EXPECT_EQ(two.handle().stats_snapshot().ring_msgs_backpressure - raw, 1000U);
}

}  // namespace
}  // namespace spargio::test
