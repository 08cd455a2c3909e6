// SPDX-License-Identifier: MIT
// A mutex that spins a little before it blocks.
#pragma once

#include <cstdint>

#include "futex.hpp"
#include "spargio/detail/atomic.hpp"
#include "spargio/detail/seams.hpp"

namespace spargio::detail {

struct KernelFutex {
    static void wait(const void* word, std::uint32_t value) noexcept {
        futex_wait(word, value, clock::time_point::max());
    }
    static void wake(const void* word) noexcept { futex_wake(word); }
};

/// For std::lock_guard, and sections of a few instructions that threads on several CPUs enter all the time. Not fair:
/// who comes while it is free has it, and whoever was woken tries again.
///
/// One word: whether it is locked, whether somebody who slept was woken and has not gone on yet, and how many sleep or
/// are about to, that one included. So an unlock makes a system call only if somebody sleeps and nobody is on the way
/// (as in Go's sync.Mutex). "Locked, and there may be sleepers" (Drepper, "Futexes Are Tricky", 2011, mutex 3; glibc's)
/// costs one for each section that follows a sleep.
///
/// Nobody sleeps for ever. Who sleeps has entered the word, or stayed in it, while it was locked, and has taken the
/// mark out; the kernel lets it sleep only if nothing has changed since. Only an unlock sets the mark: so the next one
/// is still to come, finds none, and wakes somebody. With the mark in the word nobody begins to sleep: who is on the
/// way may be about to sleep himself, and find the word as it was. tests/models/mutex.pml is the model.
template <class Futex>
class BasicAdaptiveMutex {
public:
    BasicAdaptiveMutex() noexcept = default;
    BasicAdaptiveMutex(const BasicAdaptiveMutex&) = delete;
    BasicAdaptiveMutex& operator=(const BasicAdaptiveMutex&) = delete;

    void lock() noexcept {
        std::uint32_t seen = 0;
        if (!word_.compare_exchange_strong(seen, kLocked, std::memory_order_acquire, std::memory_order_relaxed)) {
            lock_contended();
        }
    }

    /// The next owner may destroy the mutex at once: after the step that unlocks, only the word's address is used.
    void unlock() noexcept {
        std::uint32_t seen = kLocked;
        if (!word_.compare_exchange_strong(seen, 0, std::memory_order_release, std::memory_order_relaxed)) {
            unlock_contended(seen);
        }
    }

private:
    static constexpr std::uint32_t kLocked = 1;
    static constexpr std::uint32_t kWoken = 2;
    static constexpr std::uint32_t kSleeper = 4;
    static constexpr int kLooks = 100;  // Some microseconds: more than a section, less than a sleep.

    // Relaxed but where a section begins or ends: all is about one word, whose changes have one order.

    [[gnu::noinline]] void lock_contended() noexcept {
        // What locking takes out of the word: once this thread has slept, one sleeper, and the mark that one was woken.
        std::uint32_t mine = 0;
        std::uint32_t not_mine = ~0U;
        for (;;) {
            auto seen = word_.load(std::memory_order_relaxed);
            for (int look = 0; look < kLooks; ++look) {
                if ((seen & kLocked) == 0 &&
                    word_.compare_exchange_weak(seen, ((seen - mine) & not_mine) | kLocked, std::memory_order_acquire,
                                                std::memory_order_relaxed)) {
                    return;
                }
                cpu_relax();
                seen = word_.load(std::memory_order_relaxed);
            }
            const auto asleep = (seen & ~kWoken) + kSleeper - mine;
            if ((seen & kLocked) != 0 && word_.compare_exchange_strong(seen, asleep, std::memory_order_relaxed)) {
                Futex::wait(&word_, asleep);
                mine = kSleeper;
                not_mine = ~kWoken;
            }
        }
    }

    [[gnu::noinline]] void unlock_contended(std::uint32_t seen) noexcept {
        bool wakes = false;
        std::uint32_t unlocked = 0;
        do {
            wakes = seen >= kSleeper && (seen & kWoken) == 0;
            unlocked = (seen & ~kLocked) | (wakes ? kWoken : 0);
        } while (!word_.compare_exchange_weak(seen, unlocked, std::memory_order_release, std::memory_order_relaxed));
        if (wakes) {
            Futex::wake(&word_);
        }
    }

    // Writers: whoever locks, sleeps and unlocks. An unlock releases what its section did, a lock acquires it.
    atomic<std::uint32_t> word_{0};
};

using AdaptiveMutex = BasicAdaptiveMutex<KernelFutex>;

}  // namespace spargio::detail
