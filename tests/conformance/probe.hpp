// SPDX-License-Identifier: MIT
// The tools of the compiler probe: a counted object, a small coroutine type, and the run of one pattern.
//
// Nothing here is spargio's: the probe tells what the compiler does with coroutines, not what the library does with
// them.
#pragma once

#include <coroutine>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace probe {

/// What the counted objects of one run did wrong.
struct Findings {
    int destroyed_twice = 0;  // a destructor ran where no object lived: twice, or on a bitwise copy
    int never_destroyed = 0;
    std::string other;  // a wrong value, an exception that should not be

    bool clean() const { return destroyed_twice == 0 && never_destroyed == 0 && other.empty(); }
};

/// An object that knows whether it lives. It owns nothing, so a compiler that destroys it twice does no harm here.
class Obj {
public:
    explicit Obj(int number);
    Obj(const Obj& other);
    Obj(Obj&& other) noexcept;
    Obj& operator=(const Obj&) = default;
    ~Obj();

    int number() const { return number_; }

    /// Forgets all objects; then, after a run, what it left behind.
    static void reset();
    static Findings findings();

private:
    int number_;
};

/// Notes a wrong value among the findings of the run.
void expect(bool condition, const char* what);

/// Where a coroutine stops until the probe lets it go on, so that everything alive is in its frame.
class Gate {
public:
    struct Awaiter {
        explicit Awaiter(Gate& gate_of_coroutine) noexcept : gate(gate_of_coroutine) {}
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> coroutine) const noexcept { gate.waiting_ = coroutine; }
        void await_resume() const noexcept {}
        Gate& gate;
    };

    Awaiter operator co_await() noexcept { return Awaiter(*this); }
    bool has_waiter() const noexcept { return static_cast<bool>(waiting_); }
    void open() { std::exchange(waiting_, nullptr).resume(); }

private:
    std::coroutine_handle<> waiting_;
};

template <class T>
class Task;

namespace detail {

struct FinalAwaiter {
    FinalAwaiter() noexcept {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> coroutine) const noexcept {
        return coroutine.promise().continuation;
    }
    void await_resume() const noexcept {}
};

struct PromiseBase {
    std::suspend_always initial_suspend() noexcept { return {}; }
    FinalAwaiter final_suspend() noexcept { return FinalAwaiter(); }
    void unhandled_exception() noexcept { exception = std::current_exception(); }
    void rethrow() const {
        if (exception) {
            std::rethrow_exception(exception);
        }
    }

    std::coroutine_handle<> continuation = std::noop_coroutine();
    std::exception_ptr exception;
};

template <class T>
struct Promise : PromiseBase {
    Task<T> get_return_object() noexcept;
    template <class U>
    void return_value(U&& from) {
        value.emplace_back(std::forward<U>(from));
    }
    T take() {
        rethrow();
        return std::move(value.front());
    }

    std::vector<T> value;  // at most one; on the heap, so that no compiler can confuse it with the frame
};

template <>
struct Promise<void> : PromiseBase {
    Task<void> get_return_object() noexcept;
    void return_void() noexcept {}
    void take() const { rethrow(); }
};

}  // namespace detail

/// A lazy coroutine, awaited once, which resumes its awaiter by symmetric transfer.
template <class T = void>
class Task {
public:
    using promise_type = detail::Promise<T>;

    explicit Task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}
    Task(Task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    Task& operator=(Task&&) = delete;
    ~Task() {
        if (coroutine_) {
            coroutine_.destroy();
        }
    }

    struct Awaiter {
        explicit Awaiter(std::coroutine_handle<promise_type> awaited) noexcept : coroutine(awaited) {}
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) const noexcept {
            coroutine.promise().continuation = awaiting;
            return coroutine;
        }
        T await_resume() const { return coroutine.promise().take(); }
        std::coroutine_handle<promise_type> coroutine;
    };

    Awaiter operator co_await() && noexcept { return Awaiter(coroutine_); }

    void start() { coroutine_.resume(); }
    bool done() const { return coroutine_.done(); }
    T result() { return coroutine_.promise().take(); }

private:
    std::coroutine_handle<promise_type> coroutine_;
};

template <class T>
Task<T> detail::Promise<T>::get_return_object() noexcept {
    return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
}

inline Task<void> detail::Promise<void>::get_return_object() noexcept {
    return Task<void>(std::coroutine_handle<Promise>::from_promise(*this));
}

/// Runs the coroutine to its end, and again so that it is destroyed before its start and at each of its gates. Returns
/// what went wrong, or nothing.
std::string exercise(Task<void> (*body)(Gate&));

enum class Class {
    Avoid,     // users and the library do not write it; a compiler may break it
    ReliedOn,  // the library's headers, or the remedies it recommends, are written like this
};

enum class Isolation { InProcess, Child };  // Child: a compiler that breaks the pattern may abort the program

/// One pattern. The two flags say whether the compilers that were measured, GCC 12 and Clang 14, are known to break it.
struct Pattern {
    const char* name;
    Class kind;
    Isolation isolation;
    bool known_in_gcc_12;
    bool known_in_clang_14;
    const char* use_instead;
    std::string (*run)();
};

std::vector<Pattern> patterns_to_avoid();
std::vector<Pattern> patterns_relied_on();
std::vector<Pattern> patterns_of_the_machine();

template <auto Body>
std::string exercised() {
    return exercise(Body);
}

// The callees of the patterns. Each stops at the gate, so that the temporaries of its caller live across a suspension.

inline Task<Obj> make(Gate& gate, int number) {
    co_await gate;
    co_return Obj(number);
}

inline Task<int> take(Gate& gate, Obj object) {
    co_await gate;
    co_return object.number();
}

inline Task<bool> answer(Gate& gate, bool yes) {
    co_await gate;
    co_return yes;
}

template <class F>
Task<int> call_by_value(Gate& gate, F function) {
    co_await gate;
    co_return function();
}

template <class F>
Task<int> call_by_reference(Gate& gate, F&& function) {
    co_await gate;
    co_return function();
}

}  // namespace probe
