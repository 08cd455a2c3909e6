// SPDX-License-Identifier: MIT
// NativeLane: read and write operations on the ring of one shard.
#pragma once

#include "spargio/shard_id.hpp"

namespace spargio {

/// Not available in this version: RuntimeHandle::native_lane() gives RuntimeError::UnsupportedBackend on every backend.
class NativeLane {
public:
    [[nodiscard]] ShardId shard() const noexcept { return shard_; }

private:
    friend class RuntimeHandle;

    explicit NativeLane(ShardId shard) noexcept : shard_(shard) {}

    ShardId shard_;
};

}  // namespace spargio
