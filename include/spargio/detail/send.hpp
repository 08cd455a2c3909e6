// SPDX-License-Identifier: MIT
// Sending messages: what RemoteShard and ShardCtx have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <system_error>

#include "spargio/detail/core_ref.hpp"
#include "spargio/event.hpp"

namespace spargio::detail {

class Receipts;

inline constexpr std::uint16_t reserved_tag = 0xFFFF;  // SendError::InvalidTag

struct SendOutcome {
    std::error_code error;         // Set if nothing was accepted, although something was offered.
    std::size_t count = 0;         // Accepted, from the front.
    Receipts* receipts = nullptr;  // With `position`: a ticket for the last of them.
    std::uint64_t position = 0;
};

/// From the calling thread, be it a shard of that runtime or not. Never blocks. Throws std::bad_alloc at the first send
/// between two shards, when there is no memory for their lane.
/// `behind`: how many more the caller has, which it will not offer if these do not all fit; they count as refused then.
[[nodiscard]] SendOutcome send_messages(RuntimeCore& core, ShardId target, const RawMsg* messages, std::size_t count,
                                        std::size_t behind = 0);

/// Publishes what the calling shard has sent in this step; nothing to do on any other thread.
void flush_messages(RuntimeCore& core) noexcept;

/// Encodes and sends typed messages some at a time, so that no memory is needed.
template <RingMsg M>
SendOutcome send_encoded(RuntimeCore& core, ShardId target, const M* messages, std::size_t count) {
    constexpr std::size_t kChunk = 64;
    RawMsg raw[kChunk];
    // All or nothing where a tag is reserved, as with untyped messages.
    for (std::size_t i = 0; i < count; ++i) {
        raw[0] = messages[i].encode();
        if (raw[0].tag == reserved_tag) {
            return send_messages(core, target, raw, 1);
        }
    }
    SendOutcome sum;
    do {
        const auto chunk = count - sum.count < kChunk ? count - sum.count : kChunk;
        for (std::size_t i = 0; i < chunk; ++i) {
            raw[i] = messages[sum.count + i].encode();
        }
        const auto outcome = send_messages(core, target, raw, chunk, count - sum.count - chunk);
        sum.error = sum.count == 0 ? outcome.error : std::error_code();
        sum.count += outcome.count;
        if (outcome.count < chunk) {
            break;
        }
    } while (sum.count < count);
    return sum;
}

}  // namespace spargio::detail
