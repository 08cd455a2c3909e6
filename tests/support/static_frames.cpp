// SPDX-License-Identifier: MIT
// A task for the end of a process.
#include "support/static_frames.hpp"

#include <utility>

#include "support/workloads.hpp"

namespace spargio::test {

Task<> never_ends(StaticFrames& frames, RuntimeHandle runtime, int depth) {
    const StaticFrames::Guard guard(frames);
    if (depth == 0) {
        co_await sleep_for_ever();
        co_return;
    }
    auto child = runtime.spawn_round_robin(never_ends(frames, runtime, depth - 1));
    co_await std::move(child);
}

}  // namespace spargio::test
