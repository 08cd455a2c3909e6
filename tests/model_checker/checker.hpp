// SPDX-License-Identifier: MIT
// What a scenario is made of: threads, plain variables, assertions, and its place in the list.
#pragma once

#include <cstddef>

#include "engine.hpp"

namespace spargio::model_checker {

/// Runs the threads to their ends, in all ways. A thread is a callable that owns nothing when it does an atomic
/// operation: an execution may be given up there.
template <class... Threads>
void run(const Threads&... threads) {
    static_assert(sizeof...(Threads) < most_threads);
    const Engine::Function functions[] = {[](const void* thread) { (*static_cast<const Threads*>(thread))(); }...};
    const void* const arguments[] = {&threads...};
    Engine::instance().run(sizeof...(Threads), functions, arguments);
}

inline void check(bool holds, const char* what) {
    if (!holds) {
        Engine::instance().fail(what);
    }
}

/// A variable that is not atomic: an access that races with another one is a failure.
template <class T>
class Plain {
public:
    explicit Plain(T value = T()) : value_(value) {}
    [[nodiscard]] T read() const {
        Engine::instance().plain_read(history_);
        return value_;
    }
    void write(T value) {
        Engine::instance().plain_write(history_);
        value_ = value;
    }

private:
    T value_;
    mutable PlainHistory history_{};
};

/// A function that makes its objects, calls run() once, and looks at what came out. What it stores in atomics must be
/// the same in each execution. One that has to fail shows that the checker can see something.
class Scenario {
public:
    enum class Expect : bool { Holds, Fails };

    /// Enters itself into the list. The name outlives it; `preemptions` as in Search.
    Scenario(const char* name, Expect expect, void (*function)(), unsigned preemptions = Search::unlimited) noexcept
        : name_(name), expect_(expect), function_(function), preemptions_(preemptions) {
        *end_ = this;
        end_ = &next_;
    }

    Scenario(const Scenario&) = delete;
    Scenario& operator=(const Scenario&) = delete;

    [[nodiscard]] static const Scenario* first() noexcept { return first_; }
    [[nodiscard]] const Scenario* next() const noexcept { return next_; }
    [[nodiscard]] const char* name() const noexcept { return name_; }
    /// Prints a line. Whether it is as expected.
    [[nodiscard]] bool is_as_expected() const;

private:
    inline static const Scenario* first_ = nullptr;
    inline static const Scenario** end_ = &first_;

    const char* name_;
    Expect expect_;
    void (*function_)();
    unsigned preemptions_;
    const Scenario* next_ = nullptr;
};

inline constexpr auto holds = Scenario::Expect::Holds;
inline constexpr auto fails = Scenario::Expect::Fails;

}  // namespace spargio::model_checker
