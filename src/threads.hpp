// SPDX-License-Identifier: MIT
// Starting the runtime's threads: signals blocked, named.
#pragma once

#include <cstdint>
#include <string>
#include <thread>
#include <utility>

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
    try {
        const std::string suffix = "-" + std::to_string(number);
        const std::string name = prefix.substr(0, 15 - suffix.size()) + suffix;
        pthread_setname_np(pthread_self(), name.c_str());
    } catch (...) {  // A thread without a name works as well.
    }
}

}  // namespace spargio::detail
