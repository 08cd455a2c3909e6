// SPDX-License-Identifier: MIT
#undef _FORTIFY_SOURCE  // Its longjmp() takes a jump to another stack for an attack.
#include "engine.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include <ucontext.h>

namespace spargio::model_checker {
namespace {

constexpr std::size_t kStackBytes = 64 * 1024;
constexpr std::size_t kMostEvents = 300;  // Of one execution: no scenario is near it.

const char* name_of(std::memory_order order) noexcept {
    switch (order) {
    case std::memory_order_relaxed:
        return "relaxed";
    case std::memory_order_release:
        return "release";
    case std::memory_order_acq_rel:
        return "acq_rel";
    case std::memory_order_seq_cst:
        return "seq_cst";
    default:
        return "acquire";
    }
}

}  // namespace

Engine& Engine::instance() {
    static Engine engine;
    return engine;
}

Result Engine::explore(void (*scenario)(), unsigned preemptions) {
    Result result;
    learned_.clear();
    do {  // Until no execution has stored what was not known before.
        known_ = learned_;
        result = {};
        search_ = Search(preemptions);
        do {
            switch (execute(scenario)) {
            case Outcome::Complete:
                ++result.executions;
                break;
            case Outcome::GivenUp:
                ++result.given_up;
                break;
            case Outcome::Failed:
                result.failure = failure_;
                result.trace = trace();
                return result;
            }
        } while (search_.next());
    } while (learned_.size() > known_.size());
    return result;
}

Engine::Outcome Engine::execute(void (*scenario)()) {
    search_.begin();
    memory_.reset();
    events_.clear();
    failure_.clear();
    abandoned_ = false;
    endless_ = false;
    try {
        scenario();
    } catch (const Abandoned&) {
        // The scenario's objects are gone; what the fibers had on their stacks needs no destructor.
    }
    current_ = 0;
    if (endless_) {
        return Outcome::Failed;
    }
    // After a broken promise a failure says nothing.
    if (abandoned_ || !memory_.promises_kept()) {
        return Outcome::GivenUp;
    }
    return failure_.empty() ? Outcome::Complete : Outcome::Failed;
}

void Engine::run(std::size_t count, const Function* functions, const void* const* arguments) {
    alive_ = 0;
    starting_ = true;  // Each thread runs up to its first atomic operation: nothing before it depends on the others.
    for (std::size_t thread = 1; thread <= count; ++thread) {
        memory_.start(thread);
        functions_[thread] = functions[thread - 1];
        arguments_[thread] = arguments[thread - 1];
        alive_ |= 1U << thread;
        if (stacks_[thread] == nullptr) {
            create_fiber(thread);
        } else {
            places_[thread] = starts_[thread];
            switch_to(thread);
        }
    }
    starting_ = false;
    if (const auto first = pick(); first != 0) {
        switch_to(first);
    }
    if (abandoned_ || !memory_.promises_kept()) {
        throw Abandoned();
    }
    memory_.join_all();
}

/// A fiber is created once, for all executions, and runs up to the thread's first operation.
void Engine::create_fiber(std::size_t thread) {
    stacks_[thread] = std::make_unique<char[]>(kStackBytes);
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks_[thread].get();
    context.uc_stack.ss_size = kStackBytes;
    context.uc_link = nullptr;
    makecontext(&context, &Engine::fiber_main, 0);
    if (_setjmp(places_[current_].registers) == 0) {
        current_ = thread;
        setcontext(&context);
    }
}

void Engine::fiber_main() {
    auto& engine = instance();
    // Each later execution begins here, whatever was left on the stack by the one before.
    _setjmp(engine.starts_[engine.current_].registers);
    engine.functions_[engine.current_](engine.arguments_[engine.current_]);
    engine.alive_ &= ~(1U << engine.current_);
    engine.switch_to(engine.starting_ ? 0 : engine.pick());
}

/// Not by swapcontext(), which makes a system call each time.
void Engine::switch_to(std::size_t thread) {
    if (_setjmp(places_[current_].registers) == 0) {
        current_ = thread;
        _longjmp(places_[thread].registers, 1);
    }
}

/// Who goes on; 0: nobody can, or the execution is not worth it.
std::size_t Engine::pick() {
    if (alive_ == 0) {
        return 0;
    }
    auto able = alive_;  // Without those that would come before a store that was promised.
    for (std::size_t thread = 1; thread < most_threads && !memory_.promises_kept(); ++thread) {
        if ((able & (1U << thread)) != 0 && !memory_.allowed(thread, pending_[thread].location)) {
            able &= ~(1U << thread);
        }
    }
    const auto next = able != 0 ? search_.pick_thread(able, alive_, current_, pending_) : 0;
    abandoned_ = abandoned_ || next == 0;
    return next;
}

/// Called by a thread: after run() no promise is open.
void Engine::abandon() {
    abandoned_ = true;
    switch_to(0);
    std::abort();  // Nobody comes back.
}

void Engine::fail(const std::string& what) {
    if (failure_.empty()) {
        failure_ = what;
    }
}

std::size_t Engine::begin_operation(Cell& cell, Pending::Access access) {
    if (cell.location == Cell::unused) {
        cell.location = memory_.add_location(cell.initial);
    }
    wait_for_turn({cell.location, access});
    return cell.location;
}

/// The scheduling point: others may come before this operation.
void Engine::wait_for_turn(const Pending& operation) {
    const auto self = current_;
    if (self != 0) {
        pending_[self] = operation;
        if (const auto next = starting_ ? 0 : pick(); next != self) {
            switch_to(next);
        }
    }
    if (events_.size() == kMostEvents) {
        fail("this execution does not end");
        endless_ = memory_.promises_kept();
        abandon();
    }
}

/// What a load may read, the youngest first, and behind that what is stored later.
void Engine::find_options(const Cell& cell, std::memory_order order) {
    const auto oldest = memory_.oldest(current_, cell.location, order);
    options_.clear();
    for (auto index = memory_.last(cell.location) + 1; index-- > oldest;) {
        options_.push_back({index, memory_.value(cell.location, index)});
    }
    if (order != std::memory_order_relaxed || current_ == 0) {
        return;
    }
    for (const auto& known : known_) {
        const auto is_known = [&known](const Option& option) { return option.value == known.value; };
        const bool can_still_come = known.thread != current_ && (alive_ & (1U << known.thread)) != 0;
        if (known.cell == &cell && can_still_come && std::none_of(options_.begin(), options_.end(), is_known)) {
            options_.push_back({Option::later, known.value});
        }
    }
}

Word Engine::load(Cell& cell, std::memory_order order) {
    const bool seq_cst = order == std::memory_order_seq_cst;
    const auto location = begin_operation(cell, seq_cst ? Pending::Access::LoadSeqCst : Pending::Access::Load);
    find_options(cell, order);
    return finish_read(location, options_[search_.pick_option(options_.size())], order, "load");
}

void Engine::store(Cell& cell, Word value, std::memory_order order) {
    const auto location = begin_operation(cell, Pending::Access::Write);
    note("store", location, value, order, memory_.last(location) + 1);
    memory_.write(current_, location, value, order);
    learn(cell, value);
}

void Engine::barrier() {
    const auto self = current_;
    wait_for_turn({Cell::unused, Pending::Access::Barrier});
    pass_fence(self);
    // The others in any order, and what they do may come between. It makes no difference when one has ended.
    auto others = ((1U << most_threads) - 1) & ~(1U << self) & ~1U;
    for (std::size_t thread = 1; thread < most_threads; ++thread) {
        if ((others & ~alive_ & (1U << thread)) != 0) {
            others &= ~(1U << thread);
            pass_fence(thread);
        }
    }
    while (others != 0) {
        auto rest = others;
        for (auto skipped = search_.pick_option(static_cast<std::size_t>(std::popcount(others))); skipped != 0;
             --skipped) {
            rest &= rest - 1;
        }
        others &= ~(rest & -rest);
        pass_fence(static_cast<std::size_t>(std::countr_zero(rest)));
        wait_for_turn({Cell::unused, Pending::Access::Barrier});
    }
    pass_fence(self);
}

void Engine::pass_fence(std::size_t thread) {
    if (!memory_.promises_kept_by(thread)) {
        abandon();  // No load before it reads a store behind it.
    }
    note("fence of thread", Cell::unused, static_cast<Word>(thread), std::memory_order_seq_cst, 0);
    memory_.fence(thread);
}

void Engine::finish_update(const Cell& cell, Word value, std::memory_order order) {
    note("update", cell.location, value, order, memory_.last(cell.location) + 1);
    memory_.update(current_, cell.location, value, order);
    learn(cell, value);
}

bool Engine::compare_exchange(Cell& cell, Word& expected, Word desired, std::memory_order success,
                              std::memory_order failure) {
    const auto location = begin_operation(cell, Pending::Access::Write);
    find_options(cell, failure);
    // One that fails is a load, and may read an old value; one that succeeds follows the last store.
    const auto last = memory_.last(location);
    std::erase_if(options_, [&](const Option& option) { return option.value == expected && option.index != last; });
    const auto option = options_[search_.pick_option(options_.size())];
    if (option.value == expected) {
        finish_update(cell, desired, success);
        return true;
    }
    expected = finish_read(location, option, failure, "failed compare");
    return false;
}

Word Engine::finish_read(std::size_t location, const Option& option, std::memory_order order, const char* what) {
    if (option.index == Option::later) {
        note("late load", location, option.value, order, memory_.last(location) + 1);
        memory_.promise(current_, location, option.value);
    } else {
        note(what, location, option.value, order, option.index);
        memory_.read(current_, location, option.index, order);
    }
    return option.value;
}

void Engine::learn(const Cell& cell, Word value) {
    const auto is_known = [&](const Known& known) {
        return known.cell == &cell && known.thread == current_ && known.value == value;
    };
    if (current_ != 0 && std::none_of(learned_.begin(), learned_.end(), is_known)) {
        learned_.push_back({&cell, current_, value});
    }
}

void Engine::plain_read(PlainHistory& history) {
    if (!memory_.sees(current_, history.writer, history.written)) {
        fail("data race: a read, and a write that does not happen before it");
    }
    history.read[current_] = memory_.now(current_);
}

void Engine::plain_write(PlainHistory& history) {
    bool ordered = memory_.sees(current_, history.writer, history.written);
    for (std::size_t thread = 0; thread < most_threads; ++thread) {
        ordered = ordered && memory_.sees(current_, thread, history.read[thread]);
    }
    if (!ordered) {
        fail("data race: a write, and an access that does not happen before it");
    }
    history.writer = current_;
    history.written = memory_.now(current_);
}

void Engine::note(const char* what, std::size_t location, Word value, std::memory_order order, std::size_t index) {
    events_.push_back({current_, what, location, value, order, index});
}

std::string Engine::trace() const {
    std::string text;
    for (const auto& event : events_) {
        text += "thread " + std::to_string(event.thread) + ": " + event.what + " of location " +
                std::to_string(event.location) + ", " + name_of(event.order) + ": value " +
                std::to_string(event.value) + ", number " + std::to_string(event.index) + " of its stores\n";
    }
    return text;
}

}  // namespace spargio::model_checker
