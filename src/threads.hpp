// SPDX-License-Identifier: MIT
// Starting the runtime's threads: signals blocked, named.
#pragma once

#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>

#include <pthread.h>
#include <signal.h>

namespace spargio::detail {

/// While it lives, threads that this thread starts begin with all signals blocked: a handler never runs on a shard.
class SignalsBlocked {
public:
    SignalsBlocked() noexcept {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

/// Names the calling thread "<prefix>-<number>". The kernel keeps 15 characters: a long prefix is cut, the number is
/// not.
inline void name_this_thread(const std::string& prefix, std::uint64_t number) noexcept {
    std::array<char, 16> name{};
    const int digits = std::snprintf(nullptr, 0, "%" PRIu64, number);
    const int room = static_cast<int>(name.size()) - 2 - digits;
    std::snprintf(name.data(), name.size(), "%.*s-%" PRIu64, room, prefix.c_str(), number);
    pthread_setname_np(pthread_self(), name.data());
}

}  // namespace spargio::detail
