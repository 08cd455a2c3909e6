// SPDX-License-Identifier: MIT
// Memory for task blocks: per-thread free lists by size class over the global allocator.
#pragma once

#include <cstddef>

namespace spargio::detail {

/// The size of the block for `bytes`. Sizes of 16k + 8 are what glibc's malloc hands out without waste.
constexpr std::size_t pool_block_bytes(std::size_t bytes) noexcept {
    return (bytes + 7) / 16 * 16 + 8;
}

/// At least `bytes`, 16-aligned, from the calling thread's list where it has one. Throws std::bad_alloc.
/// Out of line on purpose: inlined into a coroutine, a compiler may keep the address of the thread's list across a
/// suspension and use it on another thread.
[[nodiscard]] void* pool_allocate(std::size_t bytes);

/// Gives back what pool_allocate(bytes) gave, on any thread. Lists that grow on a thread which frees more than it
/// allocates go back in batches, through a shared store, to threads that allocate more than they free.
void pool_free(void* block, std::size_t bytes) noexcept;

/// Blocks that threads hand to each other in one batch; a thread keeps two batches of a class at most.
inline constexpr std::size_t pool_batch = 32;
/// Bytes of one size class that the shared store keeps; beyond that, batches go back to the allocator.
inline constexpr std::size_t pool_max_shared_bytes = std::size_t{2} << 20U;
/// Blocks larger than this come straight from the global allocator.
inline constexpr std::size_t pool_max_block = 1024;

}  // namespace spargio::detail
