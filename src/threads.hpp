// SPDX-License-Identifier: MIT
// The runtime's threads: how they start (signals blocked, named) and how they are joined.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <pthread.h>
#include <signal.h>

#include "adaptive_spin.hpp"
#include "spargio/config.hpp"

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

/// A thread like std::thread, whose join() spins first: std::thread cannot be told that it was joined by other means.
/// To be joined or detached, once. One owner.
class Thread {
public:
    /// Starts a thread that calls `body`. Throws std::system_error, or what the copy of `body` throws.
    template <class Body>
    explicit Thread(Body body) {
        static_assert(std::is_nothrow_invocable_v<Body&>, "an exception must not leave a thread");
        auto owned = std::make_unique<Body>(std::move(body));
        const auto run = [](void* raw) -> void* {
            const std::unique_ptr<Body> mine(static_cast<Body*>(raw));
            (*mine)();
            return nullptr;
        };
        if (const int error = pthread_create(&id_, nullptr, run, owned.get())) {
            throw std::system_error(error, std::generic_category());
        }
        static_cast<void>(owned.release());  // The thread's now.
    }
    Thread(Thread&& other) noexcept : id_(other.id_), joinable_(std::exchange(other.joinable_, false)) {}
    Thread& operator=(Thread&&) = delete;
    ~Thread() { SPARGIO_CHECK(!joinable_, "a thread was neither joined nor detached"); }

    [[nodiscard]] bool is_current() const noexcept { return pthread_equal(id_, pthread_self()) != 0; }

    /// Waits for the thread's end. Spins first, since most are joined when they are about to end, and the wake-up of a
    /// joiner that blocks takes longer than that.
    void join() noexcept {
        AdaptiveSpin spin(std::chrono::microseconds(100));
        const bool joined = spin.spin([this] { return pthread_tryjoin_np(id_, nullptr) == 0; });
        if (!joined) {
            pthread_join(id_, nullptr);
        }
        joinable_ = false;
    }

    void detach() noexcept {
        pthread_detach(id_);
        joinable_ = false;
    }

private:
    pthread_t id_{};
    bool joinable_ = true;
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
