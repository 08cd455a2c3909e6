// SPDX-License-Identifier: MIT
// Driver: what a shard waits on. One implementation on io_uring, one on a futex.
#pragma once

#include "spargio/detail/seams.hpp"

namespace spargio::detail {

class Shard;
struct Operation;

/// Made and used by its shard; closed when all shards have ended; the object lives as long as the runtime's memory,
/// since a waker that took the duty may still stand before its call when the shard has woken up for another reason.
/// Everything but wake_from_outside() is called on the shard's thread. Virtual: it is called once per turn and per
/// system call, never per task.
class Driver {
public:
    virtual ~Driver() = default;
    Driver() = default;
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;

    /// Submits what is prepared and runs what has completed. Never blocks, and enters the kernel only for a reason.
    virtual void poll() noexcept = 0;
    /// A look that costs no system call: would poll() find something?
    [[nodiscard]] virtual bool has_completions() const noexcept = 0;
    /// Blocks until a bell, a completion or the deadline. Between prepare() and resume() of the park state. May return
    /// for no reason.
    virtual void wait(clock::time_point deadline) noexcept = 0;
    /// Rings the bell of another shard of the same runtime, at once. The caller took the duty from ParkState::notify().
    virtual void ring(Shard& target) noexcept = 0;
    /// Rings this shard's bell from a thread that is not a shard of its runtime. The same duty.
    virtual void wake_from_outside() noexcept = 0;
    /// Between prepare() and resume() of the park state: the bell of this sleep has come.
    [[nodiscard]] virtual bool bell_heard() const noexcept = 0;
    /// The shard woke up and found that somebody had taken the duty: one bell is owed to it.
    virtual void expect_bell() noexcept = 0;
    /// Waits until the kernel has taken what was submitted, and has told which bells failed; those are rung again. Once
    /// the runtime is closing, ring() itself waits for that.
    virtual void settle() noexcept = 0;
    /// No bell is owed: the ring may be closed, once every shard has settled.
    [[nodiscard]] virtual bool quiet() noexcept = 0;
    /// Gives an operation to the kernel, with the next poll() at the latest, or, for want of room, some time later.
    /// Only where there is a ring.
    virtual void begin(Operation& operation) noexcept = 0;
    /// A stop that holds the operation: see UringOperations.
    virtual void cancel(Operation& operation) noexcept = 0;
    /// Cancels all operations and waits until they have ended. What begins afterwards ends at once.
    virtual void end_operations() noexcept {}
    /// The shard's thread ends: last call on it.
    virtual void leave_thread() noexcept {}
    /// Gives the mapped memory back. After the last shard has ended, on any thread.
    virtual void unmap() noexcept {}
    /// Gives the descriptors back, and the memory if it still is mapped. After the last shard has ended, on any thread.
    virtual void close() noexcept {}
};

}  // namespace spargio::detail
