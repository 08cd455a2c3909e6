// SPDX-License-Identifier: MIT
// How often this process has allocated memory with operator new.
#pragma once

#include <cstdint>

#include "spargio/config.hpp"

namespace spargio::test {

/// A sanitizer brings an operator new of its own, which finds more than a count; there the count stays 0.
inline constexpr bool allocations_are_counted = SPARGIO_ASAN == 0 && SPARGIO_TSAN == 0;

/// Calls of any form of operator new so far, on all threads.
[[nodiscard]] std::uint64_t allocations() noexcept;

}  // namespace spargio::test
