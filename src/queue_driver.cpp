// SPDX-License-Identifier: MIT
// The futex backend.
#include "queue_driver.hpp"

#include <cerrno>

#include "futex.hpp"
#include "operation.hpp"
#include "shard.hpp"

namespace spargio::detail {

void QueueDriver::wait(clock::time_point deadline) noexcept {
    futex_wait(&shard_.park_state.word(), ParkState::parked, deadline);
}

void QueueDriver::ring(Shard& target) noexcept {
    futex_wake(&target.park_state.word());
}

void QueueDriver::wake_from_outside() noexcept {
    futex_wake(&shard_.park_state.word());
}

bool QueueDriver::bell_heard() const noexcept {
    return !shard_.park_state.is_parked();  // Who takes the duty changes the word that is slept on.
}

/// There is no lane to begin one on (RuntimeHandle::native_lane()).
void QueueDriver::begin(Operation& operation) noexcept {
    operation.result = -EOPNOTSUPP;
    end_operation(operation, shard_);
}

}  // namespace spargio::detail
