// SPDX-License-Identifier: MIT
// The command line.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <spargio/backend.hpp>

namespace mixed_mode_service {

struct Options {
    std::optional<std::uint16_t> port;  // 0: one that is free
    std::string address = "127.0.0.1";
    std::size_t capacity = 64;
    std::chrono::milliseconds timeout{5000};
    std::optional<std::size_t> shards;
    spargio::BackendKind backend = spargio::BackendKind::Auto;
    bool help = false;
};

extern const char* const usage;

/// Nothing after a complaint on stderr.
std::optional<Options> parse_options(int argc, char** argv);

}  // namespace mixed_mode_service
