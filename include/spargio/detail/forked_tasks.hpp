// SPDX-License-Identifier: MIT
// Children whose number is known to the compiler: their blocks, before their start and after their end; their values.
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <variant>

#include "spargio/detail/fork.hpp"
#include "spargio/detail/result_slot.hpp"
#include "spargio/detail/task_header.hpp"
#include "spargio/task.hpp"

namespace spargio::detail {

template <class T>
using ForkValue = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// Whether take_forked() leaves nothing of the child.
template <class T>
inline constexpr bool is_freed_when_taken = !std::is_void_v<T> && ResultSlot<T>::is_trivial;

/// The value of a forked child that ended with one; its block stays, or is freed and `child` null.
template <class T>
ForkValue<T> take_forked(TaskHeader*& child) {
    if constexpr (std::is_void_v<T>) {
        return {};
    } else if constexpr (is_freed_when_taken<T>) {
        TaskHeader* ended = std::exchange(child, nullptr);
        T value = ResultSlot<T>::take(ended);
        free_block(ended, ended->link.block_bytes);
        return static_cast<T&&>(value);
    } else {
        return ResultSlot<T>::take(child);
    }
}

/// The tasks of an array as children, which it goes on to own.
template <class T>
[[nodiscard]] ForkedChildren children_in(const Task<T>* tasks, std::size_t count) noexcept {
    // A Task is the address of its block, and nothing else.
    static_assert(sizeof(Task<T>) == sizeof(TaskHeader*) && std::is_standard_layout_v<Task<T>>);
    return {reinterpret_cast<TaskHeader* const*>(tasks), count};
}

/// A few children, owned before their start and after their end.
template <std::size_t most>
class ForkedTasks {
public:
    template <class... T>
    explicit ForkedTasks(Task<T>&... tasks) noexcept : tasks_{TaskAccess::release(tasks)...}, count_(sizeof...(T)) {}
    ForkedTasks(ForkedTasks&& other) noexcept : tasks_(other.tasks_), count_(std::exchange(other.count_, 0)) {}
    ForkedTasks(const ForkedTasks&) = delete;
    ForkedTasks& operator=(const ForkedTasks&) = delete;
    ForkedTasks& operator=(ForkedTasks&&) = delete;
    ~ForkedTasks() {
        for (std::size_t i = 0; i < count_; ++i) {
            if (tasks_[i] != nullptr) {
                end_task(tasks_[i]);
            }
        }
    }

    template <class T>
    void add(Task<T> task) noexcept {
        tasks_[count_++] = TaskAccess::release(task);
    }

    /// None of them is there any more: all were freed when their values were taken.
    void forget() noexcept { count_ = 0; }

    [[nodiscard]] ForkedChildren children() const noexcept { return {tasks_.data(), count_}; }
    [[nodiscard]] TaskHeader*& operator[](std::size_t i) noexcept { return tasks_[i]; }

private:
    std::array<TaskHeader*, most> tasks_;
    std::size_t count_;
};

}  // namespace spargio::detail
