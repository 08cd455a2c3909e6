// SPDX-License-Identifier: MIT
// The futex backend.
#include "queue_driver.hpp"

#include "futex.hpp"
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

}  // namespace spargio::detail
