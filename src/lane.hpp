// SPDX-License-Identifier: MIT
// Lane: the messages from one shard to one shard; and the lane that all other threads share.
#pragma once

#include <cstddef>

#include "mpsc_ring.hpp"
#include "receipts.hpp"
#include "spargio/event.hpp"
#include "spsc_ring.hpp"

namespace spargio::detail {

class Shard;

/// Made by its source at the first send, kept until the runtime's memory goes.
struct Lane {
    Lane(Shard& to, std::size_t capacity) : target(to), ring(capacity) {}

    // The source's thread.
    Shard& target;
    Lane* next_unpublished = nullptr;  // In the source's list of lanes that hold staged messages.
    bool listed = false;

    SpscRing<Event> ring;
    Receipts receipts;
};

struct ForeignLane {
    explicit ForeignLane(std::size_t capacity) : ring(capacity) {}

    MpscRing<Event> ring;
    Receipts receipts;
};

}  // namespace spargio::detail
