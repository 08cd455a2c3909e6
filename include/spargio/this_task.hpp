// SPDX-License-Identifier: MIT
// What a task asks for itself: to let others run, to move, its stop token.
#pragma once

#include <coroutine>
#include <stop_token>

#include "spargio/result.hpp"
#include "spargio/shard_id.hpp"
#include "spargio/task.hpp"

namespace spargio {

namespace detail {

/// Puts the root at the end of the queue it belongs to. The task must be at a suspension point.
void yield_task(TaskHeader* root) noexcept;
/// True: the task is queued at `target` and may be running there already.
[[nodiscard]] bool move_task(TaskHeader* root, ShardId target, std::error_code& error) noexcept;
[[nodiscard]] std::stop_token task_stop_token(TaskHeader* root);

class YieldAwaiter {
public:
    YieldAwaiter() noexcept = default;
    [[nodiscard]] static bool await_ready() noexcept { return false; }
    // Not inlined, here and below: the task may run elsewhere before this returns, and Clang 14 may write to the frame
    // of an inlined one (LLVM 56301).
    template <class P>
    SPARGIO_AWAIT_NOINLINE static void await_suspend(std::coroutine_handle<P> frame) noexcept {
        yield_task(header_of(frame)->root());
    }
    static void await_resume() noexcept {}
};

class ResumeOnAwaiter {
public:
    explicit ResumeOnAwaiter(ShardId target) noexcept : target_(target) {}
    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE bool await_suspend(std::coroutine_handle<P> frame) noexcept {
        return move_task(header_of(frame)->root(), target_, error_);
    }
    [[nodiscard]] Result<void> await_resume() const {
        if (error_) {
            return error_;
        }
        return {};
    }

private:
    std::error_code error_;
    ShardId target_;
};

class StopTokenAwaiter {
public:
    StopTokenAwaiter() noexcept = default;
    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> frame) {
        token_ = task_stop_token(header_of(frame)->root());
        return false;
    }
    [[nodiscard]] std::stop_token await_resume() noexcept { return static_cast<std::stop_token&&>(token_); }

private:
    std::stop_token token_{};
};

}  // namespace detail

/// Awaitable: goes to the end of its shard's queue, so that others run. A stealable task may resume on another shard.
/// Costs a queue operation, no allocation. Not a place where a stop request ends the task.
[[nodiscard("co_await it")]] inline detail::YieldAwaiter yield() noexcept {
    return detail::YieldAwaiter();
}

/// Awaitable -> Result<void>: the next step of a stealable task runs on `target`, and no thief takes it. InvalidShard
/// for an unknown shard, and for a pinned task that names another one: it stays where it is. Does not wait if it is
/// there already.
[[nodiscard("co_await it")]] inline detail::ResumeOnAwaiter resume_on(ShardId target) noexcept {
    return detail::ResumeOnAwaiter(target);
}

namespace this_task {

/// Awaitable -> std::stop_token of the running task; a task awaited directly shares its parent's. Does not suspend. The
/// first request allocates the token's state; a task that never asks pays nothing. The token stays valid after the
/// task.
[[nodiscard("co_await it")]] inline detail::StopTokenAwaiter stop_token() noexcept {
    return detail::StopTokenAwaiter();
}

}  // namespace this_task

}  // namespace spargio
