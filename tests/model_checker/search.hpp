// SPDX-License-Identifier: MIT
// The depth-first search over all choices that an execution has: which thread goes on, which store a load reads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "memory.hpp"

namespace spargio::model_checker {

/// The operation that a thread is about to execute.
struct Pending {
    enum class Access : std::uint8_t { Load, LoadSeqCst, Write, Barrier };

    std::size_t location = 0;
    Access access = Access::Load;
};

using PendingOfAll = std::array<Pending, most_threads>;

/// Nothing of an execution is saved: it is replayed from its start with the choices on the path, the last of which is
/// another one each time (stateless search, Godefroid, "Model Checking for Programming Languages using VeriSoft", POPL
/// 1997). Of executions that differ in the order of independent operations only one is completed: sleep sets
/// (Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", LNCS 1032, 1996).
class Search {
public:
    static constexpr unsigned unlimited = ~0U;

    /// `preemptions`: how often a thread that has not ended is interrupted, at most. A limit turns the sleep sets off:
    /// what they leave out may have been visited only by executions beyond the limit.
    explicit Search(unsigned preemptions = unlimited) noexcept : most_preemptions_(preemptions) {}

    /// At the start of each execution.
    void begin() noexcept;

    /// A thread of the set `able`, `current` if possible; 0: all that could follow is visited elsewhere. `alive`: those
    /// that have not ended.
    [[nodiscard]] std::size_t pick_thread(unsigned able, unsigned alive, std::size_t current,
                                          const PendingOfAll& pending);

    /// One of `options`, which are never fewer than one.
    [[nodiscard]] std::size_t pick_option(std::size_t options);

    /// Turns to the next execution; false: there is none.
    [[nodiscard]] bool next();

private:
    struct Choice {
        std::size_t taken;
        std::size_t options;  // 0: the choice of a thread. The rest belongs to that one, sets of threads.
        unsigned able = 0;
        unsigned asleep = 0;  // Their next operation was explored before, and nothing since then depends on it.
        unsigned done = 0;
    };

    unsigned most_preemptions_;
    std::vector<Choice> path_;
    std::size_t depth_ = 0;
    unsigned asleep_ = 0;
    unsigned preemptions_ = 0;
};

}  // namespace spargio::model_checker
