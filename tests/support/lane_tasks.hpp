// SPDX-License-Identifier: MIT
// Small tasks of the native lane, and the wait for operations that are begun.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include "spargio/spargio.hpp"

namespace spargio::test {

/// Reads a byte of a pipe; gives the error.
inline Task<std::error_code> read_one(NativeLane lane, int fd) {
    std::byte one{};
    const auto read = co_await lane.read_at(fd, NativeLane::current_position, std::span(&one, 1));
    co_return read.error();
}

/// Fills in the entry of an operation of one's own.
using PrepareEntry = std::function<void(io_uring_sqe*)>;

inline Task<Result<int>> run_once(NativeLane lane, PrepareEntry prepare) {
    co_return co_await lane.submit(std::move(prepare));
}

inline void wait_until_pending(const RuntimeHandle& runtime, std::uint64_t operations) {
    while (runtime.stats_snapshot().pending_native_ops != operations) {
        std::this_thread::yield();
    }
}

}  // namespace spargio::test
