// SPDX-License-Identifier: MIT
// operator new and delete of a program with one source file, which is told of each allocation before it is made.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

/// Defined by the file that includes this; may throw std::bad_alloc in the allocation's place. Any thread.
void before_allocation();

// Not inlined: GCC would see malloc's block go to a delete, and free take what new gave.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
    before_allocation();
    if (void* block = std::malloc(bytes == 0 ? 1 : bytes)) {
        return block;
    }
    throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new[](std::size_t bytes) {
    return operator new(bytes);
}
[[gnu::noinline]] void operator delete(void* block) noexcept {
    std::free(block);
}
[[gnu::noinline]] void operator delete[](void* block) noexcept {
    std::free(block);
}
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept {
    std::free(block);
}
[[gnu::noinline]] void operator delete[](void* block, std::size_t) noexcept {
    std::free(block);
}
