// SPDX-License-Identifier: MIT
// What stress tests share: the seed, shorter runs under a sanitizer, a watchdog.
#pragma once

#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "spargio/config.hpp"

namespace spargio::test {

inline constexpr bool sanitized = SPARGIO_ASAN != 0 || SPARGIO_TSAN != 0;

/// The number of rounds: `plain`, or `under_sanitizer` where each step costs ten times as much; SPARGIO_TEST_LONGER=n
/// makes it n times as many, for a night's search.
[[nodiscard]] inline unsigned scaled(unsigned plain, unsigned under_sanitizer) {
    static const unsigned longer = [] {
        const char* text = std::getenv("SPARGIO_TEST_LONGER");
        const int value = text != nullptr ? std::atoi(text) : 1;
        return value > 1 ? static_cast<unsigned>(value) : 1U;
    }();
    return (sanitized ? under_sanitizer : plain) * longer;
}

/// SPARGIO_TEST_SEED, or a new one for each process. Printed once, so that a failure can be run again.
[[nodiscard]] inline std::uint64_t stress_seed() {
    static const std::uint64_t seed = [] {
        std::uint64_t value = 0;
        if (const char* text = std::getenv("SPARGIO_TEST_SEED"); text != nullptr && *text != '\0') {
            std::from_chars(text, text + std::strlen(text), value);
        } else {
            value = std::random_device()();
        }
        std::printf("SPARGIO_TEST_SEED=%llu\n", static_cast<unsigned long long>(value));
        std::fflush(stdout);
        return value;
    }();
    return seed;
}

/// splitmix64: small, and the same on every machine. One owner.
class Random {
public:
    explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

    std::uint64_t next() noexcept {
        std::uint64_t value = (state_ += 0x9E3779B97F4A7C15ULL);
        value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9ULL;
        value = (value ^ (value >> 27U)) * 0x94D049BB133111EBULL;
        return value ^ (value >> 31U);
    }
    /// 0 to bound - 1.
    std::uint32_t below(std::uint32_t bound) noexcept {
        return static_cast<std::uint32_t>(((next() >> 32U) * bound) >> 32U);
    }
    [[nodiscard]] bool one_in(std::uint32_t chances) noexcept { return below(chances) == 0; }

private:
    std::uint64_t state_;
};

/// Burns time without giving up the CPU: a pause whose end needs no wake.
inline void spin_for(std::chrono::nanoseconds span) noexcept {
    const auto end = std::chrono::steady_clock::now() + span;
    while (std::chrono::steady_clock::now() < end) {}
}

/// Aborts the process, with a sentence that says where, when a test makes no progress: a hang is a failure with a name.
class Watchdog {
public:
    explicit Watchdog(std::string what, std::chrono::seconds limit = std::chrono::seconds(sanitized ? 240 : 60))
        : what_(std::move(what)), limit_(limit), thread_([this] { watch(); }) {}
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;
    ~Watchdog() {
        {
            const std::lock_guard lock(mutex_);
            ended_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }

    /// Something has been achieved: the time starts anew. `where` goes into the sentence.
    void progress(std::string where) {
        {
            const std::lock_guard lock(mutex_);
            where_ = std::move(where);
            ++steps_;
        }
        changed_.notify_all();
    }

private:
    void watch() {
        std::unique_lock lock(mutex_);
        while (!ended_) {
            const auto seen = steps_;
            if (!changed_.wait_for(lock, limit_, [&] { return ended_ || steps_ != seen; })) {
                std::fprintf(stderr, "watchdog: %s hangs (%s; seed %llu)\n", what_.c_str(), where_.c_str(),
                             static_cast<unsigned long long>(stress_seed()));
                std::abort();
            }
        }
    }

    const std::string what_;
    const std::chrono::seconds limit_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string where_ = "start";
    std::uint64_t steps_ = 0;
    bool ended_ = false;
    std::thread thread_;
};

}  // namespace spargio::test
