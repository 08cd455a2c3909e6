// SPDX-License-Identifier: MIT
// Reads, writes and syncs: what goes into the entry, what a completion means.
#include "spargio/detail/transfer.hpp"

#include <algorithm>
#include <cerrno>

#include <poll.h>

#include "uring.hpp"

namespace spargio::detail {

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
        return result >= 0 || result == -EINTR;
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
