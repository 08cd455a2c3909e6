// SPDX-License-Identifier: MIT
// The command line.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <asio/ip/address.hpp>
#include <asio/ip/address_v4.hpp>

#include <spargio/backend.hpp>

namespace mixed_mode_service {

struct Options {
    std::optional<std::uint16_t> port;  // 0: one that is free
    asio::ip::address address = asio::ip::address_v4::loopback();
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
