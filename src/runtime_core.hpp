// SPDX-License-Identifier: MIT
// RuntimeCore: what the shards, the handles and the owner of one runtime share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "asymmetric_fence.hpp"
#include "blocking_pool.hpp"
#include "runtime_options.hpp"
#include "shutdown_sync.hpp"
#include "spargio/capabilities.hpp"
#include "spargio/detail/core_ref.hpp"
#include "spargio/detail/seams.hpp"
#include "spargio/stats.hpp"
#include "steal_queue.hpp"
#include "threads.hpp"

namespace spargio::detail {

class Shard;

enum class Phase : std::uint8_t {
    Running,
    Closing,  ///< new work is refused; shards are ending
    Closed,   ///< no thread and no ring is left
};

/// Counted by handles, by the owner, and by whoever is about to touch a shard of a runtime that is not its own.
class RuntimeCore {
public:
    explicit RuntimeCore(RuntimeOptions complete);
    RuntimeCore(const RuntimeCore&) = delete;
    RuntimeCore& operator=(const RuntimeCore&) = delete;
    ~RuntimeCore();

    /// Starts the shards. On failure none of them is left.
    [[nodiscard]] std::optional<BuildFailure> start();

    [[nodiscard]] Phase phase() const noexcept { return phase_.load(std::memory_order_acquire); }
    [[nodiscard]] bool closing() const noexcept { return phase() != Phase::Running; }

    /// See Runtime::shutdown().
    void shutdown() noexcept;

    /// An exception that nobody can join any more.
    void report_unhandled(std::exception_ptr error) noexcept;

    [[nodiscard]] RuntimeStats stats() const;

    const std::uint64_t id;
    const RuntimeOptions options;
    BackendKind backend = BackendKind::Queue;  // Written before the first shard runs a task.
    Capabilities capabilities;                 // The same.
    std::vector<std::unique_ptr<Shard>> shards;
    alignas(cache_line) BlockingPool blocking;  // Its lock is not for the readers of `shards`.
    StealQueue overflow;                        // What did not fit into the deque of its shard.

    // A shard looks for work without having any; one at a time. A waker that reads true wakes nobody, and a shard that
    // parks leaves stealable work alone: the searcher, when it gives up, clears this and then looks at every queue once
    // more. Sequentially consistent, with the sizes of the queues. (tests/models/steal.pml)
    alignas(cache_line) atomic<bool> searching{false};
    // Shards whose park state may be Parked; lets a waker skip the look at each of them. Same handshake.
    atomic<std::uint32_t> parked{0};
    // Whether the owners of the deques fence. Who seeks is in Shard::attention.
    AsymmetricFence fence;

    // Cursors: any thread increments; order nothing.
    alignas(cache_line) atomic<std::uint64_t> round_robin_cursor{0};
    atomic<std::uint64_t> block_on_cursor{0};
    atomic<std::uint64_t> steal_cursor{0};
    atomic<std::uint64_t> foreign_messages_refused{0};
    atomic<std::uint64_t> foreign_bells{0};  // Bells rung by threads that are no shard of this runtime.

    ShutdownSync shutdown_sync;
    // The helper thread of a shutdown could not be started. Written before the shards are told to stop.
    atomic<bool> finish_on_first_shard{false};

    /// src/shutdown.cpp
    void collect_tasks() noexcept;
    void finish_shutdown() noexcept;

private:
    friend void core_acquire(RuntimeCore*) noexcept;
    friend void core_release(RuntimeCore*) noexcept;

    /// One attempt with one kind of driver; the reason when it failed, with every thread joined.
    [[nodiscard]] std::optional<BuildFailure> start_shards(BackendKind kind);
    [[nodiscard]] std::optional<BuildFailure> start_threads(const std::shared_ptr<class StartGate>& gate) noexcept;
    void shard_main(Shard& shard, class StartGate& gate) noexcept;
    [[nodiscard]] std::uint64_t live_tasks() const noexcept;

    const pid_t process_;
    std::vector<Thread> threads_;
    // Writer: the first shutdown(), then its finisher. Closing releases nothing (queues have their own closing); Closed
    // releases the end of all threads. Read at each spawn and send.
    atomic<Phase> phase_{Phase::Running};
    // Writers: handles, and shards for their stocks. The last decrement acquires what all others released.
    alignas(cache_line) atomic<std::uint64_t> references_{0};
};

}  // namespace spargio::detail
