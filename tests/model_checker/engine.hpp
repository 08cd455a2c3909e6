// SPDX-License-Identifier: MIT
// Executes threads as fibers, one atomic operation at a time, each time in another way until all ways are through.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <setjmp.h>

#include "memory.hpp"
#include "search.hpp"

namespace spargio::model_checker {

/// What an atomic variable consists of. It becomes a location of the memory when it is used first.
struct Cell {
    static constexpr std::size_t unused = ~std::size_t{0};

    Word initial;
    std::size_t location = unused;
};

/// What race detection needs of a plain variable.
struct PlainHistory {
    std::size_t writer = 0;
    Time written = 0;
    std::array<Time, most_threads> read{};
};

struct Result {
    std::uint64_t executions = 0;  ///< completed
    std::uint64_t given_up = 0;    ///< visited elsewhere, or no execution of C++20
    std::string failure;           ///< empty: none
    std::string trace;             ///< of the execution that failed
};

/// One at a time, in one thread.
class Engine {
public:
    using Function = void (*)(const void*);

    [[nodiscard]] static Engine& instance();

    /// Runs `scenario` in all ways, up to the first failure.
    [[nodiscard]] Result explore(void (*scenario)(), unsigned preemptions);

    /// Called by the scenario, once: runs the threads to their ends.
    void run(std::size_t count, const Function* functions, const void* const* arguments);

    /// What is wrong with this execution; the first complaint counts.
    void fail(const std::string& what);

    // What atomics do.

    [[nodiscard]] Word load(Cell& cell, std::memory_order order);
    void store(Cell& cell, Word value, std::memory_order order);
    /// `change` makes the new value of the old one.
    template <class Change>
    Word update(Cell& cell, Change change, std::memory_order order) {
        const auto location = begin_operation(cell, Pending::Access::Write);
        const auto old = memory_.value(location, memory_.last(location));
        finish_update(cell, change(old), order);
        return old;
    }
    bool compare_exchange(Cell& cell, Word& expected, Word desired, std::memory_order success,
                          std::memory_order failure);

    /// A fence in every thread, each at a moment of its own between the call and the return, the caller's at both:
    /// membarrier(2).
    void barrier();

    // What plain variables do.

    void plain_read(PlainHistory& history);
    void plain_write(PlainHistory& history);

private:
    struct Abandoned {};
    enum class Outcome : std::uint8_t { Complete, GivenUp, Failed };
    /// A value that a thread stores in some execution: a relaxed load of another thread may be so late that it reads
    /// it.
    struct Known {
        const Cell* cell;
        std::size_t thread;
        Word value;
    };
    /// A store that a load may read.
    struct Option {
        static constexpr std::size_t later = ~std::size_t{0};

        std::size_t index;  // In the location's history, or later.
        Word value;
    };
    struct Event {
        std::size_t thread;
        const char* what;
        std::size_t location;
        Word value;
        std::memory_order order;
        std::size_t index;
    };

    Outcome execute(void (*scenario)());
    void create_fiber(std::size_t thread);
    static void fiber_main();
    void switch_to(std::size_t thread);
    [[nodiscard]] std::size_t pick();
    [[noreturn]] void abandon();

    std::size_t begin_operation(Cell& cell, Pending::Access access);
    void wait_for_turn(const Pending& operation);
    void find_options(const Cell& cell, std::memory_order order);
    Word finish_read(std::size_t location, const Option& option, std::memory_order order, const char* what);
    void finish_update(const Cell& cell, Word value, std::memory_order order);
    void learn(const Cell& cell, Word value);
    void pass_fence(std::size_t thread);
    void note(const char* what, std::size_t location, Word value, std::memory_order order, std::size_t index);
    [[nodiscard]] std::string trace() const;

    Memory memory_;
    Search search_;
    std::vector<Known> known_;     // From earlier passes: in one pass the options of a load stay the same.
    std::vector<Known> learned_;   // What is known after this pass.
    std::vector<Option> options_;  // Of the operation that is being executed.
    std::vector<Event> events_;
    std::string failure_;
    bool abandoned_ = false;
    bool endless_ = false;

    struct Place {
        jmp_buf registers;
    };
    std::array<Place, most_threads> starts_{};
    std::array<Place, most_threads> places_{};  // Where each thread waits to go on.
    std::array<std::unique_ptr<char[]>, most_threads> stacks_;
    std::array<Function, most_threads> functions_{};
    std::array<const void*, most_threads> arguments_{};
    PendingOfAll pending_{};
    std::size_t current_ = 0;  // 0: the scenario itself.
    unsigned alive_ = 0;       // The set of the threads that have not ended.
    bool starting_ = false;
};

}  // namespace spargio::model_checker
