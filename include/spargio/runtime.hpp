// SPDX-License-Identifier: MIT
// Runtime: the owner of the shards.
#pragma once

#include <cstddef>
#include <utility>

#include "spargio/runtime_handle.hpp"

namespace spargio {

/// Owns the shard threads, their rings and everything spawned on them; made by RuntimeBuilder. Move-only. Its
/// destructor is shutdown(), and so is an assignment to it, for what it had. handle(), block_on() and shutdown() may be
/// called from any thread.
class Runtime {
public:
    Runtime(Runtime&& other) noexcept;
    Runtime& operator=(Runtime&& other) noexcept;
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;
    ~Runtime();

    [[nodiscard]] RuntimeHandle handle() const { return RuntimeHandle(core_); }
    [[nodiscard]] BackendKind backend() const noexcept;
    [[nodiscard]] std::size_t shard_count() const noexcept;

    /// Runs the spawnable pinned to a shard (they take turns, from shard 0) and blocks the calling thread until it
    /// ends; returns its value or rethrows. std::logic_error on a shard thread of this runtime; std::system_error when
    /// the runtime is shut down, RuntimeError::Closed before and JoinError::Canceled meanwhile.
    template <Spawnable F>
    auto block_on(F&& spawnable) -> SpawnValue<F> {
        detail::refuse_on_shard_of(detail::core_id(&*core_));  // Before anything runs that nobody would wait for.
        auto handle = detail::spawn(*core_, block_on_placement(), std::forward<F>(spawnable));
        return handle.get();
    }

    /// Ends the runtime, in this order: new work is refused (Closed); each shard finishes the step it is in, and from
    /// then on only destructors run; timers and operations are cancelled; tasks that have not ended are destroyed, an
    /// awaited one before the one that awaits it, and their joiners get JoinError::Canceled; threads are joined,
    /// blocking jobs that run are waited for; the rings are closed. Idempotent; concurrent calls wait for the first. On
    /// one of its own threads (shard or blocking pool) it starts the shutdown and returns, and a helper thread does the
    /// rest after the step. In a child after fork() it does nothing, like the destructor: the threads are not there,
    /// and where work is given to one of them, or waited for, the child is aborted with a sentence; ends of boundary
    /// channels may be dropped, but not waited at. A child may build a runtime of its own. On a shard of another
    /// runtime it waits like any thread, so two runtimes whose tasks shut each other down wait for ever, and so does a
    /// shard that shuts down a runtime with a task that awaits an operation on that very shard's ring.
    void shutdown() noexcept;

private:
    friend class RuntimeBuilder;

    explicit Runtime(detail::CoreRef core) noexcept : core_(std::move(core)) {}
    [[nodiscard]] TaskPlacement block_on_placement() const;

    detail::CoreRef core_;
};

}  // namespace spargio
