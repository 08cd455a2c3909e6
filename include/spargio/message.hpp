// SPDX-License-Identifier: MIT
// RemoteShard: one shard of a runtime, seen from elsewhere.
#pragma once

#include "spargio/detail/core_ref.hpp"
#include "spargio/shard_id.hpp"

namespace spargio {

/// Names a shard of a runtime. Copyable, any thread. Sending messages through it comes with a later version.
class RemoteShard {
public:
    [[nodiscard]] ShardId id() const noexcept { return id_; }

private:
    friend class RuntimeHandle;

    RemoteShard(detail::CoreRef core, ShardId id) noexcept : core_(static_cast<detail::CoreRef&&>(core)), id_(id) {}

    detail::CoreRef core_;
    ShardId id_;
};

}  // namespace spargio
