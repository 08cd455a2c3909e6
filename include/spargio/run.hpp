// SPDX-License-Identifier: MIT
// run: a whole program in one call.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include "spargio/runtime_builder.hpp"

namespace spargio {

/// Builds a runtime, calls `f(handle)` on the calling thread, blocks until the task it returns has ended (a plain value
/// is taken as it is), shuts the runtime down, and gives f's value; a reference must not be to what is of the runtime.
/// `f` stays alive meanwhile, so it may be a coroutine lambda with captures. Throws what build(), `f` or the task
/// throws.
template <class F>
requires std::invocable<F&, RuntimeHandle>
decltype(auto) run_with(RuntimeBuilder builder, F&& f) {
    Runtime runtime = builder.build();
    using Returned = std::invoke_result_t<F&, RuntimeHandle>;
    if constexpr (detail::is_task<Returned>) {
        return runtime.block_on(f(runtime.handle()));
    } else {
        return f(runtime.handle());
    }
}

/// run_with() a default RuntimeBuilder.
template <class F>
requires std::invocable<F&, RuntimeHandle>
decltype(auto) run(F&& f) {
    return run_with(RuntimeBuilder(), std::forward<F>(f));
}

}  // namespace spargio
