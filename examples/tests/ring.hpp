// SPDX-License-Identifier: MIT
// What a test that needs io_uring does without it.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include <spargio/runtime_builder.hpp>

/// The exit status where there is no ring: skipped, or failed where one is required.
inline std::optional<int> status_without_ring() {
    constexpr int skipped = 77;
    if (spargio::RuntimeBuilder().shards(1).backend(spargio::BackendKind::IoUring).try_build()) {
        return std::nullopt;
    }
    const char* required = std::getenv("SPARGIO_TEST_REQUIRE_URING");
    std::puts("skipped: no io_uring here");
    return required != nullptr && std::string(required) == "1" ? 1 : skipped;
}
