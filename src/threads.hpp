// SPDX-License-Identifier: MIT
// Starting the runtime's threads: signals blocked, named.
#pragma once

#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string_view>

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

/// Names the calling thread "<prefix><middle><number>". The kernel keeps 15 characters: a long prefix is cut, the rest
/// is not.
inline void name_this_thread(std::string_view prefix, std::string_view middle, std::uint64_t number) noexcept {
    std::array<char, 16> name{};
    std::array<char, 32> rest{};
    const int length =
        std::snprintf(rest.data(), rest.size(), "%.*s%" PRIu64, static_cast<int>(middle.size()), middle.data(), number);
    const int room = static_cast<int>(name.size()) - 1 - length;
    const int kept = static_cast<int>(prefix.size()) < room ? static_cast<int>(prefix.size()) : room;
    std::snprintf(name.data(), name.size(), "%.*s%s", kept, prefix.data(), rest.data());
    pthread_setname_np(pthread_self(), name.data());
}

}  // namespace spargio::detail
