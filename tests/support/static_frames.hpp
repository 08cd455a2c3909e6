// SPDX-License-Identifier: MIT
// Frames that are still suspended when static objects are destroyed, and the check that the runtime took them along.
#pragma once

#include <atomic>
#include <cstdio>

#include <unistd.h>

#include "spargio/spargio.hpp"

namespace spargio::test {

/// Counts the frames that are alive. Defined before a runtime it is destroyed after it, and ends the process with
/// status 1 if there are any left: an assertion of a test framework would come too late by then.
class StaticFrames {
public:
    class Guard {
    public:
        explicit Guard(StaticFrames& frames) noexcept : frames_(frames) {
            ++frames_.alive_;
            ++frames_.made_;
        }
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;
        ~Guard() { --frames_.alive_; }

    private:
        StaticFrames& frames_;
    };

    StaticFrames() = default;
    StaticFrames(const StaticFrames&) = delete;
    StaticFrames& operator=(const StaticFrames&) = delete;
    ~StaticFrames() {
        if (alive_ != 0 || made_ == 0) {
            std::fprintf(stderr, "%d of %d frames are left after the runtime\n", alive_.load(), made_.load());
            _exit(1);
        }
    }

private:
    std::atomic<int> alive_{0};
    std::atomic<int> made_{0};
};

/// A task that joins a task, and so on; the last of them sleeps.
[[nodiscard]] Task<> never_ends(StaticFrames& frames, RuntimeHandle runtime, int depth);

}  // namespace spargio::test
