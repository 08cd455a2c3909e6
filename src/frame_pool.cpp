// SPDX-License-Identifier: MIT
// The frame pool: thread-local free lists, and a shared store through which threads hand each other batches.
#include "spargio/detail/frame_pool.hpp"

#include <array>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

#include "spargio/config.hpp"
#include "spargio/detail/seams.hpp"

namespace spargio::detail {

#if SPARGIO_ASAN

// Straight to the allocator, so that AddressSanitizer sees each use after free.
void* pool_allocate(std::size_t bytes) {
    return ::operator new(bytes);
}
void pool_free(void* block, std::size_t) noexcept {
    ::operator delete(block);
}

#else

namespace {

// Sizes of 16k + 8 are what glibc's malloc hands out without waste.
constexpr std::size_t kClasses = pool_max_block / 16;
constexpr std::size_t class_of(std::size_t bytes) noexcept {
    return (bytes + 7) / 16;
}
constexpr std::size_t class_bytes(std::size_t size_class) noexcept {
    return size_class * 16 + 8;
}

struct FreeBlock {
    FreeBlock* next;
    FreeBlock* next_batch;  // In the shared store: the head of the next batch.
};
static_assert(sizeof(FreeBlock) <= class_bytes(1));

struct FreeList {
    FreeBlock* head = nullptr;
    std::uint32_t size = 0;
    FreeBlock* reserve = nullptr;  // A full batch, so that a thread at the edge does not go to the store each time.
};

/// Batches that one thread had too many of. Bounded: what is beyond goes back to the allocator. Never destroyed:
/// threads may free frames while the process ends.
class SharedStore {
public:
    [[nodiscard]] bool give(std::size_t size_class, FreeBlock* batch) noexcept {
        Shelf& shelf = shelves_[size_class];
        const std::lock_guard lock(shelf.mutex);
        const auto count = shelf.batches.load(std::memory_order_relaxed);
        if (count == kMaxBatches) {
            return false;
        }
        batch->next_batch = shelf.head;
        shelf.head = batch;
        shelf.batches.store(count + 1, std::memory_order_relaxed);
        return true;
    }

    [[nodiscard]] FreeBlock* take(std::size_t size_class) noexcept {
        Shelf& shelf = shelves_[size_class];
        // Usually there is nothing: say so without the lock. A stale answer costs one allocation.
        if (shelf.batches.load(std::memory_order_relaxed) == 0) {
            return nullptr;
        }
        const std::lock_guard lock(shelf.mutex);
        FreeBlock* batch = shelf.head;
        if (batch != nullptr) {
            shelf.head = batch->next_batch;
            shelf.batches.store(shelf.batches.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
        }
        return batch;
    }

private:
    static constexpr std::uint32_t kMaxBatches = 64;
    struct alignas(cache_line) Shelf {
        std::mutex mutex;
        FreeBlock* head = nullptr;
        atomic<std::uint32_t> batches{0};  // Written under the lock; the look without it orders nothing.
    };
    std::array<Shelf, kClasses> shelves_;
};

SharedStore& shared_store() {
    static auto* store = new SharedStore;
    return *store;
}

void free_batch(FreeBlock* batch) noexcept {
    while (batch != nullptr) {
        ::operator delete(std::exchange(batch, batch->next));
    }
}

enum class CacheState : std::uint8_t { Unused, Live, Gone };

// Trivially destructible, so it can be used while other thread-local objects are destroyed; CacheGuard empties it.
struct ThreadCache {
    CacheState state = CacheState::Unused;
    std::array<FreeList, kClasses> lists{};
};
constinit thread_local ThreadCache cache;

struct CacheGuard {
    CacheGuard() { cache.state = CacheState::Live; }
    CacheGuard(const CacheGuard&) = delete;
    CacheGuard& operator=(const CacheGuard&) = delete;
    ~CacheGuard() {
        cache.state = CacheState::Gone;  // From here on this thread uses the allocator.
        for (std::size_t size_class = 0; size_class < kClasses; ++size_class) {
            FreeList& list = cache.lists[size_class];
            free_batch(std::exchange(list.head, nullptr));
            FreeBlock* reserve = std::exchange(list.reserve, nullptr);
            if (reserve != nullptr && !shared_store().give(size_class, reserve)) {
                free_batch(reserve);
            }
        }
    }
};

/// First use on a thread: registers the guard. False once the thread's objects are being destroyed.
[[gnu::noinline, gnu::cold]] bool open_cache() {
    if (cache.state == CacheState::Gone) {
        return false;
    }
    static_cast<void>(shared_store());
    thread_local const CacheGuard guard;
    return true;
}

[[gnu::noinline]] void* allocate_slow(std::size_t size_class) {
    if (cache.state == CacheState::Live || open_cache()) {
        FreeList& list = cache.lists[size_class];
        FreeBlock* batch = std::exchange(list.reserve, nullptr);
        if (batch == nullptr) {
            batch = shared_store().take(size_class);
        }
        if (batch != nullptr) {
            list.head = batch->next;
            list.size = pool_batch - 1;
            return batch;
        }
    }
    return ::operator new(class_bytes(size_class));
}

[[gnu::noinline]] void free_slow(FreeBlock* block, std::size_t size_class) noexcept {
    bool open = cache.state == CacheState::Live;
    if (!open) {
        try {
            open = open_cache();
        } catch (...) {  // No memory for the store: this block goes back to the allocator.
        }
    }
    if (!open) {
        ::operator delete(block);
        return;
    }
    FreeList& list = cache.lists[size_class];
    if (list.size >= pool_batch) {
        FreeBlock* full = std::exchange(list.reserve, list.head);
        if (full != nullptr && !shared_store().give(size_class, full)) {
            free_batch(full);
        }
        list.head = nullptr;
        list.size = 0;
    }
    block->next = list.head;
    list.head = block;
    ++list.size;
}

}  // namespace

void* pool_allocate(std::size_t bytes) {
    const auto size_class = class_of(bytes);
    if (size_class >= kClasses) [[unlikely]] {
        return ::operator new(bytes);
    }
    FreeList& list = cache.lists[size_class];
    FreeBlock* block = list.head;
    if (block == nullptr) [[unlikely]] {
        return allocate_slow(size_class);
    }
    list.head = block->next;
    --list.size;
    return block;
}

void pool_free(void* block, std::size_t bytes) noexcept {
    const auto size_class = class_of(bytes);
    if (size_class >= kClasses) [[unlikely]] {
        ::operator delete(block);
        return;
    }
    auto* freed = static_cast<FreeBlock*>(block);
    FreeList& list = cache.lists[size_class];
    if (list.size >= pool_batch || cache.state != CacheState::Live) [[unlikely]] {
        free_slow(freed, size_class);
        return;
    }
    freed->next = list.head;
    list.head = freed;
    ++list.size;
}

#endif

}  // namespace spargio::detail
