// SPDX-License-Identifier: MIT
// Uses of the seam between a task's suspension and the return of its await_suspend(); nothing without a sanitizer.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "support/stress.hpp"
#include "suspend_hook.hpp"

namespace spargio::test {

/// While it lives, one in eight suspensions does not return before it has given others time to resume the task.
class SuspendDelays {
public:
#ifdef SPARGIO_SUSPEND_HOOK
    SuspendDelays() noexcept {
        detail::suspend_hook.store(&delay);
    }
    ~SuspendDelays() {
        detail::suspend_hook.store(nullptr);
    }
#else
    SuspendDelays() noexcept {}  // As if it did something: neither a const member nor an unused variable is a mistake.
    ~SuspendDelays() {}
#endif
    SuspendDelays(const SuspendDelays&) = delete;
    SuspendDelays& operator=(const SuspendDelays&) = delete;

private:
    [[maybe_unused]] static void delay() noexcept {
        static std::atomic<std::uint64_t> threads = 0;
        thread_local Random random(stress_seed() + threads++);
        if (random.one_in(8)) {
            spin_for(std::chrono::nanoseconds(random.below(20'000)));
        }
    }
};

}  // namespace spargio::test
