// SPDX-License-Identifier: MIT
// The operations of one ring: in it, and waiting for room in it.
#pragma once

#include <cstdint>

#include "operation.hpp"
#include "uring.hpp"

namespace spargio::detail {

/// FIFO of operations, linked through them.
class OperationList {
public:
    [[nodiscard]] Operation* front() const noexcept { return first_; }
    void push_back(Operation& operation) noexcept;
    void remove(Operation& operation) noexcept;

private:
    Operation* first_ = nullptr;
    Operation* last_ = nullptr;
};

/// The thread of the shard only. What has no room in the submission queue waits here in its order; it is given to the
/// ring when poll() has made room, and nothing fails for want of it.
class UringOperations {
public:
    UringOperations(Shard& shard, Uring& uring) noexcept : shard_(shard), uring_(uring) {}

    void begin(Operation& operation) noexcept;
    /// A stop that holds the operation, which has not ended: cancels it, and lets go of it, perhaps later.
    void cancel(Operation& operation) noexcept;
    void on_completion(const io_uring_cqe& cqe) noexcept;
    /// Cancels again at once what is still there although the kernel has not found it: woken, but not served, as when
    /// several read one pipe, it was on its way back to wait.
    void on_cancel_completion(const io_uring_cqe& cqe) noexcept;

    /// Something waits for room.
    [[nodiscard]] bool waiting() const noexcept {
        return waiting_.front() != nullptr || !stops_.empty() || (ending_ && in_ring_.front() != nullptr);
    }
    /// Gives the ring what it has room for.
    void fill() noexcept;
    /// Cancels once more what has not ended a second after it was cancelled, whatever the kernel said. A shutdown says
    /// on stderr what it waits for, each operation once.
    void cancel_late() noexcept;

    /// The shutdown: cancels all that is in the ring, and ends all that is not; whatever begins from now on ends at
    /// once.
    void cancel_all() noexcept;
    /// The kernel has none.
    [[nodiscard]] bool none_in_ring() const noexcept {
        return in_ring_.front() == nullptr && cancelled_.front() == nullptr;
    }

    [[nodiscard]] static bool is_operation(std::uint64_t user_data) noexcept { return (user_data & 7U) == 0; }

private:
    void put(Operation& operation, io_uring_sqe* sqe) noexcept;
    void put_cancel(Operation& operation, io_uring_sqe* sqe) noexcept;

    Shard& shard_;
    Uring& uring_;
    OperationList in_ring_;
    OperationList cancelled_;  // In the ring, and behind each of them its cancellation; the last cancelled is the last.
    OperationList waiting_;
    // Stops that wait for room, by their OperationStop. They hold their operations, which may end before their turn.
    WorkList stops_;
    bool ending_ = false;
};

}  // namespace spargio::detail
