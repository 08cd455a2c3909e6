// SPDX-License-Identifier: MIT
// The awaitables of NativeLane.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

#include "spargio/detail/core_ref.hpp"
#include "spargio/detail/operation.hpp"
#include "spargio/error.hpp"
#include "spargio/result.hpp"
#include "spargio/task.hpp"

namespace spargio::detail {

/// The part of the awaiters that waits. The reference keeps the lane's shard in memory, whatever becomes of its
/// runtime.
class OperationAwaiter {
public:
    OperationAwaiter(const OperationAwaiter&) = delete;
    OperationAwaiter& operator=(const OperationAwaiter&) = delete;

protected:
    explicit OperationAwaiter(CoreRef core) noexcept : core_(std::move(core)) {}
    ~OperationAwaiter() = default;

    /// `result` of an ended operation as an error; none if it is none.
    [[nodiscard]] static std::error_code error_of(const Operation& operation) noexcept {
        if (operation.result == Operation::refused) {
            return RuntimeError::Closed;
        }
        return operation.result < 0 ? operation_error(operation.result) : std::error_code();
    }

private:
    CoreRef core_;
};

/// Operation::PrepareFn and Operation::AgainFn of a Transfer.
void prepare_transfer(Operation& operation, io_uring_sqe* sqe) noexcept;
[[nodiscard]] bool transfer_again(Operation& operation, int result) noexcept;

/// How much room a read into a vector of its own is given where `length` asks for more than anybody may mean: what the
/// file is known to have left, or ReadBytesAwaiter::unasked if that is more.
[[nodiscard]] std::size_t room_for_read(int fd, std::uint64_t offset, std::size_t length) noexcept;
/// Whether the result of the entry, unless it is an error, is a new descriptor of the process.
[[nodiscard]] bool opens_descriptor(const io_uring_sqe* sqe) noexcept;
/// Closes what such an operation, which has ended, has opened, unless it failed.
void close_opened(const Operation& operation) noexcept;

/// A read, a write or a sync of one descriptor, in one attempt or in as many as it takes.
struct Transfer : Operation {
    enum class Kind : std::uint8_t { Read, Write, Sync, DataSync };

    static constexpr std::uint64_t current_position = ~std::uint64_t{0};  // An offset.
    static constexpr std::size_t longest = 0x7ffff000;                    // MAX_RW_COUNT: read(2).

    Transfer(Executor* of, Kind what, int descriptor, std::uint64_t from, std::byte* first, std::size_t length,
             bool all) noexcept
        : Operation(of, &prepare_transfer, &transfer_again),
          bytes(first),
          left(length),
          offset(from),
          fd(descriptor),
          kind(what),
          whole(all) {}

    std::byte* bytes;
    std::size_t left;
    std::uint64_t offset;
    int fd;
    Kind kind;
    bool whole;            // Not over before `left` is 0.
    bool polling = false;  // This attempt waits until the descriptor is ready.
};

class TransferAwaiter : public OperationAwaiter {
public:
    template <class P>
    SPARGIO_AWAIT_NOINLINE bool await_suspend(std::coroutine_handle<P> frame) noexcept {
        return operation_suspend(transfer_, header_of(frame)->root());
    }
    [[nodiscard]] static bool await_ready() noexcept { return false; }

protected:
    TransferAwaiter(const CoreRef& core, Executor* of, Transfer::Kind kind, int fd, std::uint64_t offset,
                    std::byte* bytes, std::size_t length, bool whole) noexcept
        : OperationAwaiter(core), transfer_(of, kind, fd, offset, bytes, length, whole) {}
    ~TransferAwaiter() = default;

    [[nodiscard]] Result<std::size_t> count() const {
        if (const auto error = error_of(transfer_)) {
            return error;
        }
        return static_cast<std::size_t>(transfer_.result);
    }

    Transfer transfer_;
};

class CountAwaiter : public TransferAwaiter {
public:
    CountAwaiter(const CoreRef& core, Executor* of, Transfer::Kind kind, int fd, std::uint64_t offset, std::byte* bytes,
                 std::size_t length) noexcept
        : TransferAwaiter(core, of, kind, fd, offset, bytes, length, false) {}
    [[nodiscard]] Result<std::size_t> await_resume() const { return count(); }
};

class WholeAwaiter : public TransferAwaiter {
public:
    WholeAwaiter(const CoreRef& core, Executor* of, Transfer::Kind kind, int fd, std::uint64_t offset, std::byte* bytes,
                 std::size_t length) noexcept
        : TransferAwaiter(core, of, kind, fd, offset, bytes, length, true) {}
    [[nodiscard]] Result<void> await_resume() const {
        if (const auto error = error_of(transfer_)) {
            return error;
        }
        if (transfer_.left != 0) {
            return transfer_.kind == Transfer::Kind::Read ? IoError::UnexpectedEof : IoError::WriteZero;
        }
        return {};
    }
};

class SyncAwaiter : public TransferAwaiter {
public:
    SyncAwaiter(const CoreRef& core, Executor* of, Transfer::Kind kind, int fd) noexcept
        : TransferAwaiter(core, of, kind, fd, 0, nullptr, 0, false) {}
    [[nodiscard]] Result<void> await_resume() const {
        if (const auto error = error_of(transfer_)) {
            return error;
        }
        return {};
    }
};

class WriteBytesAwaiter : public TransferAwaiter {
public:
    WriteBytesAwaiter(const CoreRef& core, Executor* of, int fd, std::uint64_t offset,
                      std::vector<std::byte> bytes) noexcept
        : TransferAwaiter(core, of, Transfer::Kind::Write, fd, offset, bytes.data(), bytes.size(), false),
          bytes_(std::move(bytes)) {}  // Moving it leaves the bytes where they are.
    [[nodiscard]] Result<std::size_t> await_resume() const { return count(); }

private:
    std::vector<std::byte> bytes_;
};

class ReadBytesAwaiter : public TransferAwaiter {
public:
    /// So much a read is given without a look at the file. /dev/fuse may refuse 1 MiB: it wants a page more.
    static constexpr std::size_t unasked = std::size_t{2} << 20U;

    ReadBytesAwaiter(const CoreRef& core, Executor* of, int fd, std::uint64_t offset, std::size_t length) noexcept
        : TransferAwaiter(core, of, Transfer::Kind::Read, fd, offset, nullptr, 0, false) {
        try {
            bytes_.resize(length <= unasked ? length : room_for_read(fd, offset, length));
            transfer_.bytes = bytes_.data();
            transfer_.left = bytes_.size();
        } catch (const std::exception&) {  // No memory, or more than a vector may have.
            no_memory_ = true;
        }
    }
    [[nodiscard]] bool await_ready() const noexcept { return no_memory_; }
    [[nodiscard]] Result<std::vector<std::byte>> await_resume() {
        if (no_memory_) {
            return std::make_error_code(std::errc::not_enough_memory);
        }
        if (const auto error = error_of(transfer_)) {
            return error;
        }
        bytes_.resize(static_cast<std::size_t>(transfer_.result));
        if (bytes_.capacity() > kept_unused && bytes_.size() < bytes_.capacity() / 8) {
            bytes_.shrink_to_fit();  // Whoever keeps a few bytes does not mean to keep a megabyte.
        }
        return std::move(bytes_);
    }

private:
    static constexpr std::size_t kept_unused = std::size_t{64} << 10U;

    std::vector<std::byte> bytes_;
    bool no_memory_ = false;
};

/// An operation that the user prepares.
template <class Prepare>
class SubmitAwaiter : public OperationAwaiter {
public:
    SubmitAwaiter(const CoreRef& core, Executor* of, Prepare prepare)
        : OperationAwaiter(core), operation_(of, std::move(prepare)) {}
    ~SubmitAwaiter() {
        if (operation_.opens) {
            close_opened(operation_);  // By a shutdown, after the completion: nobody else knows the number.
        }
    }
    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    SPARGIO_AWAIT_NOINLINE bool await_suspend(std::coroutine_handle<P> frame) noexcept {
        return operation_suspend(operation_, header_of(frame)->root());
    }
    [[nodiscard]] Result<int> await_resume() {
        operation_.opens = false;
        if (const auto error = error_of(operation_)) {
            return error;
        }
        return operation_.result;
    }

private:
    struct Prepared : Operation {
        Prepared(Executor* of, Prepare fn) : Operation(of, &prepare_entry, nullptr), prepare_by(std::move(fn)) {}
        static void prepare_entry(Operation& operation, io_uring_sqe* sqe) noexcept {
            auto& prepared = static_cast<Prepared&>(operation);
            static_cast<void>(prepared.prepare_by(sqe));
            prepared.opens = opens_descriptor(sqe);
        }
        Prepare prepare_by;
        bool opens = false;  // The result is a descriptor, and the task has not got it.
    };

    Prepared operation_;
};

}  // namespace spargio::detail
