// SPDX-License-Identifier: MIT
// The io_uring backend: a shard waits on its ring, and rings others' bells through it.
#pragma once

#include <memory>
#include <optional>

#include "driver.hpp"
#include "runtime_options.hpp"
#include "uring.hpp"
#include "uring_operations.hpp"

namespace spargio::detail {

/// Bells: a shard rings with MSG_RING from its own ring, submitted at once; a thread without a ring with
/// IORING_REGISTER_SEND_MSG_RING. Where the kernel has not the one or the other, or it fails (a sandbox may deny it
/// from some moment on), the bell is the target's eventfd, which its ring polls. The success of a MSG_RING posts
/// nothing to the sender; its failure does, and the bell is rung again from outside.
class UringDriver final : public Driver {
public:
    UringDriver(Shard& shard, std::unique_ptr<Uring> uring, const Capabilities& features) noexcept;
    ~UringDriver() override;

    /// Before anybody else knows of the driver: the eventfd for wakers that cannot send a message. 0 or errno.
    [[nodiscard]] int open_event() noexcept;

    void poll() noexcept override;
    [[nodiscard]] bool has_completions() const noexcept override;
    void wait(clock::time_point deadline) noexcept override;
    void ring(Shard& target) noexcept override;
    void wake_from_outside() noexcept override;
    [[nodiscard]] bool bell_heard() const noexcept override { return bells_owed_ < 0; }
    void expect_bell() noexcept override { ++bells_owed_; }
    void settle() noexcept override;
    void begin(Operation& operation) noexcept override { operations_.begin(operation); }
    void cancel(Operation& operation) noexcept override { operations_.cancel(operation); }
    void end_operations() noexcept override;
    [[nodiscard]] bool quiet() noexcept override { return bells_owed_ <= 0; }
    void leave_thread() noexcept override { uring_->leave_thread(); }
    void unmap() noexcept override { uring_->unmap(); }
    void close() noexcept override;

private:
    /// poll(), but not out of the shard's loop: what ends now must not count on being seen soon.
    void poll_within_step() noexcept;
    void submit() noexcept;
    void reap() noexcept;
    void on_completion(const io_uring_cqe& cqe) noexcept;
    void arm_event() noexcept;

    Shard& shard_;
    std::unique_ptr<Uring> uring_;
    UringOperations operations_;
    const bool msg_ring_;
    const bool send_msg_ring_;
    const bool sqpoll_;
    int event_ = -1;  // The eventfd, or -1. Constant once the shard runs.
    bool event_armed_ = false;
    bool polling_ = false;  // A bell rung by what a completion brings about leaves the rest to the poll it came from.
    bool refused_ = false;  // There were entries that the kernel did not take: no reason to keep from other work.
    bool overflow_seen_ = false;
    bool closed_ = false;
    std::uint32_t bells_in_flight_ =
        0;  // With a submission thread: rung through our ring, and not known to have ended.
    // Sleeps that somebody took the duty to end, less the bells that came. Below 0 only within a turn.
    std::int64_t bells_owed_ = 0;
};

/// Gives the shard a driver on a new ring; called on the shard's thread. `report` receives what that ring has.
[[nodiscard]] std::optional<BuildFailure> make_uring_driver(Shard& shard, Capabilities& report);

/// Whether an option was set that makes no sense without a ring, so that falling back would be silent disobedience.
[[nodiscard]] bool insists_on_ring(const RuntimeOptions& options) noexcept;

}  // namespace spargio::detail
