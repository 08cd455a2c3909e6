// SPDX-License-Identifier: MIT
// Runs the scenarios whose names begin with one of the arguments, all without an argument, prints a line for each, and
// ends with the first that is not as expected.
#include <cstdio>
#include <cstring>
#include <string>

#include "checker.hpp"

namespace spargio::model_checker {

bool Scenario::is_as_expected() const {
    const auto result = Engine::instance().explore(function_, preemptions_);
    const bool failed = !result.failure.empty();
    const bool right = failed == (expect_ == Expect::Fails);
    const auto detail =
        failed ? result.failure
               : std::to_string(result.executions) + " executions, " + std::to_string(result.given_up) + " given up";
    std::printf("%-7s %s: %s\n", right ? (failed ? "seen" : "holds") : "FAILED", name_, detail.c_str());
    if (!right) {
        std::fputs(failed ? result.trace.c_str() : "it should fail\n", stdout);
    }
    std::fflush(stdout);
    return right;
}

}  // namespace spargio::model_checker

int main(int count, char** arguments) {
    using spargio::model_checker::Scenario;
    int runs = 0;
    for (const auto* scenario = Scenario::first(); scenario != nullptr; scenario = scenario->next()) {
        bool wanted = count == 1;
        for (int i = 1; i < count; ++i) {
            wanted = wanted || std::strncmp(scenario->name(), arguments[i], std::strlen(arguments[i])) == 0;
        }
        if (wanted) {
            ++runs;
            if (!scenario->is_as_expected()) {
                return 1;
            }
        }
    }
    if (runs == 0) {
        std::fputs("error: there is no such scenario\n", stderr);
        return 2;
    }
    return 0;
}
