// SPDX-License-Identifier: MIT
// What a RuntimeBuilder collects, and what it becomes once checked and completed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "spargio/backend.hpp"

namespace spargio::detail {

struct RuntimeOptions {
    std::optional<std::size_t> shards;
    std::string thread_prefix = "spargio-shard";
    BackendKind backend = BackendKind::Auto;
    std::uint32_t ring_entries = 256;
    std::size_t msg_ring_queue_capacity = 4096;
    std::size_t stealable_queue_capacity = 65536;
    std::size_t steal_budget = 16;
    std::optional<std::chrono::microseconds> idle_spin;
    std::vector<unsigned> thread_affinity;
    std::optional<std::size_t> blocking_threads;
    std::size_t blocking_queue_capacity = 1024;
    std::optional<std::chrono::milliseconds> sqpoll_idle;
    std::optional<unsigned> sqpoll_cpu;
    std::optional<bool> single_issuer;
    std::optional<bool> coop_taskrun;
    std::optional<bool> defer_taskrun;
    std::function<void(std::exception_ptr)> on_unhandled_exception;
};

/// A failed build: the code for try_build(), the sentence for build()'s exception.
struct BuildFailure {
    std::error_code code;
    std::string sentence;
};

/// Completes the defaults that depend on the machine; names the first option that is out of range or contradicts
/// another.
[[nodiscard]] std::optional<BuildFailure> complete_options(RuntimeOptions& options);

}  // namespace spargio::detail
