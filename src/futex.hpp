// SPDX-License-Identifier: MIT
// Waiting on a 32-bit word, and waking those who do (futex(2)).
#pragma once

#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <ctime>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "spargio/detail/atomic.hpp"
#include "spargio/detail/seams.hpp"

namespace spargio::detail {

/// Absolute CLOCK_MONOTONIC time of a deadline, for the kernel; a deadline in the past is now.
inline timespec to_timespec(clock::time_point deadline) noexcept {
    auto since_boot = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
    if (since_boot < 0) {
        since_boot = 0;
    }
    return timespec{static_cast<time_t>(since_boot / 1'000'000'000), static_cast<long>(since_boot % 1'000'000'000)};
}

/// The 32 bits of a word that hold its small states.
inline const void* low_half(const atomic<std::uintptr_t>& word) noexcept {
    const auto* bytes = reinterpret_cast<const std::byte*>(&word);
    return std::endian::native == std::endian::little ? bytes : bytes + sizeof(std::uint32_t);
}

/// Sleeps while the word has that value, until the deadline (time_point::max(): none). Returns also for no reason: look
/// at the word again. A signal does not matter: it is one more reason to look.
inline void futex_wait(const void* word, std::uint32_t value, clock::time_point deadline) noexcept {
    const auto limit = to_timespec(deadline);
    const bool forever = deadline == clock::time_point::max();
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value, forever ? nullptr : &limit, nullptr,
            FUTEX_BITSET_MATCH_ANY);
}

/// Wakes one sleeper. The word's memory may be gone by now: the kernel takes the address for a name.
inline void futex_wake(const void* word) noexcept {
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
}

}  // namespace spargio::detail
