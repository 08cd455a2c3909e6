// SPDX-License-Identifier: MIT
// Small tasks that the tests of joins, forks and structure put together.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "spargio/spargio.hpp"
#include "support/event.hpp"

namespace spargio::test {

/// How long a task sleeps that something else is to end.
inline constexpr auto never = std::chrono::hours(1000);

[[nodiscard]] inline Task<> nothing() {
    co_return;
}

[[nodiscard]] inline Task<> sleep_briefly() {
    static_cast<void>(co_await sleep_for(std::chrono::milliseconds(1)));
}

[[nodiscard]] inline Task<int> number_after(Event& go, int number) {
    co_await go.async_wait();
    co_return number;
}

/// 1 if a stop has ended the sleep.
[[nodiscard]] inline Task<int> sleeper(Latch& asleep) {
    asleep.arrive();
    const auto slept = co_await sleep_for(never);
    co_return !slept && slept.error() == std::errc::operation_canceled ? 1 : 0;
}

/// Counts those that a stop has ended.
[[nodiscard]] inline Task<> sleeper(Latch& asleep, std::atomic<int>& stopped) {
    asleep.arrive();
    const auto slept = co_await sleep_for(never);
    if (!slept && slept.error() == std::errc::operation_canceled) {
        ++stopped;
    }
}

[[nodiscard]] inline Task<> throws_after_a_yield(std::string text) {
    co_await yield();
    throw std::runtime_error(text);
}

/// A value that can only be moved, after another turn of its shard.
[[nodiscard]] inline Task<std::unique_ptr<int>> boxed(int value) {
    co_await yield();
    co_return std::make_unique<int>(value);
}

/// What became of the message.
[[nodiscard]] inline Task<std::error_code> wait_for_it(SendTicket ticket) {
    const Result<void> seen = co_await ticket;
    co_return seen.error();
}

/// A tree of forks that only computes.
[[nodiscard]] inline Task<std::uint64_t> fib(unsigned n) {
    if (n < 2) {
        co_return n;
    }
    auto [first, second] = co_await fork_join(fib(n - 1), fib(n - 2));
    co_return first + second;
}

}  // namespace spargio::test
