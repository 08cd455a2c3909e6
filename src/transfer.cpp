// SPDX-License-Identifier: MIT
// Reads, writes and syncs: what goes into the entry, what a completion means.
#include "spargio/detail/transfer.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "uring.hpp"

namespace spargio::detail {

std::size_t room_for_read(int fd, std::uint64_t offset, std::size_t length) noexcept {
    const std::uint64_t most = std::min(length, Transfer::longest);
    std::uint64_t left = 0;
    // What the kernel knows already: a file server that does not answer must not hold the shard up.
    struct statx status {};
    if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE, &status) == 0) {
        if (S_ISBLK(status.stx_mode)) {
            return most;  // Its size is not in there.
        }
        std::uint64_t from = offset;
        if (offset == Transfer::current_position) {
            const auto position = lseek(fd, 0, SEEK_CUR);
            from = position > 0 ? static_cast<std::uint64_t>(position) : 0;
        }
        if (S_ISREG(status.stx_mode) && status.stx_size > from) {
            left = status.stx_size - from;
        }
    }
    constexpr std::uint64_t page = 4096;  // A read past the page cache (O_DIRECT) must be a multiple of some such.
    left = (left + page - 1) / page * page;
    return std::min(most, std::max<std::uint64_t>(left, ReadBytesAwaiter::unasked));
}

bool opens_descriptor(const io_uring_sqe* sqe) noexcept {
    switch (sqe->opcode) {
    case IORING_OP_OPENAT:
    case IORING_OP_OPENAT2:
    case IORING_OP_ACCEPT:
    case IORING_OP_SOCKET:
        return sqe->file_index == 0;  // Else it goes into the ring's own table.
    default:
        return false;
    }
}

void close_opened(const Operation& operation) noexcept {
    if (operation.result >= 0) {
        ::close(operation.result);
    }
}

void prepare_transfer(Operation& operation, io_uring_sqe* sqe) noexcept {
    auto& transfer = static_cast<Transfer&>(operation);
    const auto length = static_cast<unsigned>(std::min(transfer.left, Transfer::longest));
    if (transfer.polling) {
        io_uring_prep_poll_add(sqe, transfer.fd, transfer.kind == Transfer::Kind::Read ? POLLIN : POLLOUT);
        return;
    }
    switch (transfer.kind) {
    case Transfer::Kind::Read:
        io_uring_prep_read(sqe, transfer.fd, transfer.bytes, length, transfer.offset);
        return;
    case Transfer::Kind::Write:
        io_uring_prep_write(sqe, transfer.fd, transfer.bytes, length, transfer.offset);
        return;
    case Transfer::Kind::Sync:
        io_uring_prep_fsync(sqe, transfer.fd, 0);
        return;
    case Transfer::Kind::DataSync:
        io_uring_prep_fsync(sqe, transfer.fd, IORING_FSYNC_DATASYNC);
        return;
    }
}

bool transfer_again(Operation& operation, int result) noexcept {
    auto& transfer = static_cast<Transfer&>(operation);
    if (transfer.polling) {
        transfer.polling = false;
        return result >= 0 || result == -EINTR || result == -EAGAIN;
    }
    if (result == -EINTR) {
        return true;
    }
    const bool moves_bytes = transfer.kind == Transfer::Kind::Read || transfer.kind == Transfer::Kind::Write;
    if (result == -EAGAIN && moves_bytes) {
        transfer.polling = true;  // The descriptor is non-blocking.
        return true;
    }
    if (!transfer.whole || result <= 0) {
        return false;
    }
    const auto count = static_cast<std::size_t>(result);
    transfer.bytes += count;
    transfer.left -= count;
    if (transfer.offset != Transfer::current_position) {
        transfer.offset += count;
    }
    return transfer.left != 0;
}

}  // namespace spargio::detail
