// SPDX-License-Identifier: MIT
// ShardCtx: what a task asks of the shard it is running on.
#pragma once

#include <optional>
#include <utility>

#include "spargio/detail/submit.hpp"
#include "spargio/join_handle.hpp"
#include "spargio/message.hpp"
#include "spargio/runtime_handle.hpp"
#include "spargio/shard_id.hpp"

namespace spargio {

/// One per shard, and used on its thread only: every member throws std::logic_error on another one. A task that may
/// move asks current() again after each suspension.
class ShardCtx {
public:
    /// The calling thread's shard; nullptr on a thread that is none.
    [[nodiscard]] static ShardCtx* current() noexcept;

    ShardCtx(const ShardCtx&) = delete;
    ShardCtx& operator=(const ShardCtx&) = delete;

    ShardId shard_id() const;
    RuntimeHandle handle() const;
    std::optional<RemoteShard> remote(ShardId shard) const;

    /// Queues a task that stays on this shard. The cheapest spawn: no other thread is involved. RuntimeError::Closed
    /// once the runtime shuts down.
    template <Spawnable F>
    JoinHandle<SpawnValue<F>> spawn_local(F&& spawnable) {
        const auto id = runtime_id();
        auto task = detail::make_task(std::forward<F>(spawnable));
        detail::TaskHeader* header = detail::TaskAccess::release(task);
        detail::submit_local(*shard_, header);
        return JoinHandle<SpawnValue<F>>(header, id);
    }

private:
    friend class detail::Shard;

    explicit ShardCtx(detail::Shard* shard) noexcept : shard_(shard) {}
    /// Throws std::logic_error on any thread but the shard's.
    std::uint64_t runtime_id() const;

    detail::Shard* shard_;
};

}  // namespace spargio
