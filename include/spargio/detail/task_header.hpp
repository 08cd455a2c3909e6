// SPDX-License-Identifier: MIT
// The header in front of every task's coroutine frame: run-queue node, join word, stop word, placement.
#pragma once

#include <cstddef>
#include <cstdint>

#include "spargio/detail/atomic.hpp"
#include "spargio/detail/frame_pool.hpp"
#include "spargio/detail/stop_link.hpp"
#include "spargio/detail/work_item.hpp"
#include "spargio/shard_id.hpp"

namespace spargio::detail {

class RuntimeCore;
struct ForkWait;
struct TaskHeader;

/// What a coroutine needs of the thread that runs it: a shard, or a thread of the blocking pool.
struct Executor {
    RuntimeCore* core = nullptr;  // Read by all who bring something: not on the line of what each step writes.

    // The rest is its thread's. `ended`: set by final_suspend of a spawned task; the loop takes it when the step
    // returns.
    alignas(cache_line) TaskHeader* ended = nullptr;
    void* trampoline = nullptr;      // A frame to resume next instead of by symmetric transfer (see task.hpp).
    std::uint32_t inline_depth = 0;  // Transfers since the loop last had control.
    ForkWait* forks = nullptr;       // Those it counts without atomics, the newest first: see ForkWait.
};

/// How a task's life ended, as its joiner will see it.
enum class Outcome : std::uint8_t {
    Pending,    ///< not ended
    Value,      ///< the result slot holds a value
    Exception,  ///< the result slot holds an exception_ptr
    Canceled,   ///< destroyed before it ended; no result
    Refused,    ///< never accepted; `refusal` says why
    Taken,      ///< a joiner has moved the result out
};

enum class TaskKind : std::uint8_t { Awaited, Pinned, Stealable, Blocking };

/// One allocation holds `[result slot][TaskHeader][coroutine frame]`. The frame is destroyed the moment the task ends;
/// the block is freed by the last of the task and its handle, which `join` decides.
///
/// Ownership of the block: a Task object; once awaited, the awaiter; once spawned, the task itself until `join` becomes
/// Done, then whoever holds the handle (or the completer, if it reads Detached).
///
/// `root`, `leaf`: only the spawned task (the root) is ever queued. Under it stand the tasks it awaits, each inside the
/// frame of its parent; `leaf` names the innermost, which is the one to resume, and the first to destroy.
///
/// States of `join`, and who leaves them:
///
// clang-format off
///     Running      the completer -> Done; a task that joins -> pointer to its JoinWait; a thread -> ThreadWaits;
///                  the handle's end -> Detached; a canceller of a joiner that is not there yet -> StopMark
///     pointer      the completer -> Done, and schedules that task; a canceller -> Running, and schedules it as canceled
///     ThreadWaits  the completer -> Done, and wakes the futex; the thread, timed out -> Running
///     StopMark     the joiner -> Running, and goes on as canceled; the completer -> Done
///     Detached     the completer -> Done, reports an exception, frees the block
///     Done         final: the handle owns the block
// clang-format on
///
/// A forked child has no handle, and no states: `join` is the address of its parent's ForkWait (fork.hpp) from its
/// start.
struct TaskHeader : WorkItem {
    static constexpr std::uintptr_t join_running = 0;
    static constexpr std::uintptr_t join_done = 1;
    static constexpr std::uintptr_t join_thread_waits = 2;
    static constexpr std::uintptr_t join_detached = 3;
    static constexpr std::uintptr_t join_stop_mark = 4;
    static constexpr std::uintptr_t join_pointer = ~std::uintptr_t{7};

    TaskHeader(RunFn fn, std::uint16_t result_size) noexcept : WorkItem(fn), link{frame()}, result_bytes(result_size) {}
    TaskHeader(const TaskHeader&) = delete;
    TaskHeader& operator=(const TaskHeader&) = delete;

    // Writers: completer, joiner, waiting thread, canceller, handle. Done is a release of the result and of the frame's
    // end; whoever reads Done acquires both. A pointer is a release of the joiner's suspended state.
    atomic<std::uintptr_t> join{join_running};
    StopLink stop;

    // Awaited: the root it runs under. Root: the executor that runs it, or the shard that has it while it is suspended.
    union Owner {
        TaskHeader* root;
        Executor* executor;
    } owner{nullptr};
    // Awaited: the frame that awaits this one. Root, and before it is either: the innermost frame. Frame destroyed: the
    // block's size.
    union Link {
        void* leaf;
        void* parent;
        std::size_t block_bytes;
    } link;
    // Root, listed: the next in its shard's list of live tasks (the one before is WorkItem::back). Ended by an
    // exception: `core` keeps the hook reachable.
    union Live {
        TaskHeader* next;
        RuntimeCore* core;
    } live{nullptr};

    std::uint16_t result_bytes;  // Size of the slot in front of the header.
    ShardId home = 0;            // Pinned: its shard. Stealable, started: the shard whose list it is in.
    TaskKind kind = TaskKind::Awaited;
    Outcome outcome = Outcome::Pending;
    std::uint8_t refusal = 0;           // With Outcome::Refused: the RuntimeError.
    bool owned : 1 = false;             // A Task object exists: operator delete leaves the block alone.
    bool framed : 1 = true;             // The frame has not been destroyed.
    bool listed : 1 = false;            // Root: it is in a live list, or was.
    bool awaits_completer : 1 = false;  // Root: suspended in a wait that another task, thread or runtime ends: a join,
                                        // a ticket, a call, a fork, a group, an operation of another runtime.
    bool visited : 1 = false;           // Shutdown's walk over chains of joins.
    bool drops : 1 = false;             // The value in the result slot needs its destructor.
    bool forked : 1 = false;            // Root: its parent waits for it in a ForkWait.
    // The last bit of the byte: with one left unset, it would be kept, so a new header would begin with a load of what
    // the block's last owner stored in smaller pieces, which stalls.
    bool begun : 1 = false;  // Root: its first step has begun.

    [[nodiscard]] void* frame() noexcept { return this + 1; }
    [[nodiscard]] static TaskHeader* of_frame(void* frame) noexcept {
        // Hides where the address comes from. Inside a coroutine it is that of the promise, at first a local variable
        // to the compiler, and what lies in front of a local variable does not exist: Clang drops the stores.
        __asm__("" : "+r"(frame));
        return static_cast<TaskHeader*>(frame) - 1;
    }
    [[nodiscard]] void* result() noexcept { return reinterpret_cast<std::byte*>(this) - result_bytes; }

    [[nodiscard]] TaskHeader* root() noexcept { return kind == TaskKind::Awaited ? owner.root : this; }
    [[nodiscard]] bool done() const noexcept { return join.load(std::memory_order_acquire) == join_done; }
};

// The header and an eight-byte result slot together keep the frame on a 16-byte boundary.
static_assert(sizeof(TaskHeader) % 16 == 8, "the result slot assumes this");

/// Bytes of the result slot for `size` bytes of result: at least a pointer, and the frame stays 16-aligned.
constexpr std::size_t result_slot_bytes(std::size_t size) noexcept {
    return ((size < sizeof(void*) ? sizeof(void*) : size) + 7) / 16 * 16 + 8;
}

/// What the pool is asked for: constant where a coroutine is compiled, so it is rounded there and not at each call.
constexpr std::size_t block_bytes(std::size_t result_bytes, std::size_t frame_bytes) noexcept {
    return pool_block_bytes(result_bytes + sizeof(TaskHeader) + frame_bytes);
}

/// Makes a block; returns the frame's address. Throws std::bad_alloc.
[[nodiscard]] void* allocate_task(std::size_t block_bytes, std::uint16_t result_bytes, WorkItem::RunFn run);
/// Frees a block that holds no result any more, and whose frame is gone.
void free_block(TaskHeader* task, std::size_t block_bytes) noexcept;

/// What the promise's operator delete does: the block stays while somebody owns it. Nobody does in end_taken(), and
/// when the coroutine failed before its Task existed (a parameter's copy threw).
inline void release_frame(void* frame, std::size_t block_bytes) noexcept {
    auto* task = TaskHeader::of_frame(frame);
    if (task->owned) {
        task->framed = false;
        task->link.block_bytes = block_bytes;
    } else {
        free_block(task, block_bytes);
    }
}

// These stay out of line: where a compiler sees a frame made and destroyed in one function, it may put it into the
// caller's frame, without a header in front.

/// Destroys the frame, if it is still there. Not for a task with started children: see destroy_chain().
void destroy_frame(TaskHeader* task) noexcept;
/// Destroys the frames from the innermost awaited task up to `root`, one after another, however long the chain.
void destroy_chain(TaskHeader* root) noexcept;
/// Drops the result that nobody took, and frees the block. The frame is gone.
void free_task(TaskHeader* task) noexcept;
/// Both, for a task that is not a root.
void end_task(TaskHeader* task) noexcept;
/// The same for one that has its frame and no result that must be destroyed; the shortest way.
void end_taken(TaskHeader* task) noexcept;

/// The step of a root: what a task's run-queue entry does. Null shard: see WorkItem::RunFn.
void run_task_step(TaskHeader* task, Shard& shard) noexcept;

}  // namespace spargio::detail
