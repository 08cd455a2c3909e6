// SPDX-License-Identifier: MIT
// The counted object, and how one pattern is run.
#include "probe.hpp"

#include <set>

namespace probe {
namespace {

struct Ledger {
    std::set<const void*> alive;
    int destroyed_twice = 0;
    std::string other;
};

Ledger& ledger() {
    static Ledger the_ledger;
    return the_ledger;
}

std::string describe(const Findings& findings, const std::string& when) {
    std::string text;
    const auto add = [&](int count, const char* what) {
        if (count != 0) {
            text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + what;
        }
    };
    add(findings.destroyed_twice, "destroyed twice");
    add(findings.never_destroyed, "never destroyed");
    if (!findings.other.empty()) {
        text += (text.empty() ? "" : ", ") + findings.other;
    }
    return text + " " + when;
}

}  // namespace

Obj::Obj(int number) : number_(number) {
    ledger().alive.insert(this);
}

Obj::Obj(const Obj& other) : number_(other.number_) {
    ledger().alive.insert(this);
}

Obj::Obj(Obj&& other) noexcept : number_(std::exchange(other.number_, -1)) {
    ledger().alive.insert(this);
}

Obj::~Obj() {
    if (ledger().alive.erase(this) == 0) {
        ++ledger().destroyed_twice;
    }
}

void Obj::reset() {
    ledger() = Ledger();
}

Findings Obj::findings() {
    return {ledger().destroyed_twice, static_cast<int>(ledger().alive.size()), ledger().other};
}

void expect(bool condition, const char* what) {
    if (!condition && ledger().other.empty()) {
        ledger().other = what;
    }
}

std::string exercise(Task<void> (*body)(Gate&)) {
    Obj::reset();
    {
        Gate gate;
        const Task<void> never_started = body(gate);
    }
    if (const Findings findings = Obj::findings(); !findings.clean()) {
        return describe(findings, "when destroyed before its start");
    }

    constexpr int most_gates = 64;
    std::string half_way;
    for (int gates = 0; gates < most_gates; ++gates) {
        Obj::reset();
        bool finished = false;
        {
            Gate gate;
            Task<void> task = body(gate);
            task.start();
            for (int opened = 0; opened < gates && gate.has_waiter(); ++opened) {
                gate.open();
            }
            finished = task.done();
            if (finished) {
                try {
                    task.result();
                } catch (...) {
                    expect(false, "an exception got out");
                }
            }
        }
        const Findings findings = Obj::findings();
        if (finished) {
            const std::string at_end = findings.clean() ? "" : describe(findings, "when run to its end");
            return at_end + (at_end.empty() || half_way.empty() ? "" : "; ") + half_way;
        }
        if (!findings.clean() && half_way.empty()) {
            half_way = describe(findings, "when destroyed half-way");
        }
    }
    return "did not come to its end";
}

}  // namespace probe
