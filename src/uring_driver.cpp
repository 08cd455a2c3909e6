// SPDX-License-Identifier: MIT
// Waiting, bells and completions on io_uring.
#include "uring_driver.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shard.hpp"
#include "spargio/error.hpp"
#include "uring_faults.hpp"

namespace spargio::detail {

namespace {

int bell_fault() noexcept {
    UringFaults* faults = uring_faults.load(std::memory_order_acquire);
    return faults != nullptr ? faults->on_bell() : 0;
}

}  // namespace

UringDriver::UringDriver(Shard& shard, std::unique_ptr<Uring> uring, const Capabilities& features) noexcept
    : shard_(shard),
      uring_(std::move(uring)),
      operations_(shard, *uring_),
      msg_ring_(features.msg_ring),
      send_msg_ring_(features.send_msg_ring),
      sqpoll_(features.sqpoll) {}

int UringDriver::open_event() noexcept {
    event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_ < 0) {
        return errno;
    }
    arm_event();
    return 0;
}

UringDriver::~UringDriver() {
    close();
}

void UringDriver::close() noexcept {
    // What wakers read (`uring_`, its descriptor's number, `event_`) stays as it is: none of them is left, but a
    // checker cannot see that the last one's bell came through the kernel.
    if (!std::exchange(closed_, true)) {
        uring_->close();
        if (event_ >= 0) {
            ::close(event_);
        }
    }
}

bool UringDriver::has_completions() const noexcept {
    return uring_->ready() != 0 || uring_->must_enter() || (!refused_ && uring_->must_submit()) ||
           operations_.waiting();
}

void UringDriver::poll() noexcept {
    polling_ = true;
    submit();
    if (uring_->must_enter()) {
        if (!std::exchange(overflow_seen_, uring_->overflowed()) && overflow_seen_) {
            shard_.counters.cq_overflows.add();
        }
        static_cast<void>(uring_->get_events());
    } else {
        overflow_seen_ = false;
    }
    reap();
    if (operations_.waiting() || uring_->must_submit()) {  // The next part of a transfer, a repeated cancellation.
        operations_.fill();
        submit();
        reap();
    }
    polling_ = false;
}

/// What the kernel does not take now stays prepared for the next turn.
void UringDriver::submit() noexcept {
    refused_ = false;
    if (uring_->unsubmitted() != 0) {
        static_cast<void>(uring_->submit());
        refused_ = uring_->must_submit();
    }
}

void UringDriver::poll_within_step() noexcept {
    shard_.within_step = true;
    poll();
    shard_.within_step = false;
}

void UringDriver::wait(clock::time_point deadline) noexcept {
    operations_.cancel_late();
    const auto span = deadline - clock::now();
    if (span <= clock::duration::zero() || has_completions()) {
        poll();  // A wait with a zero timeout costs far more than a look.
        return;
    }
    if (event_ >= 0 && !event_armed_) {
        poll();  // The queue was full when it should have been armed. Something else may have ended: look again.
        return;
    }
    // Interrupted, timed out, busy: the caller looks at everything again anyway.
    static_cast<void>(uring_->submit_and_wait(span));
    poll();
}

void UringDriver::ring(Shard& target) noexcept {
    // In a shutdown this shard may not come back to see that its bell has failed: the call from outside sees it at
    // once.
    const bool own_ring = msg_ring_ && !shard_.runtime().closing() && bell_fault() == 0;
    io_uring_sqe* sqe = own_ring ? uring_->next_sqe() : nullptr;
    if (sqe == nullptr) {
        target.driver->wake_from_outside();
        return;
    }
    const auto& other = static_cast<const UringDriver&>(*target.driver);
    io_uring_prep_msg_ring(sqe, other.uring_->fd(), 0, user_data::bell, 0);
    sqe->user_data = user_data::bell_sent | (std::uint64_t{target.id} << 8U);
    if (sqpoll_) {
        ++bells_in_flight_;  // The kernel's thread takes it some time: its end is awaited in settle().
    } else {
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
    const unsigned position = uring_->last_position();
    static_cast<void>(uring_->submit());
    if (!polling_ && (uring_->unsubmitted() != 0 || uring_->ready() != 0)) {
        // Refused for now, or it may have failed. The step that rings can be long, and the target sleeps meanwhile.
        poll_within_step();
    }
    if (!sqpoll_ && !uring_->has_taken(position)) {
        // Refused again.
        io_uring_prep_nop(sqe);
        sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
        sqe->user_data = user_data::nothing;
        target.driver->wake_from_outside();
    }
}

void UringDriver::settle() noexcept {
    // What the kernel did not take was rung from outside. A submission thread may take its time.
    poll_within_step();
    while (bells_in_flight_ != 0) {
        std::this_thread::yield();
        poll_within_step();
    }
}

void UringDriver::end_operations() noexcept {
    operations_.cancel_all();
    poll();
    while (!operations_.none_in_ring() || operations_.waiting()) {
        wait(clock::now() + std::chrono::milliseconds(10));
    }
}

void UringDriver::wake_from_outside() noexcept {
    for (unsigned attempt = 0;; ++attempt) {
        int error = bell_fault();
        if (error == 0 && send_msg_ring_ && attempt % 2 == 0) {
            error = send_msg_ring(uring_->fd(), user_data::bell);
        } else if (error == 0) {
            const std::uint64_t one = 1;
            error = write(event_, &one, sizeof one) == sizeof one ? 0 : -errno;
        }
        if (error == 0) {
            return;
        }
        // Memory for the message is short, or a sandbox denies the one call by now: the other may work. The duty is
        // ours alone: never give up.
        if (attempt < 16) {
            std::this_thread::yield();
        } else {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
}

void UringDriver::reap() noexcept {
    uring_->reap([this](const io_uring_cqe& cqe) { on_completion(cqe); });
    if (event_ >= 0 && !event_armed_) {
        arm_event();
    }
}

void UringDriver::on_completion(const io_uring_cqe& cqe) noexcept {
    if (UringOperations::is_operation(cqe.user_data)) {
        operations_.on_completion(cqe);
        return;
    }
    switch (cqe.user_data & user_data::kind_mask) {
    case user_data::bell:
        --bells_owed_;
        break;
    case user_data::bell_sent:
        bells_in_flight_ -= sqpoll_ ? 1 : 0;
        if (cqe.res < 0) {
            shard_.runtime().shards[cqe.user_data >> 8U]->driver->wake_from_outside();
        }
        break;
    case user_data::wake_event: {
        event_armed_ = false;
        std::uint64_t bells = 0;
        if (read(event_, &bells, sizeof bells) == sizeof bells) {
            bells_owed_ -= static_cast<std::int64_t>(bells);
        }
        break;
    }
    case user_data::cancel:
        operations_.on_cancel_completion(cqe);
        break;
    default:  // What was taken back.
        break;
    }
}

/// One shot, armed again after each bell: a poll, so that the kernel holds no pointer into this object.
void UringDriver::arm_event() noexcept {
    if (event_ < 0) {
        return;
    }
    if (io_uring_sqe* sqe = uring_->next_sqe()) {
        io_uring_prep_poll_add(sqe, event_, POLLIN);
        sqe->user_data = user_data::wake_event;
        event_armed_ = true;
        static_cast<void>(uring_->submit());
    }
}

std::optional<BuildFailure> make_uring_driver(Shard& shard, Capabilities& report) {
    const auto& options = shard.runtime().options;
    std::unique_ptr<Uring> uring;
    if (auto failure = Uring::create(options, UringMask::from_environment(), uring, report)) {
        return failure;
    }
    auto driver = std::make_unique<UringDriver>(shard, std::move(uring), report);
    if (const int error = driver->open_event()) {
        return BuildFailure{RuntimeError::IoUringInit,
                            std::string("eventfd failed: ") + std::strerror(error) + "; raise ulimit -n"};
    }
    shard.driver = std::move(driver);
    return std::nullopt;
}

bool insists_on_ring(const RuntimeOptions& options) noexcept {
    return options.sqpoll_idle.has_value() || options.defer_taskrun.value_or(false);
}

}  // namespace spargio::detail
