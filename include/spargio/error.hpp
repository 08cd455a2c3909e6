// SPDX-License-Identifier: MIT
// The error codes of the library: five enums, each with a category whose messages say what to do.
#pragma once

#include "spargio/config.hpp"

#include <system_error>

namespace spargio {

/// Building a runtime and giving it work.
enum class RuntimeError {
    InvalidConfig = 1,   ///< a builder option is out of range, or two options exclude each other
    ThreadSpawn,         ///< the system refused a thread
    InvalidShard,        ///< no shard has this number, or a pinned task may not go there
    Closed,              ///< the runtime has been, or is being, shut down
    Overloaded,          ///< a bounded queue of work is full
    UnsupportedBackend,  ///< this backend cannot do it
    IoUringInit,         ///< the kernel refuses io_uring
};

/// Sending a message to a shard.
enum class SendError {
    Closed = 1,    ///< the target will never see it
    Backpressure,  ///< the queue of this pair is full
    InvalidTag,    ///< the tag is reserved
};

/// Joining a task.
enum class JoinError {
    Canceled = 1,  ///< the task was destroyed before it finished
};

/// Calls across the boundary between tasks and foreign threads.
enum class BoundaryError {
    Closed = 1,  ///< the other side is gone
    Overloaded,  ///< the channel's queue is full
    Timeout,     ///< the deadline passed first
    Canceled,    ///< the caller left, or the request was dropped without an answer
};

/// Operations that move a whole buffer.
enum class IoError {
    UnexpectedEof = 1,  ///< the end came before the buffer was full
    WriteZero,          ///< a write made no progress
};

[[nodiscard]] const std::error_category& runtime_category() noexcept;
[[nodiscard]] const std::error_category& send_category() noexcept;
[[nodiscard]] const std::error_category& join_category() noexcept;
[[nodiscard]] const std::error_category& boundary_category() noexcept;
[[nodiscard]] const std::error_category& io_category() noexcept;

/// Found by argument-dependent look-up, so `std::error_code code = SendError::Backpressure;` and
/// `result.error() == SendError::Backpressure` work. The codes that mean a cancellation, a timeout, a bad argument or
/// something unsupported compare equal to the std::errc of that meaning too. Not so JoinError::Canceled: where a task
/// joins, std::errc::operation_canceled says that the joining task was stopped, this one that the joined task was
/// destroyed.
[[nodiscard]] inline std::error_code make_error_code(RuntimeError error) noexcept {
    return {static_cast<int>(error), runtime_category()};
}
[[nodiscard]] inline std::error_code make_error_code(SendError error) noexcept {
    return {static_cast<int>(error), send_category()};
}
[[nodiscard]] inline std::error_code make_error_code(JoinError error) noexcept {
    return {static_cast<int>(error), join_category()};
}
[[nodiscard]] inline std::error_code make_error_code(BoundaryError error) noexcept {
    return {static_cast<int>(error), boundary_category()};
}
[[nodiscard]] inline std::error_code make_error_code(IoError error) noexcept {
    return {static_cast<int>(error), io_category()};
}

namespace detail {

/// Out of line, so that a value() that never fails costs a test and a call that is not taken.
[[noreturn, gnu::cold]] void throw_system_error(std::error_code error);

}  // namespace detail
}  // namespace spargio

namespace std {

template <>
struct is_error_code_enum<spargio::RuntimeError> : true_type {};
template <>
struct is_error_code_enum<spargio::SendError> : true_type {};
template <>
struct is_error_code_enum<spargio::JoinError> : true_type {};
template <>
struct is_error_code_enum<spargio::BoundaryError> : true_type {};
template <>
struct is_error_code_enum<spargio::IoError> : true_type {};

}  // namespace std
