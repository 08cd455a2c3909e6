// SPDX-License-Identifier: MIT
// The fast path of the frame pool: the calling thread's free lists. For code that no coroutine can inline.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>

#include "spargio/config.hpp"
#include "spargio/detail/frame_pool.hpp"

namespace spargio::detail::frame_cache {

#if SPARGIO_ASAN

// Straight to the allocator, so that AddressSanitizer sees each use after free.
inline void* take(std::size_t) noexcept {
    return nullptr;
}
inline void* allocate(std::size_t bytes) {
    return ::operator new(bytes);
}
inline void free(void* block, std::size_t) noexcept {
    ::operator delete(block);
}

#else

// All sizes here are pool_block_bytes() of something.
inline constexpr std::size_t classes = pool_max_block / 16;
constexpr std::size_t class_of(std::size_t bytes) noexcept {
    return bytes / 16;
}
constexpr std::size_t class_bytes(std::size_t size_class) noexcept {
    return size_class * 16 + 8;
}
static_assert(class_bytes(class_of(pool_block_bytes(100))) == pool_block_bytes(100));

struct FreeBlock {
    FreeBlock* next;
    FreeBlock* next_batch;  // In the shared store: the head of the next batch.
};
static_assert(sizeof(FreeBlock) <= class_bytes(1));

struct FreeList {
    FreeBlock* head = nullptr;
    std::uint32_t room = 0;  // Blocks it may still take; 0 also before the thread's first use and after its end.
};
static_assert(sizeof(FreeList) == 16, "then a list's place is the block's size, but for its last bits");

/// Trivially destructible, so it can be used while other thread-local objects are destroyed.
struct ThreadCache {
    enum class State : std::uint8_t { Unused, Live, Gone };

    State state = State::Unused;
    std::array<FreeList, classes> lists{};
    // A full batch of each, so that a thread at the edge does not go to the store each time.
    std::array<FreeBlock*, classes> reserves{};
};
extern constinit thread_local ThreadCache cache;

[[nodiscard]] void* allocate_slow(std::size_t size_class);
void free_slow(FreeBlock* block, std::size_t size_class) noexcept;

/// A block of the thread's list; null where it has none of that size.
inline void* take(std::size_t bytes) noexcept {
    const auto size_class = class_of(bytes);
    if (size_class >= classes) [[unlikely]] {
        return nullptr;
    }
    FreeList& list = cache.lists[size_class];
    FreeBlock* block = list.head;
    if (block != nullptr) [[likely]] {
        list.head = block->next;
        ++list.room;
    }
    return block;
}

inline void* allocate(std::size_t bytes) {
    if (void* block = take(bytes)) [[likely]] {
        return block;
    }
    const auto size_class = class_of(bytes);
    return size_class < classes ? allocate_slow(size_class) : ::operator new(bytes);
}

inline void free(void* block, std::size_t bytes) noexcept {
    const auto size_class = class_of(bytes);
    if (size_class >= classes) [[unlikely]] {
        ::operator delete(block);
        return;
    }
    auto* freed = static_cast<FreeBlock*>(block);
    FreeList& list = cache.lists[size_class];
    if (list.room == 0) [[unlikely]] {
        free_slow(freed, size_class);
        return;
    }
    --list.room;
    freed->next = list.head;
    list.head = freed;
}

#endif

}  // namespace spargio::detail::frame_cache
