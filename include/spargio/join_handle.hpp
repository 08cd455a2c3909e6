// SPDX-License-Identifier: MIT
// JoinHandle: the other end of a spawned task.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <system_error>
#include <type_traits>
#include <utility>

#include "spargio/detail/clamp_duration.hpp"
#include "spargio/detail/core_ref.hpp"
#include "spargio/detail/join.hpp"
#include "spargio/detail/result_slot.hpp"
#include "spargio/result.hpp"
#include "spargio/task.hpp"

// A macro only because clang-format 14 takes an attribute with a text here for the start of a block.
#define SPARGIO_HANDLE_NODISCARD \
    [[nodiscard("keep the handle to join the task, or call detach() to let it run on alone")]]

namespace spargio {

template <class T = void>
class JoinHandle;

namespace detail {

/// The value of an ended task, or a throw. Leaves the block to its owner.
template <class T>
T take_value(TaskHeader* task) {
    if (task->outcome == Outcome::Value) [[likely]] {
        return ResultSlot<T>::take(task);
    }
    if (task->outcome == Outcome::Exception) {
        std::rethrow_exception(take_exception(task));
    }
    throw_join_error(task);
}

/// The part of both awaiters that waits.
class JoinAwaiterBase {
public:
    JoinAwaiterBase(TaskHeader* child, std::uint64_t runtime) noexcept : wait_(child, runtime) {}

    [[nodiscard]] bool await_ready() const noexcept { return wait_.child->done(); }

    template <class P>
    SPARGIO_AWAIT_NOINLINE bool await_suspend(std::coroutine_handle<P> frame) noexcept {
        return join_suspend(wait_, header_of(frame)->root());
    }

protected:
    JoinWait wait_;
};

/// `co_await std::move(handle)`
template <class T>
class JoinAwaiter : public JoinAwaiterBase {
public:
    using JoinAwaiterBase::JoinAwaiterBase;
    JoinAwaiter(const JoinAwaiter&) = delete;
    JoinAwaiter& operator=(const JoinAwaiter&) = delete;
    ~JoinAwaiter() {
        if (wait_.child != nullptr) {
            detach_task(wait_.child);
        }
    }

    T await_resume() {
        if (wait_.canceled) [[unlikely]] {
            throw_canceled();
        }
        if constexpr (std::is_void_v<T> || ResultSlot<T>::is_trivial) {
            if (wait_.child->outcome == Outcome::Value) [[likely]] {
                // The end of task and handle in one: only the memory is left.
                TaskHeader* ended = std::exchange(wait_.child, nullptr);
                if constexpr (std::is_void_v<T>) {
                    free_block(ended, ended->link.block_bytes);
                    return;
                } else {
                    T value = ResultSlot<T>::take(ended);
                    free_block(ended, ended->link.block_bytes);
                    return static_cast<T&&>(value);
                }
            }
        }
        return take_value<T>(wait_.child);
    }
};

/// `co_await handle.join()`
template <class T>
class JoinResultAwaiter : public JoinAwaiterBase {
public:
    using JoinAwaiterBase::JoinAwaiterBase;

    Result<T> await_resume() {
        if (wait_.canceled) {
            return std::make_error_code(std::errc::operation_canceled);
        }
        if (wait_.child->outcome == Outcome::Canceled || wait_.child->outcome == Outcome::Refused) {
            return join_error(wait_.child);
        }
        if constexpr (std::is_void_v<T>) {
            take_value<T>(wait_.child);
            return {};
        } else {
            return take_value<T>(wait_.child);
        }
    }
};

}  // namespace detail

/// What every spawn returns. Keep it to join, ask or stop the task; drop it, and the task runs on.
///
/// A task of any runtime may await it, any thread that is not a shard of the task's runtime may block on it. The handle
/// is used by one thread at a time, but for request_stop(), done() and spawn_error(), which any thread may call while
/// another is in get(), wait_for() or join(). `co_await std::move(handle)` takes the task out of the handle, and nobody
/// may use it meanwhile. It may outlive the runtime. It owns the result and the join state, never what is in the
/// task's frame: when the task ends, all of that is destroyed on its shard before any joiner sees the result. The three
/// are one allocation, which is freed with the handle: to keep many results of large frames, take the values.
///
/// Default constructed it is empty, as after detach(): every call but valid(), detach() and assignment throws
/// std::logic_error.
///
/// The result is taken once: a second get() or join() throws std::logic_error. Results that a Result cannot hold
/// (references, std::error_code) are taken with get() or `co_await std::move(handle)`.
template <class T>
class SPARGIO_HANDLE_NODISCARD JoinHandle {
public:
    using value_type = T;

    JoinHandle() noexcept = default;
    JoinHandle(JoinHandle&& other) noexcept : task_(std::exchange(other.task_, nullptr)), runtime_(other.runtime_) {}
    JoinHandle& operator=(JoinHandle&& other) noexcept {
        if (this != &other) {
            detach();
            task_ = std::exchange(other.task_, nullptr);
            runtime_ = other.runtime_;
        }
        return *this;
    }
    JoinHandle(const JoinHandle&) = delete;
    JoinHandle& operator=(const JoinHandle&) = delete;
    ~JoinHandle() { detach(); }

    /// `co_await std::move(handle)`: waits for the task's end and gives its T. Rethrows its exception; throws
    /// std::system_error with JoinError::Canceled (it was destroyed by a shutdown) or the reason the spawn was refused.
    /// When the awaiting task is stopped, throws std::errc::operation_canceled and detaches the child. The caller
    /// resumes on its own shard, or, if it is stealable, where the child ended. One awaiter, no allocation.
    detail::JoinAwaiter<T> operator co_await() && {
        return detail::JoinAwaiter<T>(std::exchange(require(), nullptr), runtime_);
    }

    detail::JoinAwaiter<T> operator co_await() & = delete;  // co_await std::move(handle), or co_await handle.join()

    /// Awaitable: the same as a Result, but the task's own exception is still rethrown. When the awaiting task is
    /// stopped, gives std::errc::operation_canceled, and the handle stays valid. A value can be taken once. The handle
    /// stays where it is, and is not detached, until this has been awaited.
    [[nodiscard("co_await it")]] detail::JoinResultAwaiter<T> join() requires(!std::is_reference_v<T>) {
        return detail::JoinResultAwaiter<T>(require(), runtime_);
    }

    /// Blocks the thread until the task has ended; gives and throws what `co_await std::move(handle)` does. Throws
    /// std::logic_error on a shard thread of the task's runtime: await there.
    T get() {
        detail::join_block(require(), runtime_);
        return detail::take_value<T>(task_);
    }

    /// Blocks the thread until the task has ended, `limit` at most; whether it has. Throws like get().
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> limit) const {
        return detail::join_block_for(require(), runtime_, detail::clamp_duration(limit));
    }

    /// Whether the task has ended (or was refused): a join will not wait.
    bool done() const { return require()->done(); }

    /// Why the spawn was refused (RuntimeError::Closed, InvalidShard, Overloaded, ...); empty if it was not.
    std::error_code spawn_error() const { return detail::refusal_of(require()); }

    /// Asks the task to stop: its token, and the wait it is suspended in. Returns at once; any thread. A blocking job
    /// (RuntimeHandle::spawn_blocking()) has neither: it is run all the same.
    void request_stop() const { detail::request_task_stop(require()); }

    /// Lets go: the task runs on. If it has ended with an exception that nobody took, the runtime's
    /// on_unhandled_exception is called here.
    void detach() noexcept {
        if (task_ != nullptr) {
            detail::detach_task(std::exchange(task_, nullptr));
        }
    }

    /// False when default constructed, and once awaited as an rvalue, detached or moved from.
    [[nodiscard]] bool valid() const noexcept { return task_ != nullptr; }

    /// For the spawn functions: takes over the handle's side of a submitted task.
    JoinHandle(detail::TaskHeader* task, std::uint64_t runtime) noexcept : task_(task), runtime_(runtime) {}

private:
    detail::TaskHeader*& require() {
        if (task_ == nullptr) {
            detail::throw_empty_handle();
        }
        return task_;
    }
    detail::TaskHeader* const& require() const {
        if (task_ == nullptr) {
            detail::throw_empty_handle();
        }
        return task_;
    }

    detail::TaskHeader* task_ = nullptr;
    std::uint64_t runtime_ = 0;
};

}  // namespace spargio

#undef SPARGIO_HANDLE_NODISCARD
