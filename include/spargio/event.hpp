// SPDX-License-Identifier: MIT
// Event: a message as it arrives on a shard, and what can be sent as one.
#pragma once

#include <concepts>
#include <cstdint>
#include <ranges>
#include <type_traits>

#include "spargio/shard_id.hpp"

namespace spargio {

/// What a message carries: 48 bits, of which the runtime reads none. Tag 0xFFFF is reserved.
struct RawMsg {
    std::uint16_t tag;
    std::uint32_t val;
};

/// A type that travels as a RawMsg:
///
///     struct Ping {
///         std::uint32_t round;
///         spargio::RawMsg encode() const { return {1, round}; }
///         static Ping decode(spargio::RawMsg raw) { return {raw.val}; }
///     };
template <class M>
concept RingMsg = std::is_trivially_copyable_v<M> && requires(const M message, RawMsg raw) {
    { message.encode() } -> std::same_as<RawMsg>;
    { M::decode(raw) } -> std::same_as<M>;
};

namespace detail {
/// Messages in a row, for the sends of many.
template <class R>
concept RingMsgRange = std::ranges::contiguous_range<const R> && RingMsg<std::ranges::range_value_t<R>>;
}  // namespace detail

/// A message that has arrived.
struct Event {
    ShardId from;  ///< The sending shard; external_sender for any other thread.
    std::uint16_t tag;
    std::uint32_t val;

    /// What was sent, if the tag says that it is an M: the caller's decision.
    template <RingMsg M>
    [[nodiscard]] M as() const {
        return M::decode(RawMsg{tag, val});
    }
};

}  // namespace spargio
