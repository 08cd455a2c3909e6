// SPDX-License-Identifier: MIT
// What not to write in a full-expression that contains co_await, as long as GCC 12 is among the compilers.
#include "probe.hpp"

#include <functional>
#include <memory>
#include <stdexcept>

namespace probe {
namespace {

struct Pair {
    Obj a;
    Obj b;
};

Task<int> sum(Gate& gate, Pair pair) {
    co_await gate;
    co_return pair.a.number() + pair.b.number();
}

Task<Pair> make_pair(Gate& gate, int a, int b) {
    co_await gate;
    co_return Pair{Obj(a), Obj(b)};
}

Task<void> lambda_by_value(Gate& gate) {
    const int got = co_await call_by_value(gate, [object = Obj(1)] { return object.number(); });
    expect(got == 1, "a wrong value");
}

Task<void> lambda_by_reference(Gate& gate) {
    const int got = co_await call_by_reference(gate, [object = Obj(1)] { return object.number(); });
    expect(got == 1, "a wrong value");
}

Task<void> lambda_in_function(Gate& gate) {
    const auto shared = std::make_shared<Obj>(1);
    const int got = co_await call_by_value(gate, std::function<int()>([shared] { return shared->number(); }));
    expect(got == 1, "a wrong value");
    expect(shared.use_count() == 1, "a wrong reference count");
}

Task<void> aggregate_in_braces(Gate& gate) {
    const int got = co_await sum(gate, {Obj(1), Obj(2)});
    expect(got == 3, "a wrong value");
}

Task<void> aggregate_designated(Gate& gate) {
    const int got = co_await sum(gate, Pair{.a = Obj(1), .b = Obj(2)});
    expect(got == 3, "a wrong value");
}

struct AggregateThrowsInSuspend {
    Obj object;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) const { throw std::runtime_error("refused"); }
    void await_resume() const noexcept {}
};

struct AggregateThrowsInResume {
    Gate& gate;
    Obj object;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> coroutine) const noexcept {
        Gate::Awaiter(gate).await_suspend(coroutine);
    }
    void await_resume() const { throw std::runtime_error("failed"); }
};

Task<void> aggregate_awaiter_throws_in_suspend(Gate& gate) {
    co_await gate;
    try {
        co_await AggregateThrowsInSuspend{Obj(1)};
        expect(false, "a lost exception");
    } catch (const std::runtime_error&) {}
}

Task<void> aggregate_awaiter_throws_in_resume(Gate& gate) {
    try {
        co_await AggregateThrowsInResume{gate, Obj(1)};
        expect(false, "a lost exception");
    } catch (const std::runtime_error&) {}
}

Task<void> conditional_with_await(Gate& gate) {
    for (const bool yes : {true, false}) {
        const Obj object = yes ? co_await make(gate, 1) : Obj(7);
        expect(object.number() == (yes ? 1 : 7), "a wrong value");
    }
}

Task<void> conditional_of_strings(Gate& gate) {
    for (const bool yes : {true, false}) {
        const std::string text =
            std::string("a text too long for the buffer inside, ") +
            (co_await answer(gate, yes) ? std::string("and another text that is as long as that") : std::string());
        expect(text.size() == (yes ? 79u : 39u), "a wrong value");
    }
}

Task<void> immediately_invoked(Gate& gate) {
    const int got = co_await [](Gate& inner, auto function) -> Task<int> {
        co_await inner;
        co_return function();
    }(gate, [object = Obj(1)] { return object.number(); });
    expect(got == 1, "a wrong value");
}

Task<void> aggregate_from_awaits(Gate& gate) {
    const Pair pair{.a = co_await make(gate, 1), .b = co_await make(gate, 2)};
    expect(pair.a.number() == 1 && pair.b.number() == 2, "a wrong value");
}

Task<void> structured_binding_of_a_result(Gate& gate) {
    auto [a, b] = co_await make_pair(gate, 1, 2);
    co_await gate;
    expect(a.number() == 1 && b.number() == 2, "a wrong value");
}

constexpr const char* name_the_lambda =
    "name it first: auto l = [x]{...}; co_await f(std::move(l)); or make the task first: auto t = f([x]{...}); "
    "co_await std::move(t);";
constexpr const char* name_the_aggregate = "a named variable, moved in; or give the type a constructor";
constexpr const char* give_a_constructor = "give the awaiter a constructor";
constexpr const char* use_if_else = "if (...) { ... } else { ... }";

}  // namespace

std::vector<Pattern> patterns_to_avoid() {
    using enum Class;
    using enum Isolation;
    return {
        {"co_await f([x]{...}), taken by value", Avoid, InProcess, true, false, name_the_lambda,
         exercised<lambda_by_value>},
        {"co_await f([x]{...}), taken by reference", Avoid, InProcess, true, false, name_the_lambda,
         exercised<lambda_by_reference>},
        {"co_await f(std::function([x]{...}))", Avoid, Child, true, false, name_the_lambda,
         exercised<lambda_in_function>},
        {"co_await f({A(), B()})", Avoid, InProcess, true, false, name_the_aggregate, exercised<aggregate_in_braces>},
        {"co_await f(Agg{.a = A(), .b = B()})", Avoid, InProcess, true, false, name_the_aggregate,
         exercised<aggregate_designated>},
        {"co_await AggregateAwaiter{x} whose await_suspend throws", Avoid, InProcess, true, false, give_a_constructor,
         exercised<aggregate_awaiter_throws_in_suspend>},
        {"co_await AggregateAwaiter{x} whose await_resume throws", Avoid, InProcess, true, false, give_a_constructor,
         exercised<aggregate_awaiter_throws_in_resume>},
        {"c ? co_await f() : Object()", Avoid, InProcess, true, false, use_if_else, exercised<conditional_with_await>},
        {"text + (co_await f() ? std::string(...) : std::string())", Avoid, Child, true, false, use_if_else,
         exercised<conditional_of_strings>},
        {"co_await [](auto f) -> Task { ... }([x]{...})", Avoid, InProcess, true, false, name_the_lambda,
         exercised<immediately_invoked>},
        {"Agg a{.a = co_await f(), .b = co_await g()}", Avoid, InProcess, true, true,
         "await into locals first, then build the aggregate from them", exercised<aggregate_from_awaits>},
        {"auto [a, b] = co_await f(), then another await", Avoid, InProcess, false, false,
         "name the result and bind to it: auto result = co_await f(); auto& [a, b] = result;",
         exercised<structured_binding_of_a_result>},
    };
}

}  // namespace probe
