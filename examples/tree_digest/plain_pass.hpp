// SPDX-License-Identifier: MIT
// The job without the runtime, to measure it against.
#pragma once

#include "pass.hpp"
#include "progress.hpp"

#include <string>
#include <vector>

namespace tree_digest {

/// Hashes the files on `threads` plain threads that take the next file from a shared counter.
Pass hash_on_plain_threads(const std::vector<std::string>& files, unsigned threads, ProgressLine& progress);

}  // namespace tree_digest
