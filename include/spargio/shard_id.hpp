// SPDX-License-Identifier: MIT
// The number of a shard within its runtime.
#pragma once

#include <cstdint>

namespace spargio {

/// Shards are numbered from 0 to shard_count() - 1.
using ShardId = std::uint16_t;

/// Stands for "a thread that is no shard of this runtime" wherever a sender is named; never the id of a shard.
inline constexpr ShardId external_sender = 0xFFFF;

}  // namespace spargio
