// SPDX-License-Identifier: MIT
// Uring: one io_uring of one thread. The only file that includes <liburing.h>.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <liburing.h>

#include "runtime_options.hpp"
#include "spargio/capabilities.hpp"
#include "spargio/detail/seams.hpp"
#include "uring_faults.hpp"
#include "uring_setup.hpp"

namespace spargio::detail {

/// What is reserved in user_data; an operation's address is never this small, and all ones belongs to liburing.
namespace user_data {
inline constexpr std::uint64_t bell = 1;        // Arrives at the woken shard.
inline constexpr std::uint64_t bell_sent = 2;   // | target << 8. Comes back to the ringing shard, only when it failed.
inline constexpr std::uint64_t wake_event = 3;  // The eventfd, the bell where no message can be sent, is readable.
inline constexpr std::uint64_t probe = 4;
inline constexpr std::uint64_t nothing = 5;  // An entry that was taken back.
inline constexpr std::uint64_t cancel = 6;   // | the operation's address << 8. Of interest only when it failed.
inline constexpr std::uint64_t kind_mask = 0xFF;
}  // namespace user_data

/// Created, used and left by one thread; may be destroyed by another once that one has called leave_thread(). Every
/// call into the kernel passes through the fault seam, and reports -errno.
class Uring {
public:
    /// Sets a ring up with the best flags that the kernel and the options allow, and proves with a NOP that it works.
    /// `report` receives what came out. On failure nothing is left open.
    [[nodiscard]] static std::optional<BuildFailure> create(const RuntimeOptions& options, const UringMask& mask,
                                                            std::unique_ptr<Uring>& out, Capabilities& report);

    Uring(const Uring&) = delete;
    Uring& operator=(const Uring&) = delete;
    ~Uring();

    /// A zeroed entry, or nullptr if the queue is full even after a submit.
    [[nodiscard]] io_uring_sqe* next_sqe() noexcept;
    /// Prepared entries that the kernel has not taken.
    [[nodiscard]] unsigned unsubmitted() const noexcept { return io_uring_sq_ready(&ring_); }
    /// Some of them go nowhere before the next submit(); a submission thread comes for what it has been told of.
    [[nodiscard]] bool must_submit() const noexcept {
        return sqpoll_ ? ring_.sq.sqe_head != ring_.sq.sqe_tail : unsubmitted() != 0;
    }

    /// The position of the entry that next_sqe() gave last; and whether the kernel has taken that one.
    [[nodiscard]] unsigned last_position() const noexcept { return ring_.sq.sqe_tail; }
    [[nodiscard]] bool has_taken(unsigned position) const noexcept {
        return ring_.sq.sqe_tail - position >= unsubmitted();
    }

    /// The flag of an entry whose success need not be told; 0 before 5.17, where it would make the entry an invalid
    /// one.
    [[nodiscard]] std::uint8_t skip_success() const noexcept {
        return (ring_.features & IORING_FEAT_CQE_SKIP) != 0 ? IOSQE_CQE_SKIP_SUCCESS : 0;
    }

    /// Hands prepared entries to the kernel. A short count or -EAGAIN, -EBUSY, -EINTR leaves the rest prepared.
    int submit() noexcept {
        // Inline: after a system call the CPU has forgotten where calls return to, so that each return is paid for.
        const int error = enter_fault();
        return error != 0 ? error : io_uring_submit(&ring_);
    }
    /// The same, and blocks until there is a completion or the span is over (-ETIME).
    int submit_and_wait(std::chrono::nanoseconds span) noexcept;
    /// Makes deferred completions and those of an overflow visible.
    int get_events() noexcept;

    [[nodiscard]] unsigned ready() const noexcept { return io_uring_cq_ready(&ring_); }
    /// Completions exist that the kernel shows only when it is entered.
    [[nodiscard]] bool must_enter() const noexcept {
        return (flags_word() & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0;
    }
    [[nodiscard]] bool overflowed() const noexcept { return (flags_word() & IORING_SQ_CQ_OVERFLOW) != 0; }

    /// Calls `consume(const io_uring_cqe&)` for each completion that is visible; it may prepare entries.
    template <class F>
    unsigned reap(F&& consume) noexcept {
        // By hand: liburing's ways look more than once whether there is one.
        unsigned seen = 0;
        const io_uring_cq& queue = ring_.cq;
        while (io_uring_cq_ready(&ring_) != 0) {
            const io_uring_cqe copy = queue.cqes[*queue.khead & queue.ring_mask];
            io_uring_cq_advance(&ring_, 1);  // First: `consume` may enter the kernel.
            if (copy.user_data == LIBURING_UDATA_TIMEOUT) {
                continue;  // Where waits have no argument for their time-out.
            }
            consume(copy);
            ++seen;
        }
        return seen;
    }

    [[nodiscard]] int fd() const noexcept { return ring_.ring_fd; }

    /// Last call of the owning thread: a registered descriptor belongs to it.
    void leave_thread() noexcept;

    /// Unmaps the ring, which nobody may use any more. A part of close() that can be had before; idempotent.
    void unmap() noexcept;

    /// Unmaps and closes the ring; idempotent. The destructor does it too.
    void close() noexcept;

private:
    Uring() = default;

    [[nodiscard]] static int enter_fault() noexcept {
        UringFaults* faults = uring_faults.load(std::memory_order_acquire);
        return faults != nullptr ? faults->on_enter() : 0;
    }

    [[nodiscard]] int setup(unsigned entries, io_uring_params& params) noexcept;
    [[nodiscard]] int map(int fd, io_uring_params& params) noexcept;
    [[nodiscard]] int prove(std::uint32_t& result) noexcept;
    [[nodiscard]] bool prove_msg_ring(bool from_outside) noexcept;
    [[nodiscard]] unsigned flags_word() const noexcept {
        // Acquire pairs with the kernel's release of the completions that the flag tells of.
        return __atomic_load_n(ring_.sq.kflags, __ATOMIC_ACQUIRE);
    }

    io_uring ring_{};
    std::vector<unsigned> unused_index_;  // Where liburing may write the index array that NO_SQARRAY does without.
    bool open_ = false;
    bool mapped_ = false;
    bool sqpoll_ = false;
    bool registered_ = false;  // The descriptor, with the owning thread.
};

/// One IORING_REGISTER_SEND_MSG_RING: a bell from a thread without a ring. 0 or -errno.
[[nodiscard]] int send_msg_ring(int ring_fd, std::uint64_t data) noexcept;

}  // namespace spargio::detail
