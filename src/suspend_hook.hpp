// SPDX-License-Identifier: MIT
// The seam through which tests have another thread come first: between the moment in which a suspended task can be
// resumed elsewhere and the return of its await_suspend().
#pragma once

#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

#ifdef SPARGIO_SUSPEND_HOOK  // In builds of the project with a sanitizer, which sees what the test provokes.
/// None by default; called on any thread. Release and acquire: what the test prepared for it.
inline atomic<void (*)() noexcept> suspend_hook{nullptr};
#endif

/// The task can be found by whoever resumes it, and may be gone: neither its root nor its awaiter is touched any more.
/// Gives true, what await_suspend() returns.
inline bool suspended() noexcept {
#ifdef SPARGIO_SUSPEND_HOOK
    if (auto* hook = suspend_hook.load(std::memory_order_acquire)) {
        hook();
    }
#endif
    return true;
}

}  // namespace spargio::detail
