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

/// There is no lane to begin one on (RuntimeHandle::native_lane()).
void QueueDriver::begin(Operation& operation) noexcept {
    operation.result = -EOPNOTSUPP;
    end_operation(operation, shard_);
}

}  // namespace spargio::detail
