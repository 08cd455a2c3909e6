// SPDX-License-Identifier: MIT
// A mutex that spins a little before it blocks.
#pragma once

#include <pthread.h>

namespace spargio::detail {

/// glibc's PTHREAD_MUTEX_ADAPTIVE_NP, for std::lock_guard. For sections of a few instructions that threads on several
/// CPUs enter all the time: a std::mutex blocks at once, and its two system calls take longer than a hundred sections.
class AdaptiveMutex {
public:
    AdaptiveMutex() noexcept = default;
    AdaptiveMutex(const AdaptiveMutex&) = delete;
    AdaptiveMutex& operator=(const AdaptiveMutex&) = delete;
    ~AdaptiveMutex() { pthread_mutex_destroy(&mutex_); }

    void lock() noexcept { pthread_mutex_lock(&mutex_); }
    void unlock() noexcept { pthread_mutex_unlock(&mutex_); }

private:
#if defined(PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP)
    pthread_mutex_t mutex_ = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
#else
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
#endif
};

}  // namespace spargio::detail
