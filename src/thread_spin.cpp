// SPDX-License-Identifier: MIT
#include "thread_spin.hpp"

#include <chrono>
#include <thread>

namespace spargio::detail {

namespace {

std::chrono::nanoseconds limit() noexcept {
    // On one CPU the task cannot end while we spin.
    static const bool one_cpu = std::thread::hardware_concurrency() == 1;
    return one_cpu ? std::chrono::nanoseconds::zero() : std::chrono::microseconds(20);
}

}  // namespace

AdaptiveSpin& thread_spin() noexcept {
    thread_local AdaptiveSpin spin(limit());
    return spin;
}

}  // namespace spargio::detail
