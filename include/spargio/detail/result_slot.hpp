// SPDX-License-Identifier: MIT
// Where a task's value or exception stays between the end of its frame and its joiner.
#pragma once

#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "spargio/detail/task_header.hpp"

namespace spargio::detail {

/// What is stored for a result of type T: T itself; a pointer for a reference; a heap copy for what does not fit into a
/// block (alignment above 16, or very large).
template <class T>
struct StoredResult {
    static constexpr bool by_pointer = alignof(T) > 16 || sizeof(T) > 16384;
    using type = std::conditional_t<by_pointer, std::unique_ptr<T>, T>;
};
template <class T>
struct StoredResult<T&> {
    static constexpr bool by_pointer = false;
    using type = T*;
};
template <>
struct StoredResult<void> {
    static constexpr bool by_pointer = false;
    struct type {};
};

/// Typed access to a block's result slot; TaskHeader::outcome says which of the two it holds.
template <class T>
class ResultSlot {
public:
    using Stored = typename StoredResult<T>::type;

    static constexpr std::uint16_t bytes = static_cast<std::uint16_t>(
        result_slot_bytes(sizeof(Stored) > sizeof(std::exception_ptr) ? sizeof(Stored) : sizeof(std::exception_ptr)));

    template <class U>
    static void store(TaskHeader* task, U&& value) {
        if constexpr (std::is_reference_v<T>) {
            ::new (task->result()) Stored(std::addressof(value));
        } else if constexpr (StoredResult<T>::by_pointer) {
            ::new (task->result()) Stored(std::make_unique<T>(std::forward<U>(value)));
        } else {
            ::new (task->result()) T(std::forward<U>(value));
        }
        task->outcome = Outcome::Value;
    }

    static void store_void(TaskHeader* task) noexcept { task->outcome = Outcome::Value; }

    /// Moves the value out. Requires Outcome::Value.
    static T take(TaskHeader* task) {
        task->outcome = Outcome::Taken;
        if constexpr (std::is_void_v<T>) {
            return;
        } else if constexpr (std::is_reference_v<T>) {
            return static_cast<T>(**stored(task));
        } else if constexpr (StoredResult<T>::by_pointer) {
            const std::unique_ptr<T> heap = std::move(*stored(task));
            return std::move(*heap);
        } else {
            // Destroys the slot's object also when T's move throws.
            struct Destroy {
                explicit Destroy(T* object) : object_(object) {}
                ~Destroy() { object_->~T(); }
                Destroy(const Destroy&) = delete;
                Destroy& operator=(const Destroy&) = delete;
                T* object_;
            };
            const Destroy guard(stored(task));
            return std::move(*guard.object_);
        }
    }

    /// The task's entry in run queues, see WorkItem::RunFn.
    static void run(WorkItem* item, Shard* shard) noexcept {
        auto* task = static_cast<TaskHeader*>(item);
        if (shard != nullptr) [[likely]] {
            run_task_step(task, *shard);
        } else if constexpr (!std::is_trivially_destructible_v<Stored>) {
            stored(task)->~Stored();
        }
    }

private:
    static Stored* stored(TaskHeader* task) noexcept { return std::launder(static_cast<Stored*>(task->result())); }
};

/// The exception of a task that ended with one. Type independent.
void store_exception(TaskHeader* task, std::exception_ptr error) noexcept;
[[nodiscard]] std::exception_ptr take_exception(TaskHeader* task) noexcept;

}  // namespace spargio::detail
