// SPDX-License-Identifier: MIT
// RuntimeBuilder: the options of a runtime.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "spargio/backend.hpp"
#include "spargio/result.hpp"
#include "spargio/runtime.hpp"

namespace spargio {

namespace detail {
struct RuntimeOptions;
}

/// Collects options, then builds. Copyable; one builder may build many runtimes. Options are checked in build(), all
/// with an error that names the option and the remedy.
class RuntimeBuilder {
public:
    RuntimeBuilder();
    RuntimeBuilder(const RuntimeBuilder& other);
    RuntimeBuilder(RuntimeBuilder&& other) noexcept;
    RuntimeBuilder& operator=(RuntimeBuilder other) noexcept;
    ~RuntimeBuilder();

    /// Shard threads, 1 to 65534. Default: the CPUs this process may use (affinity mask and cgroup quota).
    RuntimeBuilder& shards(std::size_t count);
    /// Threads are named "<prefix>-<id>"; the kernel keeps 15 characters, so a long prefix is cut, never the id.
    /// Default "spargio-shard".
    RuntimeBuilder& thread_prefix(std::string prefix);
    /// Default Auto: IoUring where a ring can be set up and used, else Queue.
    RuntimeBuilder& backend(BackendKind kind);
    /// Submission queue entries per shard, at least 1 (the kernel rounds up to a power of two, at most 32768). Default
    /// 256. The completion queue has four times as many. Halved, down to 64, while the kernel has no memory for it.
    RuntimeBuilder& ring_entries(std::uint32_t entries);
    /// Messages per (target, source) pair that no task of the target has taken yet, 1 to 2^30; the next one is refused
    /// with SendError::Backpressure. All threads that are no shard share one such queue per target. Default 4096. A
    /// queue is made at the first send: 8 bytes per message (16 for foreign threads), touched as it is used.
    RuntimeBuilder& msg_ring_queue_capacity(std::size_t capacity);
    /// Stealable tasks that wait per shard, at least 1. Default 65536. One more from outside is refused with
    /// RuntimeError::Overloaded: if it prefers a shard and that one is full, else if all are. A task of the runtime is
    /// never refused one. Of what a shard spawns itself 1,024 at most stay there (fewer with a smaller capacity); the
    /// rest, and what it finds no room for at a shard that it prefers, waits in a queue that all shards share, which
    /// has no bound and is not in RuntimeStats::shard_command_depths.
    RuntimeBuilder& stealable_queue_capacity(std::size_t capacity);
    /// Tasks taken in one steal, at most; at least 1. Default 16.
    RuntimeBuilder& steal_budget(std::size_t tasks);
    /// Longest spin before a shard blocks; 0 blocks at once; at most 1 s. Spins adapt: misses shorten them, and every
    /// microsecond or so they offer the CPU to others, up to four times less often where nobody takes it. Default 50
    /// us, about what a sleep and a wake cost in a virtual machine, where each shard can have a CPU of its own (of
    /// those this process may use, or that thread_affinity names), else 0.
    RuntimeBuilder& idle_spin(std::chrono::microseconds longest);
    /// Shard i runs on cpus[i % size]. A CPU that cannot be set is an error; an empty list (default) sets none.
    RuntimeBuilder& thread_affinity(std::vector<unsigned> cpus);
    /// Threads of the blocking pool, at most; at least 1. Default 4 x CPUs. Started on demand, ended when idle.
    RuntimeBuilder& blocking_threads(std::size_t threads);
    /// Blocking jobs that may wait for a thread, at least 1; default 1024. One more is Overloaded.
    RuntimeBuilder& blocking_queue_capacity(std::size_t jobs);
    /// A kernel thread submits for each ring and sleeps after `idle` without work (1 ms to 1 h). It takes CPU while
    /// awake, and acts for good with the credentials of the thread that built the runtime. Excludes defer_taskrun and
    /// coop_taskrun. Default: none. Clearing it clears the CPU too.
    RuntimeBuilder& io_uring_sqpoll(std::optional<std::chrono::milliseconds> idle);
    /// The CPU of that kernel thread; implies an idle time of 2000 ms if none is set.
    RuntimeBuilder& io_uring_sqpoll_cpu(std::optional<unsigned> cpu);
    /// IORING_SETUP_SINGLE_ISSUER (6.0). Default on, where the kernel has it; asked for explicitly, no ring is made
    /// without it.
    RuntimeBuilder& io_uring_single_issuer(bool on);
    /// IORING_SETUP_COOP_TASKRUN (5.19). Default on, where defer_taskrun is not in use; asked for explicitly, no ring
    /// is made without it, and it is set beside defer_taskrun too.
    RuntimeBuilder& io_uring_coop_taskrun(bool on);
    /// IORING_SETUP_DEFER_TASKRUN (6.1). Default on, where the kernel has it; asked for explicitly and refused is an
    /// error.
    RuntimeBuilder& io_uring_defer_taskrun(bool on);
    /// Called with an exception that left a task nobody joins, on the thread where the last chance to join it went
    /// away: as a rule a shard, so it should not block, and on several at a time. Must not throw (std::terminate).
    /// Default, and with an empty function: one line on stderr, then std::terminate. Nothing is reported while a
    /// shutdown runs; an exception in a handle that is dropped after it is.
    RuntimeBuilder& on_unhandled_exception(std::function<void(std::exception_ptr)> hook);

    /// Starts the shards. Throws std::system_error whose what() names the option or the errno, and the remedy.
    /// On failure no thread, ring or descriptor is left.
    Runtime build() const;
    /// The same without throwing: RuntimeError::InvalidConfig, ThreadSpawn or IoUringInit, or an errno. (A hook whose
    /// copy throws is let through.)
    Result<Runtime> try_build() const;

private:
    [[nodiscard]] detail::RuntimeOptions& options() const noexcept;

    std::unique_ptr<detail::RuntimeOptions> options_;
};

}  // namespace spargio
