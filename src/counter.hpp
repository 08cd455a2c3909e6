// SPDX-License-Identifier: MIT
// A statistics counter that one thread writes and any thread reads.
#pragma once

#include <cstdint>

#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

/// Load and store instead of a read-modify-write: it has one writer, so nothing can come between. Release and acquire,
/// so that whoever reads the count of what is done, and then the count of what there is, reads no less of the latter.
class Counter {
public:
    void add(std::uint64_t count = 1) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_release);
    }
    [[nodiscard]] std::uint64_t get() const noexcept { return value_.load(std::memory_order_acquire); }

private:
    atomic<std::uint64_t> value_{0};
};

}  // namespace spargio::detail
