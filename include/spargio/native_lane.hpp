// SPDX-License-Identifier: MIT
// NativeLane: read and write operations on the ring of one shard.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "spargio/detail/core_ref.hpp"
#include "spargio/detail/operation.hpp"
#include "spargio/detail/transfer.hpp"
#include "spargio/result.hpp"
#include "spargio/shard_id.hpp"

namespace spargio {

/// Reads, writes and other requests to the kernel, on the io_uring of one shard. From RuntimeHandle::native_lane(); a
/// value, cheap to copy, usable from any task on any shard of any runtime; every member is const. It keeps no runtime
/// running.
///
/// **Where.** An operation runs on the ring of shard(), whoever awaits it. Awaited on that shard it concerns
/// no other thread, and it is submitted with all the others when the shard's turn ends; from another one, a message
/// there and a wake back. The awaiting task resumes where it may run: a pinned one on its own shard.
///
/// **Errors** are errno values of the system category, and `RuntimeError::Closed` when the lane's runtime was shut
/// down. EINTR is never seen, nor, but by a sync, is EAGAIN: on a non-blocking descriptor the operation waits until it
/// is ready. A full submission queue makes it wait, a full completion queue loses nothing.
///
/// **Stop.** A stop of the awaiting task cancels the operation in the kernel and awaits its completion; then it gives
/// std::errc::operation_canceled, or its result, if that came first: no byte is lost. One that is begun after a stop
/// is not submitted. A read or write of a regular file that the kernel has begun is not interrupted.
///
/// **Lifetime.** Nothing that the kernel may touch is given back before the last completion: a span is borrowed until
/// the await returns, which it does not before, and a shutdown waits for it too. A descriptor is the caller's: it must
/// stay open until the await has returned, else the number may mean another file. To close it does not end an operation
/// on it, nor does its peer hear of it (no FIN) while there is one: stop that first, and await it.
///
/// Lengths above 0x7ffff000 (2 GiB) are cut, as the kernel does: such a transfer is short. An awaitable is awaited
/// once, at once or later, and allocates nothing but the buffer it is to own. One that has a name is awaited by it:
/// `co_await op`, not `co_await std::move(op)`, which GCC 12 does not compile.
class NativeLane {
public:
    /// As an offset: the descriptor's own position. Pipes and sockets have no other: with an offset of 0, say, the
    /// first part of a write_all_at() to a socket is sent, and the second is std::errc::invalid_seek. For a file,
    /// operations that use it at the same time have no order.
    static constexpr std::uint64_t current_position = detail::Transfer::current_position;

    [[nodiscard]] ShardId shard() const noexcept { return shard_; }

    /// Awaitable -> Result<std::vector<std::byte>>: as long as what was read; empty at the end of the file. Allocates
    /// `length` bytes (std::errc::not_enough_memory) and fills them with zeros, on the calling thread; a vector that
    /// comes back nearly empty gives them up again. So `length` may be "all there is", SIZE_MAX: above 2 MiB the kernel
    /// is asked for the size of the file (a short system call, or two at `current_position`), and what is beyond its
    /// end, and beyond 2 MiB, is not allocated. A pipe, a socket or a character device gives 2 MiB at a time at most,
    /// and so does a file that has just grown on its server. A block device does not tell its size: what is asked for
    /// is allocated, 2 GiB at most. The form below has no such limits.
    [[nodiscard("co_await it")]] detail::ReadBytesAwaiter read_at(int fd, std::uint64_t offset,
                                                                  std::size_t length) const {
        return detail::ReadBytesAwaiter(core_, executor(), fd, offset, length);
    }

    /// Awaitable -> Result<std::size_t>: how many bytes were read, perhaps fewer than there is room for; 0 at the end
    /// of the file.
    [[nodiscard("co_await it")]] detail::CountAwaiter read_at(int fd, std::uint64_t offset,
                                                              std::span<std::byte> into) const {
        return detail::CountAwaiter(core_, executor(), detail::Transfer::Kind::Read, fd, offset, into.data(),
                                    into.size());
    }

    /// Awaitable -> Result<std::size_t>: how many bytes were written, perhaps not all.
    [[nodiscard("co_await it")]] detail::CountAwaiter write_at(int fd, std::uint64_t offset,
                                                               std::span<const std::byte> bytes) const {
        return detail::CountAwaiter(core_, executor(), detail::Transfer::Kind::Write, fd, offset,
                                    const_cast<std::byte*>(bytes.data()), bytes.size());
    }

    /// The same, and owns the bytes until the end. A vector that is named is copied: give std::move(bytes), or
    /// std::span(bytes) to lend them.
    [[nodiscard("co_await it")]] detail::WriteBytesAwaiter write_at(int fd, std::uint64_t offset,
                                                                    std::vector<std::byte> bytes) const {
        return detail::WriteBytesAwaiter(core_, executor(), fd, offset, std::move(bytes));
    }

    /// Awaitable -> Result<void>: fills `into`, over as many reads as it takes. IoError::UnexpectedEof when the file
    /// ends before. After an error, or a stop in between, a part has been read, and how much is not told: to keep
    /// count, loop over read_at(). Of a pipe or socket one at a time: two would share out what comes in between them.
    [[nodiscard("co_await it")]] detail::WholeAwaiter read_exact_at(int fd, std::uint64_t offset,
                                                                    std::span<std::byte> into) const {
        return detail::WholeAwaiter(core_, executor(), detail::Transfer::Kind::Read, fd, offset, into.data(),
                                    into.size());
    }

    /// Awaitable -> Result<void>: writes all of `bytes`, over as many writes as it takes. IoError::WriteZero when the
    /// kernel takes nothing. After an error or a stop a part may have been written, as with read_exact_at(). To a pipe
    /// or socket one at a time: the parts of two would be mixed.
    [[nodiscard("co_await it")]] detail::WholeAwaiter write_all_at(int fd, std::uint64_t offset,
                                                                   std::span<const std::byte> bytes) const {
        return detail::WholeAwaiter(core_, executor(), detail::Transfer::Kind::Write, fd, offset,
                                    const_cast<std::byte*>(bytes.data()), bytes.size());
    }

    /// Awaitable -> Result<void>: fsync(2), fdatasync(2). No order with writes that have not been awaited.
    [[nodiscard("co_await it")]] detail::SyncAwaiter fsync(int fd) const {
        return detail::SyncAwaiter(core_, executor(), detail::Transfer::Kind::Sync, fd);
    }
    [[nodiscard("co_await it")]] detail::SyncAwaiter fdatasync(int fd) const {
        return detail::SyncAwaiter(core_, executor(), detail::Transfer::Kind::DataSync, fd);
    }

    /// Awaitable -> Result<int>: an operation of your own, with the guarantees above but for EINTR and EAGAIN, which
    /// are yours, where no stop has come. `prepare(io_uring_sqe*)` fills in a zeroed entry, as liburing's
    /// io_uring_prep_* functions do; it is called on the lane's shard, must not throw, block, send, spawn, or set
    /// user_data, and is kept, with what it holds, until the completion: so let it hold what the kernel is to read or
    /// write (a statx, a timespec). The result is the completion's `res`, an error when that is negative.
    ///
    ///     auto poll_of = [fd](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, fd, POLLIN); };
    ///     auto result = co_await lane.submit(poll_of);
    ///
    /// One entry, one completion: no multishot, no zero-copy send (checked), and no IOSQE_CQE_SKIP_SUCCESS, links,
    /// drain or buffer selection (those flags are taken out). A descriptor that is the result (open, accept, socket) is
    /// the task's from when it goes on, also after a stop that came too late; when a shutdown destroys the task before,
    /// it is closed. What can only block (a splice, IOSQE_ASYNC on a pipe) takes a thread of the kernel's for each that
    /// waits, bounded by RLIMIT_NPROC alone: begin only so many. (Name a lambda that captures, as here: GCC 12 destroys
    /// one inside a co_await twice.)
    template <std::move_constructible Prepare>
    requires std::invocable<Prepare&, io_uring_sqe*>
    [[nodiscard("co_await it")]] detail::SubmitAwaiter<Prepare> submit(Prepare prepare) const {
        return detail::SubmitAwaiter<Prepare>(core_, executor(), std::move(prepare));
    }

private:
    friend class RuntimeHandle;

    NativeLane(detail::CoreRef core, detail::Executor* executor, ShardId shard) noexcept
        : core_(std::move(core)), executor_(executor), shard_(shard) {}

    [[nodiscard]] detail::Executor* executor() const noexcept {
        static_cast<void>(core_.operator->());  // Checks that it was not moved from.
        return executor_;
    }

    detail::CoreRef core_;
    detail::Executor* executor_;
    ShardId shard_;
};

}  // namespace spargio
