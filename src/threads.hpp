// SPDX-License-Identifier: MIT
// Starting the runtime's threads: signals blocked, named.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
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
    std::array<char, 20> digits{};
    const char* end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    const std::string_view id(digits.data(), static_cast<std::size_t>(end - digits.data()));
    std::array<char, 16> name{};
    std::size_t length = 0;
    const auto append = [&](std::string_view text, std::size_t room) {
        length += text.copy(name.data() + length, std::min(room, name.size() - 1 - length));
    };
    const auto rest = std::min(middle.size() + id.size(), name.size() - 1);
    append(prefix, name.size() - 1 - rest);
    append(middle, middle.size());
    append(id, id.size());
    pthread_setname_np(pthread_self(), name.data());
}

}  // namespace spargio::detail
