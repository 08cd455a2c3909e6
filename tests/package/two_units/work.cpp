// SPDX-License-Identifier: MIT
// The second translation unit: tasks and errors made here, used in the other.
#include "work.hpp"

spargio::Task<int> twice(int value) {
    co_await spargio::yield();
    co_return 2 * value;
}

spargio::JoinHandle<int> spawn_here(const spargio::RuntimeHandle& handle, int value) {
    return handle.spawn_round_robin([value] { return value + 1; });
}

std::error_code closed_there() {
    return spargio::RuntimeError::Closed;
}
