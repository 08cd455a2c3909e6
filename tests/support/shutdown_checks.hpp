// SPDX-License-Identifier: MIT
// What a test asks after a shutdown: how a task ended, and whether anything is left.
#pragma once

#include <system_error>

#include <gtest/gtest.h>

#include "spargio/spargio.hpp"

namespace spargio::test {

/// Why the task has no value; empty if it has one, which is taken.
template <class T>
std::error_code code_of(JoinHandle<T>& handle) {
    try {
        static_cast<void>(handle.get());
    } catch (const std::system_error& error) {
        return error.code();
    }
    return {};
}

/// No task is left, and no shard was woken late.
inline void expect_nothing_left(const RuntimeHandle& handle) {
    const auto stats = handle.stats_snapshot();
    EXPECT_EQ(stats.tasks_live, 0U) << to_string(stats);
    EXPECT_EQ(stats.late_wakes, 0U) << to_string(stats);
}

}  // namespace spargio::test
