// SPDX-License-Identifier: MIT
// The seam through which tests make system calls of the ring fail.
#pragma once

#include "spargio/detail/atomic.hpp"

struct io_uring_sqe;

namespace spargio::detail {

/// Each hook answers 0 to let the call happen, or a negative errno to have it fail without happening. Called on any
/// thread.
class UringFaults {
public:
    virtual ~UringFaults() = default;
    /// io_uring_setup with so many entries.
    virtual int on_setup(unsigned entries, unsigned flags) noexcept {
        static_cast<void>(entries);
        static_cast<void>(flags);
        return 0;
    }
    /// io_uring_enter.
    virtual int on_enter() noexcept { return 0; }
    /// A doorbell, by MSG_RING or from outside.
    virtual int on_bell() noexcept { return 0; }

    // These answer otherwise.
    /// An operation's entry: may cut its length, or make it an invalid one.
    virtual void on_prepare(io_uring_sqe& entry) noexcept { static_cast<void>(entry); }
    /// The entry that cancels an operation: may make it miss.
    virtual void on_cancel(io_uring_sqe& entry) noexcept { static_cast<void>(entry); }
    /// An operation's completion: the result that is taken for it.
    virtual int on_result(unsigned opcode, int result) noexcept {
        static_cast<void>(opcode);
        return result;
    }
};

/// None by default. A test sets it before it builds a runtime and clears it after. Read before system calls only.
inline atomic<UringFaults*> uring_faults{nullptr};

}  // namespace spargio::detail
