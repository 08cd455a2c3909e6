// SPDX-License-Identifier: MIT
// Lane: the messages from one shard to one shard; and the lane that all other threads share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mpsc_ring.hpp"
#include "receipts.hpp"
#include "spargio/event.hpp"
#include "spargio/shard_id.hpp"
#include "spsc_ring.hpp"

namespace spargio::detail {

class Shard;

/// Made by its source at the first send, kept until the runtime's memory goes.
struct Lane {
    Lane(ShardId source, Shard& to, std::size_t capacity) : from(source), target(to), ring(capacity) {}

    /// The source's thread; requires room. Nobody sees them until they are published.
    void stage(const RawMsg* messages, std::size_t count) noexcept {
        ring.stage(count,
                   [messages](std::size_t i) { return std::uint64_t{messages[i].val} << 16U | messages[i].tag; });
    }

    /// The target's thread: as SpscRing::take().
    std::size_t take(Event* out, std::size_t most) noexcept {
        return ring.take(most, [this, out](std::size_t i, std::uint64_t item) {
            out[i] = Event{from, static_cast<std::uint16_t>(item), static_cast<std::uint32_t>(item >> 16U)};
        });
    }

    const ShardId from;
    Shard& target;
    SpscRing ring;
    Receipts receipts;

    // The source's thread.
    alignas(cache_line) Lane* next_unpublished = nullptr;  // In the source's list of lanes that hold staged messages.
    bool listed = false;
};

struct ForeignLane {
    explicit ForeignLane(std::size_t capacity) : ring(capacity) {}

    std::size_t take(Event* out, std::size_t most) noexcept { return ring.take(out, most); }

    MpscRing<Event> ring;
    Receipts receipts;
};

}  // namespace spargio::detail
