// SPDX-License-Identifier: MIT
// Shard and ShardCtx: construction and what a task may ask.
#include "shard.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace spargio::detail {

namespace {

// What a busy shard makes beyond that goes to the shared queue: enough for each thief to find something, and for a tree
// of forks; 8 KiB.
constexpr std::size_t kMostInDeque = 1024;

}  // namespace

Shard::Shard(RuntimeCore& runtime, ShardId number)
    : id(number),
      deque(std::bit_floor(std::min(runtime.options.stealable_queue_capacity, kMostInDeque)), runtime.fence),
      mailbox(*runtime.options.shards, runtime.options.msg_ring_queue_capacity),
      ctx(this),
      spin_(runtime.options.idle_spin.value_or(std::chrono::microseconds(0))),
      random_(runtime.id * 0x9E3779B97F4A7C15ULL + number + 1) {
    core = &runtime;
}

Shard::~Shard() = default;

}  // namespace spargio::detail

namespace spargio {

ShardCtx* ShardCtx::current() noexcept {
    detail::Shard* shard = detail::current_shard();
    return shard != nullptr ? &shard->ctx : nullptr;
}

detail::RuntimeCore& ShardCtx::own_core() const {
    if (detail::current_shard() != shard_) {
        throw std::logic_error(
            "spargio: a ShardCtx was used off its shard's thread; ask ShardCtx::current() again after each suspension");
    }
    return *shard_->core;
}

std::uint64_t ShardCtx::runtime_id() const {
    return own_core().id;
}

detail::Executor* ShardCtx::shard_as_executor() const noexcept {
    return shard_;
}

ShardId ShardCtx::shard_id() const {
    static_cast<void>(runtime_id());
    return shard_->id;
}

RuntimeHandle ShardCtx::handle() const {
    static_cast<void>(runtime_id());
    return RuntimeHandle(detail::CoreRef(shard_->core));
}

std::optional<RemoteShard> ShardCtx::remote(ShardId shard) const {
    return handle().remote(shard);
}

}  // namespace spargio
