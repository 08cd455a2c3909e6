// SPDX-License-Identifier: MIT
// Asio, with its coroutines on every compiler that spargio supports, and not slower than it can be.
#pragma once

#if !defined(ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE) || ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE < 8
#error "Asio's frame cache must hold 8 blocks: with its default of 2 the baseline is slower (bench/README.md)."
#endif

// Asio 1.22 looks for <experimental/coroutine> under Clang, which libstdc++ does not have: it has the real one.
#if defined(__clang__) && !defined(ASIO_HAS_CO_AWAIT)
#define ASIO_HAS_CO_AWAIT 1
#if !defined(ASIO_HAS_STD_COROUTINE)
#define ASIO_HAS_STD_COROUTINE 1
#endif
#endif

#include <asio.hpp>
#include <asio/experimental/concurrent_channel.hpp>
