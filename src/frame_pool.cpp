// SPDX-License-Identifier: MIT
// The frame pool: thread-local free lists, and a shared store through which threads hand each other batches.
#include "frame_cache.hpp"

#include <array>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

#include "spargio/detail/seams.hpp"

namespace spargio::detail {

// For tests and benchmarks; tasks come here through allocate_task() and free_block().
void* pool_allocate(std::size_t bytes) {
    return frame_cache::allocate(pool_block_bytes(bytes));
}

void pool_free(void* block, std::size_t bytes) noexcept {
    frame_cache::free(block, pool_block_bytes(bytes));
}

#if !SPARGIO_ASAN

namespace frame_cache {

// In this file only for its definition: a look at it from elsewhere needs no initialisation guard.
constinit thread_local ThreadCache cache;

namespace {

/// Batches that one thread had too many of. Bounded: what is beyond goes back to the allocator. Never destroyed:
/// threads may free frames while the process ends. Nobody blocks on a lock: a holder is done in some 20 ns or is not
/// running, and then the allocator is the answer. In a child after fork() it may be a thread that is not there.
class SharedStore {
public:
    [[nodiscard]] bool give(std::size_t size_class, FreeBlock* batch) noexcept {
        Shelf& shelf = shelves_[size_class];
        const std::unique_lock lock = try_lock(shelf);
        if (!lock) {
            return false;
        }
        const auto count = shelf.batches.load(std::memory_order_relaxed);
        if (count >= max_batches(size_class)) {
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
        const std::unique_lock lock = try_lock(shelf);
        if (!lock) {
            return nullptr;
        }
        FreeBlock* batch = shelf.head;
        if (batch != nullptr) {
            shelf.head = batch->next_batch;
            shelf.batches.store(shelf.batches.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
        }
        return batch;
    }

private:
    // Of a class, so much memory may wait for its next user: enough for some thousand tasks on their way to a shard.
    static constexpr std::size_t max_batches(std::size_t size_class) noexcept {
        return pool_max_shared_bytes / (pool_batch * class_bytes(size_class));
    }
    struct alignas(cache_line) Shelf {
        std::mutex mutex;
        FreeBlock* head = nullptr;
        atomic<std::uint32_t> batches{0};  // Written under the lock; the look without it orders nothing.
    };

    /// A single try would fail whenever two threads are here at once, and send a batch to the allocator each time.
    [[nodiscard]] static std::unique_lock<std::mutex> try_lock(Shelf& shelf) noexcept {
        std::unique_lock lock(shelf.mutex, std::try_to_lock);
        for (int tries = 1; !lock && tries < max_tries; ++tries) {
            cpu_relax();
            static_cast<void>(lock.try_lock());
        }
        return lock;
    }
    static constexpr int max_tries = 100;

    std::array<Shelf, classes> shelves_;
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

struct CacheGuard {
    CacheGuard() {
        cache.state = ThreadCache::State::Live;
        for (FreeList& list : cache.lists) {
            list.room = pool_batch;
        }
    }
    CacheGuard(const CacheGuard&) = delete;
    CacheGuard& operator=(const CacheGuard&) = delete;
    ~CacheGuard() {
        cache.state = ThreadCache::State::Gone;  // From here on this thread uses the allocator.
        for (std::size_t size_class = 0; size_class < classes; ++size_class) {
            FreeList& list = cache.lists[size_class];
            list.room = 0;
            free_batch(std::exchange(list.head, nullptr));
            FreeBlock* reserve = std::exchange(cache.reserves[size_class], nullptr);
            if (reserve != nullptr && !shared_store().give(size_class, reserve)) {
                free_batch(reserve);
            }
        }
    }
};

/// First use on a thread: registers the guard. False once the thread's objects are being destroyed.
[[gnu::noinline, gnu::cold]] bool open_cache() {
    if (cache.state == ThreadCache::State::Gone) {
        return false;
    }
    static_cast<void>(shared_store());
    thread_local const CacheGuard guard;
    return true;
}

}  // namespace

void* allocate_slow(std::size_t size_class) {
    if (cache.state == ThreadCache::State::Live || open_cache()) {
        FreeList& list = cache.lists[size_class];
        FreeBlock* batch = std::exchange(cache.reserves[size_class], nullptr);
        if (batch == nullptr) {
            batch = shared_store().take(size_class);
        }
        if (batch != nullptr) {
            list.head = batch->next;
            list.room = 1;
            return batch;
        }
    }
    return ::operator new(class_bytes(size_class));
}

void free_slow(FreeBlock* block, std::size_t size_class) noexcept {
    bool open = cache.state == ThreadCache::State::Live;
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
    if (list.room == 0) {
        FreeBlock* full = std::exchange(cache.reserves[size_class], list.head);
        if (full != nullptr && !shared_store().give(size_class, full)) {
            free_batch(full);
        }
        list.head = nullptr;
        list.room = pool_batch;
    }
    --list.room;
    block->next = list.head;
    list.head = block;
}

}  // namespace frame_cache

#endif

}  // namespace spargio::detail
