// SPDX-License-Identifier: MIT
// The counting operator new.
#include "allocations.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace spargio::test {

namespace {

constinit std::atomic<std::uint64_t> count{0};

}  // namespace

std::uint64_t allocations() noexcept {
    return count.load(std::memory_order_relaxed);
}

#if !(SPARGIO_ASAN || SPARGIO_TSAN)
namespace {

void* allocate(std::size_t bytes, std::size_t alignment) {
    count.fetch_add(1, std::memory_order_relaxed);
    void* block = nullptr;
    if (alignment <= alignof(std::max_align_t)) {
        block = std::malloc(bytes != 0 ? bytes : 1);
    } else if (posix_memalign(&block, alignment, bytes) != 0) {
        block = nullptr;
    }
    if (block == nullptr) {
        throw std::bad_alloc();
    }
    return block;
}

}  // namespace
#endif

}  // namespace spargio::test

#if !(SPARGIO_ASAN || SPARGIO_TSAN)

// The other forms (arrays, nothrow) call these.
void* operator new(std::size_t bytes) {
    return spargio::test::allocate(bytes, 1);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return spargio::test::allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept {
    std::free(block);
}
void operator delete(void* block, std::size_t) noexcept {
    std::free(block);
}
void operator delete(void* block, std::align_val_t) noexcept {
    std::free(block);
}
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
    std::free(block);
}

#endif
