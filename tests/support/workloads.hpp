// SPDX-License-Identifier: MIT
// Work that makes shards sleep and wake: for the park tests, and for the same with faults and features switched off.
#pragma once

#include <cstdint>

#include "spargio/spargio.hpp"
#include "support/stress.hpp"

namespace spargio::test {

/// `threads` threads spawn `rounds` pinned tasks each, wait for most of them, and spin for random times in between.
/// Returns how many tasks have run.
[[nodiscard]] std::uint64_t spawn_from_outside(const RuntimeHandle& runtime, unsigned threads, unsigned rounds,
                                               Watchdog& watchdog);

/// One caller that spawns on `target` and joins, `rounds` times. Returns how many tasks have run.
[[nodiscard]] Task<unsigned> call_each_round(RuntimeHandle runtime, ShardId target, unsigned rounds);

/// Pinned, stealable, blocking, local and sleeping tasks, once each and joined: does this runtime work at all?
[[nodiscard]] int do_some_of_everything(const Runtime& runtime);
inline constexpr int everything = 31;

/// Sleeps until it is stopped or destroyed.
[[nodiscard]] Task<> sleep_for_ever();

}  // namespace spargio::test
