// SPDX-License-Identifier: MIT
// A one-size allocator for handlers that one thread posts and another runs: what a careful Asio program would bring.
#pragma once

#include <atomic>
#include <cstddef>
#include <new>

namespace bench {

/// Blocks travel from the posting thread to the running thread inside Asio's queue, and come back here in batches.
/// One thread allocates, one thread frees.
class RecyclingStore {
public:
    RecyclingStore() = default;
    RecyclingStore(const RecyclingStore&) = delete;
    RecyclingStore& operator=(const RecyclingStore&) = delete;
    ~RecyclingStore() {
        release(cached_);
        release(freed_first_);
        release(returned_.load(std::memory_order_relaxed));
    }

    void* allocate(std::size_t bytes) {
        if (bytes > block_bytes) {
            throw std::bad_alloc();
        }
        if (cached_ == nullptr) {
            cached_ = returned_.exchange(nullptr, std::memory_order_acquire);
        }
        if (cached_ == nullptr) {
            return ::operator new(block_bytes);
        }
        Block* block = cached_;
        cached_ = block->next;
        return block;
    }

    void deallocate(void* memory) noexcept {
        auto* block = ::new (memory) Block{freed_first_};
        if (freed_first_ == nullptr) {
            freed_last_ = block;
        }
        freed_first_ = block;
        if (++freed_ < batch) {
            return;
        }
        Block* before = returned_.load(std::memory_order_relaxed);
        do {
            freed_last_->next = before;
        } while (!returned_.compare_exchange_weak(before, freed_first_, std::memory_order_release,
                                                  std::memory_order_relaxed));
        freed_first_ = nullptr;
        freed_ = 0;
    }

private:
    struct Block {
        Block* next;
    };

    static constexpr std::size_t block_bytes = 64;
    static constexpr std::size_t batch = 32;

    static void release(Block* block) noexcept {
        while (block != nullptr) {
            Block* next = block->next;
            ::operator delete(block);
            block = next;
        }
    }

    // The freeing thread's, the allocating thread's, and the line where they meet.
    alignas(128) Block* freed_first_ = nullptr;
    Block* freed_last_ = nullptr;
    std::size_t freed_ = 0;
    alignas(128) Block* cached_ = nullptr;
    alignas(128) std::atomic<Block*> returned_{nullptr};
};

template <class T>
class RecyclingAllocator {
public:
    using value_type = T;

    explicit RecyclingAllocator(RecyclingStore& store) noexcept : store_(&store) {}
    template <class U>
    RecyclingAllocator(const RecyclingAllocator<U>& other) noexcept : store_(other.store_) {}

    T* allocate(std::size_t count) { return static_cast<T*>(store_->allocate(count * sizeof(T))); }
    void deallocate(T* memory, std::size_t) noexcept { store_->deallocate(memory); }
    bool operator==(const RecyclingAllocator&) const = default;

private:
    template <class>
    friend class RecyclingAllocator;

    RecyclingStore* store_;
};

}  // namespace bench
