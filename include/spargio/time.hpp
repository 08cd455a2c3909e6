// SPDX-License-Identifier: MIT
// Sleeping without blocking the shard.
#pragma once

#include <chrono>
#include <coroutine>

#include "spargio/detail/clamp_duration.hpp"
#include "spargio/detail/seams.hpp"
#include "spargio/detail/sleep_wait.hpp"
#include "spargio/result.hpp"
#include "spargio/task.hpp"

namespace spargio {

namespace detail {

class SleepAwaiter {
public:
    explicit SleepAwaiter(clock::time_point due, bool ahead = false) noexcept : wait_(due, ahead) {}
    SleepAwaiter(const SleepAwaiter&) = delete;
    SleepAwaiter& operator=(const SleepAwaiter&) = delete;

    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE bool await_suspend(std::coroutine_handle<P> frame) noexcept {
        return sleep_suspend(wait_, header_of(frame)->root());
    }
    [[nodiscard]] Result<void> await_resume() const {
        if (wait_.end == SleepWait::End::Stopped) {
            return std::make_error_code(std::errc::operation_canceled);
        }
        return {};
    }

private:
    SleepWait wait_;
};

}  // namespace detail

/// Awaitable -> Result<void>: resumes at `due` or later. The deadline belongs to the shard that the task went to sleep
/// on: while that one is in a long step, the sleep, and its end by a stop, wait for it, even if the task is stealable
/// and may then resume on any shard. A shard that has nothing else to do sleeps for 50 us at least, so that it meets
/// many deadlines at a time; what else makes a sleep late is the kernel. A time in the past does not suspend.
/// std::errc::operation_canceled when the task is stopped before that, or was already. No kernel timer, no allocation;
/// beginning it and stopping it are O(1). One that has a name is awaited by it: `co_await nap`, not
/// `co_await std::move(nap)`, which GCC 12 does not compile.
[[nodiscard("co_await it")]] inline detail::SleepAwaiter sleep_until(
    std::chrono::steady_clock::time_point due) noexcept {
    return detail::SleepAwaiter(due);
}

/// The same for a time of another precision; one that is beyond what the clock can tell is clamped.
template <class Duration>
[[nodiscard("co_await it")]] detail::SleepAwaiter sleep_until(
    std::chrono::time_point<std::chrono::steady_clock, Duration> due) noexcept {
    return detail::SleepAwaiter(detail::clock::time_point(detail::clamp_duration(due.time_since_epoch())));
}

/// The same for `duration` from now. Durations are clamped, never overflow; zero and less does not suspend.
template <class Rep, class Period>
[[nodiscard("co_await it")]] detail::SleepAwaiter sleep_for(std::chrono::duration<Rep, Period> duration) noexcept {
    const auto span = detail::clamp_duration(duration);
    const auto now = detail::timer_now();
    const auto room = detail::clock::time_point::max() - now;
    return detail::SleepAwaiter(span < room ? now + span : detail::clock::time_point::max(), span.count() > 0);
}

}  // namespace spargio
