// SPDX-License-Identifier: MIT
// RuntimeHandle: spawning and asking, from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "spargio/backend.hpp"
#include "spargio/capabilities.hpp"
#include "spargio/detail/submit.hpp"
#include "spargio/join_handle.hpp"
#include "spargio/message.hpp"
#include "spargio/native_lane.hpp"
#include "spargio/placement.hpp"
#include "spargio/result.hpp"
#include "spargio/spawnable.hpp"
#include "spargio/stats.hpp"

namespace spargio {

/// A counted reference to a runtime: cheap to copy (an atomic increment at most), every member const and callable from
/// any thread, in or out of the runtime. It keeps no thread alive and may outlive the runtime: then every spawn is
/// refused with RuntimeError::Closed.
///
/// A spawn allocates the task's frame (from a per-thread pool) and nothing else; a callable that returns a Task has a
/// frame of its own beside the task's. It never blocks. It rings the target shard's doorbell, a system call, only if
/// that shard sleeps. A refused spawn destroys the task's frame at once and gives a handle that is done, with
/// spawn_error(). std::bad_alloc is thrown if the frame cannot be allocated.
class RuntimeHandle {
public:
    /// The backend that won: never Auto.
    [[nodiscard]] BackendKind backend() const noexcept;
    [[nodiscard]] std::size_t shard_count() const noexcept;
    /// Which ring features are in use, and why the others are not.
    [[nodiscard]] Capabilities capabilities() const;
    /// That shard, or nothing if there is none with this id.
    [[nodiscard]] std::optional<RemoteShard> remote(ShardId shard) const;

    /// Every step runs on `shard`. RuntimeError::InvalidShard if there is none with this id.
    template <Spawnable F>
    JoinHandle<SpawnValue<F>> spawn_pinned(ShardId shard, F&& spawnable) const {
        return spawn_with_placement(TaskPlacement::pinned(shard), std::forward<F>(spawnable));
    }

    /// Pinned to the next shard of the runtime's one cursor.
    template <Spawnable F>
    JoinHandle<SpawnValue<F>> spawn_round_robin(F&& spawnable) const {
        return spawn_with_placement(TaskPlacement::round_robin(), std::forward<F>(spawnable));
    }

    /// Pinned to the shard of the key: the same key, the same shard.
    template <Spawnable F>
    JoinHandle<SpawnValue<F>> spawn_sticky(std::uint64_t key, F&& spawnable) const {
        return spawn_with_placement(TaskPlacement::sticky(key), std::forward<F>(spawnable));
    }

    /// Any shard may run any step. RuntimeError::Overloaded when every queue is full and the caller is not a task of
    /// this runtime; a task's spawn is never refused, what does not fit goes to a queue that all shards share.
    template <Spawnable F>
    JoinHandle<SpawnValue<F>> spawn_stealable(F&& spawnable) const {
        return spawn_with_placement(TaskPlacement::stealable(), std::forward<F>(spawnable));
    }

    /// The same, queued at `preferred` first. RuntimeError::InvalidShard if there is no such shard; a caller that is no
    /// task of this runtime gets Overloaded when that shard's own queue is full.
    template <Spawnable F>
    JoinHandle<SpawnValue<F>> spawn_stealable_on(ShardId preferred, F&& spawnable) const {
        return spawn_with_placement(TaskPlacement::stealable_preferred(preferred), std::forward<F>(spawnable));
    }

    template <Spawnable F>
    JoinHandle<SpawnValue<F>> spawn_with_placement(TaskPlacement placement, F&& spawnable) const {
        return detail::spawn(*core_, placement, std::forward<F>(spawnable));
    }

    /// Runs a plain callable on a bounded pool of threads outside the shards: for calls that block. Full queue:
    /// RuntimeError::Overloaded; no thread to be had: ThreadSpawn; after the shutdown: Closed. Joining it is joining a
    /// task, and what it throws goes where a task's exception goes. It cannot be stopped: give it a flag of your own to
    /// look at. A shutdown waits for jobs that run; those that are queued still are not run (JoinError::Canceled). The
    /// callable is destroyed on the pool's thread, or in the shutdown.
    template <detail::SpawnableCallable F>
    requires(!detail::is_task<std::invoke_result_t<detail::Called<std::decay_t<F>>>>)
        JoinHandle<SpawnValue<F>> spawn_blocking(F&& callable)
    const {
        auto task = detail::make_task(std::forward<F>(callable));
        const auto id = detail::core_id(&*core_);  // First: the job may destroy this handle.
        detail::TaskHeader* header = detail::TaskAccess::release(task);
        detail::submit_blocking(*core_, header);
        return JoinHandle<SpawnValue<F>>(header, id);
    }

    /// Reads, writes and other requests on the ring of a shard. UnsupportedBackend on the queue backend, InvalidShard
    /// for an unknown shard, Closed after the shutdown.
    [[nodiscard]] Result<NativeLane> native_lane(ShardId shard) const;

    /// Totals since the build and gauges of now; takes no lock, allocates one vector.
    [[nodiscard]] RuntimeStats stats_snapshot() const;

private:
    friend class Runtime;
    friend class ShardCtx;
    friend class TaskGroup;

    explicit RuntimeHandle(detail::CoreRef core) noexcept : core_(std::move(core)) {}

    detail::CoreRef core_;
};

}  // namespace spargio
