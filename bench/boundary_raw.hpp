// SPDX-License-Identifier: MIT
// A call without a runtime, a queue or a bound: the wake of a thread that sleeps, and the wake of its caller.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <thread>

#include "boundary_workloads.hpp"
#include "support/futex_cell.hpp"

namespace bench::raw_boundary {

/// A thread that answers one caller.
class Service {
public:
    Service() = default;
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;
    ~Service() { questions_.send(enough); }

    std::uint64_t call(std::uint64_t question) {
        questions_.send(static_cast<std::uint32_t>(question));
        return answers_.receive();
    }

private:
    static constexpr std::uint32_t enough = 0xFFFFFFFF;

    FutexCell questions_;
    FutexCell answers_;
    std::jthread thread_{[this] {
        for (std::uint32_t question = questions_.receive(); question != enough; question = questions_.receive()) {
            answers_.send(static_cast<std::uint32_t>(answer_to(question)));
        }
    }};
};

inline void call_idle(benchmark::State& state) {
    Service service;
    calls_apart(state, [&](std::uint64_t question) { return service.call(question); });
}

inline void call_back_to_back(benchmark::State& state) {
    Service service;
    run_calls_in_turn(state, calls_in_turn, [&](std::uint64_t question) { return service.call(question); });
}

}  // namespace bench::raw_boundary
