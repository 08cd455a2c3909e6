// SPDX-License-Identifier: MIT
// The command line of tree_digest.
#pragma once

#include <spargio/runtime_builder.hpp>

#include <cstddef>
#include <optional>
#include <string>

namespace tree_digest {

struct Options {
    std::string path = "/usr/include";
    bool list = false;
    bool help = false;
    std::optional<std::size_t> shards;  ///< none: as many as the runtime's default
    spargio::BackendKind backend = spargio::BackendKind::Auto;
    unsigned threads = 1;
};

extern const char* const usage;

/// None when the command line makes no sense; what is wrong has been written to stderr.
std::optional<Options> parse_options(int argc, char** argv);

}  // namespace tree_digest
