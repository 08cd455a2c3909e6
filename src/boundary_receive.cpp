// SPDX-License-Identifier: MIT
// Waiting for a request: tasks in their turn, and threads.
#include <stdexcept>

#include "boundary_channel.hpp"
#include "futex.hpp"
#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/fork.hpp"
#include "spargio/error.hpp"
#include "suspend_hook.hpp"
#include "thread_spin.hpp"

namespace spargio::detail {

Receive try_receive_in(TaskHeader* root, Channel& channel, CallHeader*& call) noexcept {
    if (stop_has_come(root)) {
        return Receive::Left;
    }
    auto& here = static_cast<Shard&>(*root->owner.executor);
    if (here.events_in_step >= Shard::events_per_step) {
        return Receive::OthersFirst;
    }
    ++here.events_in_step;
    return channel.try_receive(call);
}

bool receive_suspend(ReceiveWait& wait, TaskHeader* root) noexcept {
    if (stop_has_come(root)) {
        wait.state = Receive::Left;
        return false;
    }
    wait.root = root;
    list_before_suspending(root);  // Before the lock: it may run callbacks of stops, which are the user's.
    return wait.channel->enter_receiver(wait) && suspended();
}

Receive receive_block(Channel& channel, CallHeader*& call, clock::time_point deadline) noexcept {
    ReceiveWait wait(&channel);
    if (channel.enter_receiver(wait)) {
        const auto due = real_deadline(deadline);
        const auto is_woken = [&wait] { return wait.woken.load(std::memory_order_acquire) != 0; };
        AdaptiveSpin& spin = thread_spin();
        if (!spin.spin(is_woken)) {
            const auto asleep = clock::now();
            bool has_slept = false;
            bool is_due = false;
            while (!is_woken()) {
                if (!is_due && clock::now() >= due) {
                    is_due = true;
                    if (channel.leave_receiver(wait)) {
                        wait.state = Receive::Nothing;
                        break;
                    }
                }
                // Once it is due and somebody has reached for us, the wake comes at once.
                has_slept = true;
                futex_wait(&wait.woken, 0, is_due ? clock::time_point::max() : due);
            }
            if (has_slept) {
                spin.slept(clock::now() - asleep);
            }
        }
    }
    call = wait.call;
    return wait.state;
}

std::error_code receive_error(Receive state) noexcept {
    switch (state) {
    case Receive::Nothing:
        return BoundaryError::Timeout;
    case Receive::Left:
        return BoundaryError::Canceled;
    default:
        return BoundaryError::Closed;
    }
}

void refuse_on_any_shard() {
    if (current_shard() != nullptr) {
        throw std::logic_error(
            "spargio: a boundary call or receive that blocks would stop the shard it is made on; co_await it instead");
    }
}

}  // namespace spargio::detail
