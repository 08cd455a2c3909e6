// SPDX-License-Identifier: MIT
// From an operation to a submission queue entry, and from a completion back.
#include "uring_operations.hpp"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <utility>

#include "shard.hpp"
#include "uring_faults.hpp"

namespace spargio::detail {

namespace {

constexpr auto kCancelAgainAfter = std::chrono::seconds(1);
// So often a cancellation that has missed its operation is repeated at once.
constexpr std::uint8_t kCancelsAtOnce = 8;

/// Splice, tee and some others let the kernel's own codes out with which a system call says "interrupted, begin anew"
/// (ERESTARTSYS and its like); errno has no names for them.
int without_restart_codes(int result) noexcept {
    switch (result) {
    case -512:
    case -513:
    case -514:
    case -516:
        return -EINTR;
    default:
        return result;
    }
}

const char* name_of(unsigned opcode) noexcept {
    switch (opcode) {
    case IORING_OP_READ:
        return "read";
    case IORING_OP_WRITE:
        return "write";
    case IORING_OP_FSYNC:
        return "fsync";
    case IORING_OP_POLL_ADD:
        return "poll";
    default:
        return "see IORING_OP_*";
    }
}

void name(const Operation& operation, const Shard& shard) noexcept {
    std::fprintf(stderr,
                 "spargio: a shutdown waits for an operation that does not end, though it was cancelled: opcode %u "
                 "(%s), fd %d, shard %u\n",
                 unsigned{operation.opcode}, name_of(operation.opcode), operation.last_fd, unsigned{shard.id});
}

}  // namespace

void OperationList::push_back(Operation& operation) noexcept {
    operation.after = nullptr;
    operation.before = last_;
    (last_ != nullptr ? last_->after : first_) = &operation;
    last_ = &operation;
}

void OperationList::remove(Operation& operation) noexcept {
    (operation.before != nullptr ? operation.before->after : first_) = operation.after;
    (operation.after != nullptr ? operation.after->before : last_) = operation.before;
}

void UringOperations::begin(Operation& operation) noexcept {
    if (ending_) {
        operation.result = -ECANCELED;
        end_operation(operation, shard_);
        return;
    }
    // Behind those that wait already, else they might wait for ever.
    io_uring_sqe* sqe = waiting_.front() == nullptr ? uring_.next_sqe() : nullptr;
    if (sqe != nullptr) {
        put(operation, sqe);
    } else {
        operation.state = Operation::State::Waiting;
        waiting_.push_back(operation);
    }
}

void UringOperations::put(Operation& operation, io_uring_sqe* sqe) noexcept {
    operation.prepare(operation, sqe);
    operation.opcode = sqe->opcode;
    operation.last_fd = sqe->fd;
    if (UringFaults* faults = uring_faults.load(std::memory_order_acquire)) {
        faults->on_prepare(*sqe);
    }
    // An attempt has one completion, which ends it, and holds up nothing behind it: cancellations and bells are there.
    sqe->flags &= static_cast<__u8>(
        ~(IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_IO_DRAIN | IOSQE_BUFFER_SELECT));
    sqe->user_data = reinterpret_cast<std::uintptr_t>(&operation);
    operation.state = Operation::State::InRing;
    in_ring_.push_back(operation);
}

void UringOperations::put_cancel(Operation& operation, io_uring_sqe* sqe) noexcept {
    // By hand: the parameters of liburing's helper have changed over its versions.
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = -1;
    sqe->addr = reinterpret_cast<std::uintptr_t>(&operation);
    sqe->flags = uring_.skip_success();
    sqe->user_data = user_data::cancel | (std::uint64_t{reinterpret_cast<std::uintptr_t>(&operation)} << 8U);
    if (UringFaults* faults = uring_faults.load(std::memory_order_acquire)) {
        faults->on_cancel(*sqe);
    }
    (operation.cancel_sent ? cancelled_ : in_ring_).remove(operation);
    operation.cancel_sent = true;
    operation.cancelled_at = clock::now();
    cancelled_.push_back(operation);
}

void UringOperations::cancel(Operation& operation) noexcept {
    if (operation.state == Operation::State::Waiting) {
        waiting_.remove(operation);
        operation.result = -ECANCELED;
        end_operation(operation, shard_);
        stop_after_end(operation, shard_);
        return;
    }
    if (!operation.cancel_sent) {
        io_uring_sqe* sqe = uring_.next_sqe();
        if (sqe == nullptr) {
            stops_.push_back(static_cast<OperationStop*>(&operation));
            return;
        }
        put_cancel(operation, sqe);
    }
    finish_stop(operation, shard_);
}

void UringOperations::on_completion(const io_uring_cqe& cqe) noexcept {
    SPARGIO_CHECK((cqe.flags & IORING_CQE_F_MORE) == 0, "NativeLane::submit(): a request with several completions");
    int result = cqe.res;
    auto& operation = *reinterpret_cast<Operation*>(static_cast<std::uintptr_t>(cqe.user_data));
    if (UringFaults* faults = uring_faults.load(std::memory_order_acquire)) {
        result = faults->on_result(operation.opcode, result);
    }
    result = without_restart_codes(result);
    (operation.cancel_sent ? cancelled_ : in_ring_).remove(operation);
    operation.result = result;
    if (operation.again != nullptr && operation.again(operation, result)) {
        if (!operation.stopped && !ending_) {
            begin(operation);
            return;
        }
        operation.result = -ECANCELED;
    } else if ((operation.stopped || ending_) && result == -EINTR) {
        operation.result = -ECANCELED;  // How a worker of the kernel's says that it was cancelled.
    }
    end_operation(operation, shard_);
}

void UringOperations::on_cancel_completion(const io_uring_cqe& cqe) noexcept {
    if (cqe.res != -ENOENT) {
        return;
    }
    // Usually it has ended, and what has its address now may be anything. Another cancelled operation may be hit twice.
    const auto address = static_cast<std::uintptr_t>(cqe.user_data >> 8U);
    for (Operation* operation = cancelled_.front(); operation != nullptr; operation = operation->after) {
        if (reinterpret_cast<std::uintptr_t>(operation) != address) {
            continue;
        }
        io_uring_sqe* sqe = operation->cancels_missed < kCancelsAtOnce ? uring_.next_sqe() : nullptr;
        if (sqe != nullptr) {
            ++operation->cancels_missed;
            put_cancel(*operation, sqe);
        }
        return;
    }
}

void UringOperations::fill() noexcept {
    // Stops first: each of them makes room.
    WorkList held;
    while (!stops_.empty()) {
        auto& operation = static_cast<Operation&>(*static_cast<OperationStop*>(stops_.pop_front()));
        if (operation.state == Operation::State::Ended) {
            stop_after_end(operation, shard_);
            continue;
        }
        // One refusal is enough: each question is a system call.
        io_uring_sqe* sqe = !operation.cancel_sent && held.empty() ? uring_.next_sqe() : nullptr;
        if (sqe != nullptr) {
            put_cancel(operation, sqe);
        }
        if (operation.cancel_sent) {
            finish_stop(operation, shard_);
        } else {
            held.push_back(static_cast<OperationStop*>(&operation));
        }
    }
    stops_ = held;
    if (!stops_.empty()) {
        return;
    }
    while (ending_ && in_ring_.front() != nullptr) {
        io_uring_sqe* sqe = uring_.next_sqe();
        if (sqe == nullptr) {
            return;
        }
        put_cancel(*in_ring_.front(), sqe);
    }
    while (waiting_.front() != nullptr) {
        io_uring_sqe* sqe = uring_.next_sqe();
        if (sqe == nullptr) {
            return;
        }
        Operation& operation = *waiting_.front();
        waiting_.remove(operation);
        put(operation, sqe);
    }
}

void UringOperations::cancel_late() noexcept {
    if (cancelled_.front() == nullptr) {
        return;
    }
    const auto late = clock::now() - kCancelAgainAfter;
    for (Operation* operation = cancelled_.front(); operation->cancelled_at <= late; operation = cancelled_.front()) {
        io_uring_sqe* sqe = uring_.next_sqe();
        if (sqe == nullptr) {
            return;
        }
        if (ending_ && !std::exchange(operation->named, true)) {
            name(*operation, shard_);
        }
        put_cancel(*operation, sqe);
    }
}

void UringOperations::cancel_all() noexcept {
    ending_ = true;
    while (Operation* operation = waiting_.front()) {
        waiting_.remove(*operation);
        operation->result = -ECANCELED;
        end_operation(*operation, shard_);
    }
    fill();
}

}  // namespace spargio::detail
