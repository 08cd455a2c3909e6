// SPDX-License-Identifier: MIT
// What the compiler and the platform must offer, and the few macros that depend on them.
#pragma once

#if !defined(__linux__)
#error "spargio needs Linux: it is built on io_uring and futexes."
#endif

#if __cplusplus < 202002L
#error "spargio needs C++20: compile with -std=c++20 or later (CMake: target_compile_features)."
#endif

#if defined(__clang__)
#if __clang_major__ < 14
#error "spargio needs Clang 14 or later (or GCC 12 or later)."
#endif
#elif defined(__GNUC__)
#if __GNUC__ < 12
#error "spargio needs GCC 12 or later (or Clang 14 or later): the coroutines of earlier GCC releases are not usable."
#endif
#else
#error "spargio is known to work with GCC 12 and Clang 14 and later; this compiler is neither."
#endif

#if !defined(__cpp_exceptions)
#error "spargio needs exceptions: compile without -fno-exceptions."
#endif

// 1 in a build with that sanitizer, else 0.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SPARGIO_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define SPARGIO_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(SPARGIO_ASAN)
#define SPARGIO_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__) && !defined(SPARGIO_TSAN)
#define SPARGIO_TSAN 1
#endif
#if !defined(SPARGIO_ASAN)
#define SPARGIO_ASAN 0
#endif
#if !defined(SPARGIO_TSAN)
#define SPARGIO_TSAN 0
#endif

// For functions that read a thread_local and are called in coroutines: inlined, the address could be kept across a
// suspension and so belong to another thread. Such a function returns the variable's value, never its address, which
// Clang 14 knows even when the function is not inlined.
#define SPARGIO_NOINLINE __attribute__((noinline))

// For await_suspend. Clang 14 crashes (CoroSplit) on an inlined symmetric transfer in some loops, and may write to the
// frame after the hand-over in an inlined await_suspend, when the coroutine runs elsewhere already (LLVM 56301, mended
// in 18).
#if defined(__clang__)
#define SPARGIO_AWAIT_NOINLINE SPARGIO_NOINLINE
#else
#define SPARGIO_AWAIT_NOINLINE
#endif

namespace spargio::detail {

/// Writes "spargio: <sentence>" to stderr and aborts. For a wrong program, never for something the world did.
[[noreturn, gnu::cold]] void checked_failure(const char* sentence) noexcept;

}  // namespace spargio::detail

// An assertion that stays on in release builds: one predictable branch. The sentence tells the user what to do instead.
#define SPARGIO_CHECK(condition, sentence)                \
    do {                                                  \
        if (!(condition)) [[unlikely]]                    \
            ::spargio::detail::checked_failure(sentence); \
    } while (false)
