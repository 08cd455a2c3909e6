// SPDX-License-Identifier: MIT
// Task: the lazy coroutine type that everything in spargio runs.
#pragma once

#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

#include "spargio/config.hpp"
#include "spargio/detail/result_slot.hpp"
#include "spargio/detail/task_header.hpp"

// GCC turns a symmetric transfer into a jump only as a tail call, which it does not make without optimisation or with a
// sanitizer (PR 100897, PR 94794). There, after some transfers control goes back to the loop, which resumes the next
// frame on a fresh stack.
#if !defined(SPARGIO_TRAMPOLINE)
#if defined(__GNUC__) && !defined(__clang__) && (!defined(__OPTIMIZE__) || SPARGIO_ASAN || SPARGIO_TSAN)
#define SPARGIO_TRAMPOLINE 1
#else
#define SPARGIO_TRAMPOLINE 0
#endif
#endif

// A macro only because clang-format 14 takes an attribute with a text here for the start of a block.
#define SPARGIO_TASK_NODISCARD \
    [[nodiscard("a Task does nothing until it is awaited or spawned: co_await it, or give it to a spawn function")]]

namespace spargio {

template <class T = void>
class Task;

namespace detail {

template <class T>
class TaskPromise;

/// What all tasks' promises have in common. Empty: all state is in the header in front of the frame.
class PromiseBase {
public:
    /// The coroutine does not start before it is awaited or spawned.
    std::suspend_always initial_suspend() const noexcept { return {}; }
};

template <class P>
[[nodiscard]] TaskHeader* header_of(std::coroutine_handle<P> frame) noexcept {
    static_assert(std::is_base_of_v<PromiseBase, P>, "only a spargio::Task may await this");
    return TaskHeader::of_frame(frame.address());
}

/// The frame to go on with: `next` itself, or, where a transfer costs stack, every so often the loop.
[[nodiscard]] inline std::coroutine_handle<> transfer(TaskHeader* root, void* next) noexcept {
#if SPARGIO_TRAMPOLINE
    auto* executor = root->owner.executor;
    if (++executor->inline_depth >= 128) {
        executor->inline_depth = 0;
        executor->trampoline = next;
        return std::noop_coroutine();
    }
#else
    static_cast<void>(root);
#endif
    return std::coroutine_handle<>::from_address(next);
}

struct FinalAwaiter {
    FinalAwaiter() noexcept = default;  // A constructor: GCC 12 copies aggregate awaiters bitwise.
    static bool await_ready() noexcept { return false; }

    template <class P>
    SPARGIO_AWAIT_NOINLINE static std::coroutine_handle<> await_suspend(std::coroutine_handle<P> frame) noexcept {
        TaskHeader* task = header_of(frame);
        if (task->kind != TaskKind::Awaited) {
            task->owner.executor->ended = task;  // The loop destroys the frame, then tells the joiner.
            return std::noop_coroutine();
        }
        TaskHeader* root = task->owner.root;
        root->link.leaf = task->link.parent;
        return transfer(root, task->link.parent);
    }

    static void await_resume() noexcept {}
};

/// `co_await task`: starts the task under the awaiting one and gives its result. Owns the block.
template <class T>
class TaskAwaiter {
public:
    explicit TaskAwaiter(TaskHeader* task) noexcept : task_(task) {}
    TaskAwaiter(TaskAwaiter&& other) noexcept : task_(std::exchange(other.task_, nullptr)) {}
    TaskAwaiter(const TaskAwaiter&) = delete;
    TaskAwaiter& operator=(const TaskAwaiter&) = delete;
    TaskAwaiter& operator=(TaskAwaiter&&) = delete;

    ~TaskAwaiter() {
        if (task_ != nullptr) {
            end_task(task_);
        }
    }

    [[nodiscard]] bool await_ready() const noexcept { return false; }

    template <class P>
    SPARGIO_AWAIT_NOINLINE std::coroutine_handle<> await_suspend(std::coroutine_handle<P> parent) noexcept {
        TaskHeader* root = header_of(parent)->root();
        task_->owner.root = root;
        task_->link.parent = parent.address();
        root->link.leaf = task_->frame();
        return transfer(root, task_->frame());
    }

    /// Resumes on the shard of the awaiting task. Rethrows what the task threw.
    T await_resume() {
        // In each case the frame's locals end before the awaiting task goes on.
        if (task_->outcome == Outcome::Exception) [[unlikely]] {
            destroy_frame(task_);
            std::rethrow_exception(take_exception(task_));
        }
        if constexpr (std::is_void_v<T>) {
            end_taken(std::exchange(task_, nullptr));
        } else if constexpr (ResultSlot<T>::is_trivial) {
            T value = ResultSlot<T>::take(task_);
            end_taken(std::exchange(task_, nullptr));
            return static_cast<T&&>(value);
        } else {
            destroy_frame(task_);
            return ResultSlot<T>::take(task_);
        }
    }

private:
    TaskHeader* task_;
};

template <class T>
class TaskPromiseBase : public PromiseBase {
public:
    static void* operator new(std::size_t frame_bytes) {
        return allocate_task(block_bytes(ResultSlot<T>::bytes, frame_bytes), ResultSlot<T>::bytes, &ResultSlot<T>::run);
    }
    static void operator delete(void* frame, std::size_t frame_bytes) noexcept {
        release_frame(frame, block_bytes(ResultSlot<T>::bytes, frame_bytes));
    }

    Task<T> get_return_object() noexcept;
    FinalAwaiter final_suspend() const noexcept { return FinalAwaiter(); }
    void unhandled_exception() noexcept { store_exception(header(), std::current_exception()); }

protected:
    [[nodiscard]] TaskHeader* header() noexcept;
};

template <class T>
class TaskPromise final : public TaskPromiseBase<T> {
public:
    // By value where that is free: a conversion is then the user's, in the co_return's own line, with the compiler's
    // own warnings, and `co_return 0` from a Task<std::uint64_t> has none.
    void return_value(T value) requires std::is_scalar_v<T> { ResultSlot<T>::store(this->header(), value); }

    template <class U = T>
    requires(!std::is_scalar_v<T> && std::is_convertible_v<U&&, T>) void return_value(U&& value) {
        static_assert(refers_to_lasting<T, U&&>,
                      "this task gives a reference: co_return an object that outlives the task, not a temporary");
        ResultSlot<T>::store(this->header(), std::forward<U>(value));
    }
};

template <>
class TaskPromise<void> final : public TaskPromiseBase<void> {
public:
    void return_void() noexcept { ResultSlot<void>::store_void(header()); }
};

template <class T>
TaskHeader* TaskPromiseBase<T>::header() noexcept {
    return header_of(std::coroutine_handle<TaskPromise<T>>::from_promise(static_cast<TaskPromise<T>&>(*this)));
}

/// Takes the block out of a Task; for spawns and forks.
struct TaskAccess {
    template <class T>
    [[nodiscard]] static TaskHeader* release(Task<T>& task) noexcept {
        return std::exchange(task.task_, nullptr);
    }
};

}  // namespace detail

/// A lazy coroutine that gives a T, or throws. Write one by returning it from a function with `co_await` or
/// `co_return`:
///
///     spargio::Task<int> answer() { co_return 42; }
///     spargio::Task<> ask() { int a = co_await answer(); ... }
///
/// It starts when it is awaited, inside the awaiting task and on its shard, or when it is spawned. It is awaited once,
/// as an rvalue (`co_await std::move(t)` for a named one). Awaiting costs two jumps and one pooled allocation, and a
/// loop of awaits of tasks that finish at once uses constant stack.
///
/// Destroying a task that was never started runs nothing of it. T may be void, a reference, or move-only.
/// Not thread safe: one owner. Parameters by reference must outlive the task: prefer values.
template <class T>
class SPARGIO_TASK_NODISCARD Task {
    static_assert(!std::is_rvalue_reference_v<T>, "a task gives a value or an lvalue reference, not a T&&");

public:
    using promise_type = detail::TaskPromise<T>;
    using value_type = T;

    Task(Task&& other) noexcept : task_(std::exchange(other.task_, nullptr)) {}
    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            destroy();
            task_ = std::exchange(other.task_, nullptr);
        }
        return *this;
    }
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    ~Task() { destroy(); }

    /// Starts the task and waits for its end. The caller resumes on its own shard.
    detail::TaskAwaiter<T> operator co_await() && noexcept {
        SPARGIO_CHECK(task_ != nullptr, "this Task was awaited, spawned or moved from already: a task runs once");
        return detail::TaskAwaiter<T>(std::exchange(task_, nullptr));
    }

    detail::TaskAwaiter<T> operator co_await() & = delete;  // co_await std::move(task)

    /// False once it was awaited, spawned or moved from.
    [[nodiscard]] bool valid() const noexcept { return task_ != nullptr; }

private:
    friend detail::TaskAccess;
    friend detail::TaskPromiseBase<T>;

    explicit Task(detail::TaskHeader* task) noexcept : task_(task) { task->owned = true; }

    void destroy() noexcept {
        if (task_ != nullptr) {
            detail::end_task(task_);
        }
    }

    detail::TaskHeader* task_;
};

template <class T>
Task<T> detail::TaskPromiseBase<T>::get_return_object() noexcept {
    return Task<T>(header());
}

}  // namespace spargio

#undef SPARGIO_TASK_NODISCARD
