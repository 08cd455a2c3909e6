// SPDX-License-Identifier: MIT
// Where a task's value or exception stays between the end of its frame and its joiner.
#pragma once

#include <cstddef>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "spargio/detail/task_header.hpp"

namespace spargio::detail {

/// A T outside the block.
template <class T>
class HeapResult {
public:
    template <class U>
    explicit HeapResult(U&& value) : object_(new T(static_cast<U&&>(value))) {}
    HeapResult(const HeapResult&) = delete;
    HeapResult& operator=(const HeapResult&) = delete;
    ~HeapResult() { delete object_; }
    [[nodiscard]] T& operator*() const noexcept { return *object_; }

private:
    T* object_;
};

/// Destroys a slot's object at the end of a scope, also when its move throws.
template <class T>
class DestroyAtEnd {
public:
    explicit DestroyAtEnd(T* object) noexcept : object_(object) {}
    DestroyAtEnd(const DestroyAtEnd&) = delete;
    DestroyAtEnd& operator=(const DestroyAtEnd&) = delete;
    ~DestroyAtEnd() { object_->~T(); }
    [[nodiscard]] T& operator*() const noexcept { return *object_; }

private:
    T* object_;
};

/// What is stored for a result of type T: T itself; a pointer for a reference; a heap copy for what does not fit into a
/// block (alignment above 16, or very large).
template <class T>
struct StoredResult {
    static constexpr bool by_pointer = alignof(T) > 16 || sizeof(T) > 16384;
    using type = std::conditional_t<by_pointer, HeapResult<T>, T>;
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

/// Whether a T, if it is a reference, refers to what is given, not to a temporary that is made of it. A class may
/// convert to the reference, as std::reference_wrapper does.
template <class T, class U>
inline constexpr bool refers_to_lasting =
    !std::is_reference_v<T> || !std::is_const_v<std::remove_reference_t<T>> ||
    (std::is_lvalue_reference_v<U> &&
     std::is_convertible_v<std::remove_reference_t<U>*, std::remove_reference_t<T>*>) ||
    std::is_convertible_v<U, std::remove_const_t<std::remove_reference_t<T>>&> || requires(U given) {
    static_cast<U&&>(given).operator T();
};

/// Typed access to a block's result slot; TaskHeader::outcome says which of the two it holds.
template <class T>
class ResultSlot {
public:
    using Stored = typename StoredResult<T>::type;

    static constexpr std::uint16_t bytes = static_cast<std::uint16_t>(
        result_slot_bytes(sizeof(Stored) > sizeof(std::exception_ptr) ? sizeof(Stored) : sizeof(std::exception_ptr)));

    /// Taking it leaves nothing to destroy, and cannot throw: it may be copied out before the frame ends.
    static constexpr bool is_trivial = std::is_trivially_copyable_v<Stored> && std::is_trivially_destructible_v<Stored>;

    template <class U>
    static void store(TaskHeader* task, U&& value) {
        if constexpr (std::is_reference_v<T>) {
            T bound = static_cast<U&&>(value);  // Also what converts to the reference, as std::reference_wrapper does.
            ::new (slot(task)) Stored(__builtin_addressof(bound));
        } else if constexpr (StoredResult<T>::by_pointer) {
            ::new (slot(task)) Stored(std::forward<U>(value));
        } else {
            ::new (slot(task)) T(std::forward<U>(value));
        }
        task->outcome = Outcome::Value;
        if constexpr (!std::is_trivially_destructible_v<Stored>) {
            task->drops = true;
        }
    }

    static void store_void(TaskHeader* task) noexcept { task->outcome = Outcome::Value; }

    /// Moves the value out. Requires Outcome::Value.
    static T take(TaskHeader* task) {
        task->outcome = Outcome::Taken;
        if constexpr (std::is_void_v<T>) {
            return;
        } else if constexpr (std::is_reference_v<T>) {
            return static_cast<T>(**stored(task));
        } else {
            const DestroyAtEnd<Stored> slot(stored(task));
            if constexpr (StoredResult<T>::by_pointer) {
                return std::move(**slot);
            } else {
                return std::move(*slot);
            }
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
    // TaskHeader::result() without a look at the header: the type knows the distance.
    static void* slot(TaskHeader* task) noexcept { return reinterpret_cast<std::byte*>(task) - bytes; }
    static Stored* stored(TaskHeader* task) noexcept { return std::launder(static_cast<Stored*>(slot(task))); }
};

/// The exception of a task that ended with one. Type independent.
void store_exception(TaskHeader* task, std::exception_ptr error) noexcept;
[[nodiscard]] std::exception_ptr take_exception(TaskHeader* task) noexcept;

}  // namespace spargio::detail
