// SPDX-License-Identifier: MIT
// Sending messages: into lanes from a shard, into the shared lane from any other thread.
#include "spargio/detail/send.hpp"

#include <utility>

#include "process_fork.hpp"
#include "runtime_core.hpp"
#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/error.hpp"

namespace spargio::detail {

namespace {

// A step that sends more than this lets its targets begin before it ends. Publishing costs some 70 ns where the target
// is looking: about one per message.
constexpr std::uint64_t kPublishAfter = 64;

SendOutcome refused(SendError error) noexcept {
    SendOutcome outcome;
    outcome.error = error;
    return outcome;
}

SendOutcome accepted(std::size_t count, Receipts& receipts, std::uint64_t position) noexcept {
    if (count == 0) {
        return refused(SendError::Backpressure);
    }
    SendOutcome outcome;
    outcome.count = count;
    outcome.receipts = &receipts;
    outcome.position = position;
    return outcome;
}

SendOutcome send_from_shard(Shard& here, Shard& target, const RawMsg* messages, std::size_t count, std::size_t behind) {
    Lane& lane = target.mailbox.lane_from(here.id, target);
    const auto fits = lane.ring.room(count);
    lane.stage(messages, fits);
    here.counters.messages_sent.add(fits);
    if (!lane.listed) {
        lane.listed = true;
        lane.next_unpublished = here.unpublished;
        here.unpublished = &lane;
    }
    if (fits < count) {
        here.counters.messages_refused.add(count - fits + behind);
        // The caller may go on trying without ending its step: the target must be able to take what is there.
        here.publish(lane);
    } else if (lane.ring.unpublished() >= kPublishAfter) {
        here.publish(lane);
    }
    return accepted(fits, lane.receipts, lane.ring.staged());
}

SendOutcome send_from_outside(RuntimeCore& core, Shard& target, const RawMsg* messages, std::size_t count,
                              std::size_t behind) {
    refuse_after_fork(core.id);
    ForeignLane* lane = target.mailbox.foreign_lane();
    if (lane == nullptr) {
        return refused(SendError::Closed);
    }
    const auto reserved = lane->ring.reserve(count);
    if (!reserved) {
        return refused(SendError::Closed);
    }
    if (reserved->count < count) {
        core.foreign_messages_refused.fetch_add(count - reserved->count + behind, std::memory_order_relaxed);
    }
    for (std::size_t i = 0; i < reserved->count; ++i) {
        lane->ring.fill(reserved->first + i, Event{external_sender, messages[i].tag, messages[i].val});
    }
    if (reserved->count != 0 && target.mailbox.mark_foreign()) {
        wake_shard(target, nullptr);
    }
    return accepted(reserved->count, lane->receipts, reserved->first + reserved->count);
}

}  // namespace

SendOutcome send_messages(RuntimeCore& core, ShardId target, const RawMsg* messages, std::size_t count,
                          std::size_t behind) {
    if (core.closing() || target >= core.shards.size()) {
        return refused(SendError::Closed);
    }
    for (std::size_t i = 0; i < count; ++i) {
        if (messages[i].tag == reserved_tag) {
            return refused(SendError::InvalidTag);
        }
    }
    if (count == 0) {
        return {};
    }
    Shard& there = *core.shards[target];
    Shard* here = shard_in(core);
    return here != nullptr ? send_from_shard(*here, there, messages, count, behind)
                           : send_from_outside(core, there, messages, count, behind);
}

void flush_messages(RuntimeCore& core) noexcept {
    if (Shard* here = shard_in(core)) {
        here->publish_messages();
        if (std::exchange(here->bells_to_settle, false)) {
            here->driver->settle();  // With a submission thread, a bell can fail later: none is owed after this.
        }
    }
}

void Shard::publish(Lane& lane) noexcept {
    if (lane.ring.unpublished() == 0) {
        return;
    }
    lane.ring.publish();
    if (lane.target.mailbox.mark(id) && wake_shard(lane.target, this)) {
        bells_to_settle = true;
    }
}

void Shard::publish_messages() noexcept {
    while (Lane* lane = unpublished) {
        unpublished = lane->next_unpublished;
        lane->listed = false;
        publish(*lane);
    }
}

}  // namespace spargio::detail
