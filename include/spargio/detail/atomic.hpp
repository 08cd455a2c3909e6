// SPDX-License-Identifier: MIT
// The atomic type of the runtime: one of its seams (seams.hpp), apart because every header needs it.
#pragma once

#include <atomic>
#include <cstddef>

namespace spargio::detail {

/// Every atomic of the runtime is one of these, so that a checker's type can replace it in one place.
template <class T>
using atomic = std::atomic<T>;

/// Two owners' data on one line makes each write of one a miss of the other.
inline constexpr std::size_t cache_line = 64;

}  // namespace spargio::detail
