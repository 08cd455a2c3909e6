// SPDX-License-Identifier: MIT
// The seams through which a model checker, a virtual clock or a fixed seed can stand in for the real thing.
#pragma once

#include <chrono>
#include <cstdint>

#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

/// Deadlines, spins and time-outs: monotonic, so that a wall-clock jump moves nothing.
using clock = std::chrono::steady_clock;

/// A test's own time, for sleeps and time-outs of tasks: null, or what they take for the time since the clock's epoch.
/// It is set before a runtime is built and stays until that one is gone; whoever moves it on sees to it that the shards
/// look at it. Spins, safety time-outs and waits of threads stay with the real clock.
inline atomic<const atomic<clock::rep>*> virtual_time{nullptr};

/// What deadlines of tasks are compared with.
[[nodiscard]] inline clock::time_point timer_now() noexcept {
    // Acquire: what the mover did before. Null, for everybody but tests, costs a load.
    const auto* time = virtual_time.load(std::memory_order_acquire);
    return time == nullptr ? clock::now() : clock::time_point(clock::duration(time->load(std::memory_order_acquire)));
}

/// xorshift64* (Marsaglia, "Xorshift RNGs", 2003): victim choice needs speed and a seed, not quality.
class RandomSource {
public:
    explicit constexpr RandomSource(std::uint64_t seed) noexcept : state_(seed != 0 ? seed : 0x9E3779B97F4A7C15ULL) {}

    constexpr std::uint64_t next() noexcept {
        state_ ^= state_ >> 12U;
        state_ ^= state_ << 25U;
        state_ ^= state_ >> 27U;
        return state_ * 0x2545F4914F6CDD1DULL;
    }

    /// A number in [0, bound); `bound` is at least 1.
    constexpr std::uint32_t below(std::uint32_t bound) noexcept {
        return static_cast<std::uint32_t>(((next() >> 32U) * bound) >> 32U);
    }

private:
    std::uint64_t state_;
};

/// Tells the CPU that this is a spin: fewer speculative loads, less power, a sibling thread gets the core.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield" ::: "memory");
#endif
}

}  // namespace spargio::detail
