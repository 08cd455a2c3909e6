// SPDX-License-Identifier: MIT
// What one thread tells another that sleeps, with nothing but a futex.
#pragma once

#include <atomic>
#include <cstdint>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bench {

/// A message of one word. One thread sends, one receives, in turn with a cell the other way; nobody spins.
class FutexCell {
public:
    void send(std::uint32_t value) noexcept {
        value_ = value;
        const std::uint32_t count = sent_.load(std::memory_order_relaxed) + 1;
        sent_.store(count, std::memory_order_release);
        futex(FUTEX_WAKE_PRIVATE, 1);
    }

    std::uint32_t receive() noexcept {
        while (sent_.load(std::memory_order_acquire) == received_) {
            futex(FUTEX_WAIT_PRIVATE, received_);
        }
        ++received_;
        return value_;
    }

private:
    // The kernel reads the word itself. A failed wait is one that found another value, or a signal: receive() looks.
    void futex(int operation, std::uint32_t argument) noexcept {
        static_assert(sizeof sent_ == sizeof(std::uint32_t) && std::atomic<std::uint32_t>::is_always_lock_free);
        syscall(SYS_futex, &sent_, operation, argument, nullptr, nullptr, 0);
    }

    alignas(128) std::atomic<std::uint32_t> sent_{0};
    std::uint32_t value_ = 0;
    alignas(128) std::uint32_t received_ = 0;  // The receiver's.
};

}  // namespace bench
