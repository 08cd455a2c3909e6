// SPDX-License-Identifier: MIT
// The operations of NativeLane as a table, for what is true of each of them.
#pragma once

#include <functional>
#include <system_error>
#include <vector>

#include "spargio/spargio.hpp"

namespace spargio::test {

/// Four bytes are read, or "same" is written, at the beginning of what the descriptor means.
struct LaneOperation {
    const char* name;
    std::function<Task<std::error_code>(const NativeLane&, int fd)> run;
    bool transfers = true;  // Waits for bytes or for room: EAGAIN is not for the caller.
    bool retries = true;    // Neither is EINTR.
};

/// A row for each form of each operation: scripts/check_operation_rows.py compares them with the header.
[[nodiscard]] const std::vector<LaneOperation>& lane_operations();

}  // namespace spargio::test
