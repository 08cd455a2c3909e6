// SPDX-License-Identifier: MIT
// A bare io_uring, set up as it is fastest: what a runtime on it cannot beat.
#pragma once

#include <cerrno>
#include <system_error>

#include <liburing.h>

namespace bench {

/// A ring of the thread that makes it: SINGLE_ISSUER, DEFER_TASKRUN, and its descriptor registered.
class RawRing {
public:
    explicit RawRing(unsigned entries) {
        require(io_uring_queue_init(entries, &ring_, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN));
        if (const int result = io_uring_register_ring_fd(&ring_); result < 0) {
            io_uring_queue_exit(&ring_);
            require(result);
        }
    }
    RawRing(const RawRing&) = delete;
    RawRing& operator=(const RawRing&) = delete;
    ~RawRing() { io_uring_queue_exit(&ring_); }

    [[nodiscard]] int fd() const noexcept { return ring_.ring_fd; }
    [[nodiscard]] io_uring* get() noexcept { return &ring_; }

    /// Submits all that is prepared and waits for a completion; after a signal there may be none.
    void submit_and_wait() {
        if (const int result = io_uring_submit_and_wait(&ring_, 1); result != -EINTR) {
            require(result);
        }
    }

    /// Submits all that is prepared. What the kernel had at once has completed then.
    void submit() { require(io_uring_submit(&ring_)); }

    static void require(int result) {
        if (result < 0) {
            throw std::system_error(-result, std::system_category(), "raw io_uring");
        }
    }

private:
    io_uring ring_{};
};

}  // namespace bench
