// SPDX-License-Identifier: MIT
// What the library's headers are written with, and what it tells its users to write: every compiler must get it right.
#include "probe.hpp"

#include <memory>
#include <stdexcept>
#include <tuple>

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

Task<Pair> make_pair(Gate& gate) {
    Pair pair{Obj(1), Obj(2)};
    co_await gate;
    co_return std::move(pair);
}

Task<std::vector<Obj>> make_vector(Gate& gate) {
    std::vector<Obj> objects;
    objects.emplace_back(1);
    co_await gate;
    objects.emplace_back(2);
    co_return objects;
}

Task<int> fail(Gate& gate, Obj object) {
    co_await gate;
    throw std::runtime_error(std::to_string(object.number()));
}

// The remedies.

Task<void> named_lambda(Gate& gate) {
    auto function = [object = Obj(1)] { return object.number(); };
    const int got = co_await call_by_value(gate, std::move(function));
    expect(got == 1, "a wrong value");
}

Task<int> built_in_a_plain_function(Gate& gate, int number) {
    return call_by_value(gate, [object = Obj(number)] { return object.number(); });
}

Task<void> lambda_in_a_plain_function(Gate& gate) {
    expect(co_await built_in_a_plain_function(gate, 5) == 5, "a wrong value");
}

Task<void> task_first(Gate& gate) {
    auto task = call_by_value(gate, [object = Obj(1)] { return object.number(); });
    const int got = co_await std::move(task);
    expect(got == 1, "a wrong value");
}

Task<void> named_aggregate(Gate& gate) {
    Pair pair{Obj(1), Obj(2)};
    expect(co_await sum(gate, std::move(pair)) == 3, "a wrong value");
}

Task<void> if_else(Gate& gate) {
    for (const bool yes : {true, false}) {
        std::string text = "a text too long for the buffer inside, ";
        if (co_await answer(gate, yes)) {
            text += "and another text that is as long as that";
        } else {
            const Obj object(7);
            text += std::to_string(object.number());
        }
        expect(text.size() == (yes ? 79u : 40u), "a wrong value");
    }
}

Task<void> locals_then_aggregate(Gate& gate) {
    Obj a = co_await make(gate, 1);
    Obj b = co_await make(gate, 2);
    const Pair pair{std::move(a), std::move(b)};
    co_await gate;
    expect(pair.a.number() == 1 && pair.b.number() == 2, "a wrong value");
}

Task<void> binding_to_a_named_result(Gate& gate) {
    auto result = co_await make_pair(gate);
    auto& [a, b] = result;
    co_await gate;
    expect(a.number() == 1 && b.number() == 2, "a wrong value");
}

// The rest of the language.

Task<void> constructed_temporaries(Gate& gate) {
    expect(co_await take(gate, Obj(3)) == 3, "a wrong value");
    expect(co_await take(gate, Obj(1)) + co_await take(gate, Obj(2)) == 3, "a wrong value");
}

Task<void> parameters_by_value(Gate& gate) {
    Obj object(4);
    expect(co_await take(gate, object) == 4, "a wrong value of the copy");
    expect(co_await take(gate, std::move(object)) == 4, "a wrong value of the moved one");
}

int add(Obj a, const Obj& b) {
    return a.number() + b.number();
}

Task<void> awaits_as_arguments(Gate& gate) {
    expect(add(co_await make(gate, 1), co_await make(gate, 2)) == 3, "a wrong value");
    const std::tuple<Obj, Obj> both(co_await make(gate, 1), co_await make(gate, 2));
    expect(std::get<0>(both).number() == 1 && std::get<1>(both).number() == 2, "a wrong value in the tuple");
}

Task<void> vector_of_results(Gate& gate) {
    std::vector<Obj> objects;
    for (int number = 0; number < 3; ++number) {
        objects.push_back(co_await make(gate, number));
    }
    expect(objects.size() == 3 && objects.back().number() == 2, "a wrong value");
}

Task<void> range_for_over_a_result(Gate& gate) {
    int total = 0;
    for (const Obj& object : co_await make_vector(gate)) {
        total += object.number();
        co_await gate;
    }
    expect(total == 3, "a wrong value");
}

Task<void> if_and_switch_with_init(Gate& gate) {
    if (const Obj object = co_await make(gate, 1); object.number() == 1) {
        co_await gate;
    } else {
        expect(false, "a wrong value in the if");
    }
    switch (const Obj object = co_await make(gate, 2); object.number()) {
    case 2:
        co_await gate;
        break;
    default:
        expect(false, "a wrong value in the switch");
    }
}

Task<void> loop_with_break_and_continue(Gate& gate) {
    int rounds = 0;
    while (co_await answer(gate, true)) {
        const Obj object = co_await make(gate, ++rounds);
        if (rounds == 1) {
            continue;
        }
        break;
    }
    expect(rounds == 2, "a wrong value");
}

Task<void> exception_through_an_await(Gate& gate) {
    const Obj before(1);
    try {
        const Obj inside(2);
        co_await fail(gate, Obj(3));
        expect(false, "a lost exception");
    } catch (const std::runtime_error& error) {
        expect(error.what() == std::string("3"), "a wrong exception");
    }
    co_await gate;
}

class ConstructedAwaiter {
public:
    ConstructedAwaiter(Obj object, bool refuse) : object_(std::move(object)), refuse_(refuse) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<>) const {
        if (refuse_) {
            throw std::runtime_error("refused");
        }
        return false;
    }
    int await_resume() const {
        throw std::runtime_error("failed");
        return object_.number();
    }

private:
    Obj object_;
    bool refuse_;
};

Task<void> constructed_awaiter_that_throws(Gate& gate) {
    co_await gate;
    for (const bool refuse : {true, false}) {
        try {
            co_await ConstructedAwaiter(Obj(1), refuse);
            expect(false, "a lost exception");
        } catch (const std::runtime_error& error) {
            expect(error.what() == std::string(refuse ? "refused" : "failed"), "a wrong exception");
        }
    }
    co_await gate;
}

// How a spawn keeps its callable: in the frame of a coroutine of its own, which outlives the task it makes.
template <class F>
Task<int> keep_callable(F function) {
    co_return co_await function();
}

Task<void> capturing_lambda_coroutine_in_a_frame(Gate& gate) {
    auto function = [object = Obj(6), &gate]() -> Task<int> {
        co_await gate;
        co_return object.number();
    };
    auto task = keep_callable(std::move(function));
    expect(co_await std::move(task) == 6, "a wrong value");
}

Task<std::unique_ptr<Obj>> make_unique_object(Gate& gate) {
    auto object = std::make_unique<Obj>(8);
    co_await gate;
    co_return object;
}

Task<void> move_only_result(Gate& gate) {
    const std::unique_ptr<Obj> object = co_await make_unique_object(gate);
    co_await gate;
    expect(object->number() == 8, "a wrong value");
}

constexpr const char* no_remedy = "take another compiler, and please report it";

}  // namespace

std::vector<Pattern> patterns_relied_on() {
    std::vector<Pattern> patterns;
    const auto add_clean = [&](const char* name, std::string (*run)()) {
        patterns.push_back({name, Class::ReliedOn, Isolation::Child, false, false, no_remedy, run});
    };
    add_clean("auto l = [x]{...}; co_await f(std::move(l))", exercised<named_lambda>);
    add_clean("the lambda and the task made in a plain function", exercised<lambda_in_a_plain_function>);
    add_clean("auto t = f([x]{...}); co_await std::move(t)", exercised<task_first>);
    add_clean("Agg a{A(), B()}; co_await f(std::move(a))", exercised<named_aggregate>);
    add_clean("if (co_await f()) ... else ...", exercised<if_else>);
    add_clean("await into locals, then build the aggregate", exercised<locals_then_aggregate>);
    add_clean("auto r = co_await f(); auto& [a, b] = r", exercised<binding_to_a_named_result>);
    add_clean("co_await f(Object(1))", exercised<constructed_temporaries>);
    add_clean("parameters by value, copied and moved", exercised<parameters_by_value>);
    add_clean("f(co_await a, co_await b), and a tuple of both", exercised<awaits_as_arguments>);
    add_clean("v.push_back(co_await f()) in a loop", exercised<vector_of_results>);
    add_clean("for (auto& x : co_await f())", exercised<range_for_over_a_result>);
    add_clean("if and switch with an awaited initialiser", exercised<if_and_switch_with_init>);
    add_clean("while (co_await f()) with break and continue", exercised<loop_with_break_and_continue>);
    add_clean("an exception that comes out of co_await f(Object(1))", exercised<exception_through_an_await>);
    add_clean("co_await Awaiter(x) with a constructor, throwing", exercised<constructed_awaiter_that_throws>);
    add_clean("a capturing lambda coroutine kept in a frame", exercised<capturing_lambda_coroutine_in_a_frame>);
    add_clean("a move-only result", exercised<move_only_result>);
    return patterns;
}

}  // namespace probe
