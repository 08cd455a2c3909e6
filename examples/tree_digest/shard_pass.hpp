// SPDX-License-Identifier: MIT
// The job on spargio: plain threads hand files to the shards.
#pragma once

#include "pass.hpp"
#include "progress.hpp"

#include <spargio/runtime_builder.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace tree_digest {

struct ShardPass {
    Pass pass;
    spargio::BackendKind backend;
    std::string fallback_reason;  ///< why it is the queue backend, where io_uring would have been preferred
    std::uint64_t tasks_stolen;
};

/// Hashes the files on the shards of a runtime that is built for this, while `submitters` plain threads keep it busy.
/// Throws std::system_error when the runtime cannot be built.
ShardPass hash_on_shards(const std::vector<std::string>& files, const spargio::RuntimeBuilder& builder,
                         unsigned submitters, ProgressLine& progress);

}  // namespace tree_digest
