// SPDX-License-Identifier: MIT
// A statistics counter that one thread writes and any thread reads.
#pragma once

#include <cstdint>

#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

/// Load and store instead of a read-modify-write: it has one writer, so nothing can come between. Orders nothing.
class Counter {
public:
    void add(std::uint64_t count = 1) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    atomic<std::uint64_t> value_{0};
};

}  // namespace spargio::detail
