// SPDX-License-Identifier: MIT
// What the process has asked of its io_urings, as the kernel tells.
#pragma once

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

#include "support/ring_descriptors.hpp"

namespace spargio::test {

/// How many entries all rings have been given so far, as the kernel tells; nothing where it does not.
[[nodiscard]] inline std::optional<std::uint64_t> entries_submitted() {
    std::uint64_t sum = 0;
    for (const int ring : ring_descriptors()) {
        std::optional<std::uint64_t> tail;
        // It is silent about a ring that it works on, which may have lost its CPU meanwhile.
        for (int attempt = 0; !tail && attempt < 100'000; ++attempt) {
            std::ifstream info("/proc/self/fdinfo/" + std::to_string(ring));
            for (std::string line; !tail && std::getline(info, line);) {
                if (line.starts_with("SqTail:")) {
                    tail = std::stoull(line.substr(7));
                }
            }
        }
        if (!tail) {
            return std::nullopt;
        }
        sum += *tail;
    }
    return sum;
}

}  // namespace spargio::test
