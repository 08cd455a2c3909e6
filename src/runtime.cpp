// SPDX-License-Identifier: MIT
// Runtime, RuntimeHandle and RuntimeBuilder: the compiled halves.
#include "spargio/runtime.hpp"

#include "runtime_core.hpp"
#include "shard.hpp"
#include "spargio/error.hpp"
#include "spargio/runtime_builder.hpp"

namespace spargio {

Runtime::Runtime(Runtime&& other) noexcept = default;

Runtime& Runtime::operator=(Runtime&& other) noexcept {
    if (this != &other) {
        shutdown();
        core_ = std::move(other.core_);
    }
    return *this;
}

Runtime::~Runtime() {
    shutdown();
}

BackendKind Runtime::backend() const noexcept {
    return core_->backend;
}

std::size_t Runtime::shard_count() const noexcept {
    return core_->shards.size();
}

TaskPlacement Runtime::block_on_placement() const {
    const auto turn = core_->block_on_cursor.fetch_add(1, std::memory_order_relaxed);
    return TaskPlacement::pinned(static_cast<ShardId>(turn % core_->shards.size()));
}

void Runtime::shutdown() noexcept {
    if (core_) {
        core_->shutdown();
    }
}

BackendKind RuntimeHandle::backend() const noexcept {
    return core_->backend;
}

std::size_t RuntimeHandle::shard_count() const noexcept {
    return core_->shards.size();
}

Capabilities RuntimeHandle::capabilities() const {
    return core_->capabilities;
}

std::optional<RemoteShard> RuntimeHandle::remote(ShardId shard) const {
    if (shard >= core_->shards.size()) {
        return std::nullopt;
    }
    return RemoteShard(core_, shard);
}

Result<NativeLane> RuntimeHandle::native_lane(ShardId shard) const {
    if (core_->closing()) {
        return RuntimeError::Closed;
    }
    if (shard >= core_->shards.size()) {
        return RuntimeError::InvalidShard;
    }
    if (core_->backend != BackendKind::IoUring) {
        return RuntimeError::UnsupportedBackend;
    }
    return NativeLane(core_, core_->shards[shard].get(), shard);
}

RuntimeStats RuntimeHandle::stats_snapshot() const {
    return core_->stats();
}

}  // namespace spargio
