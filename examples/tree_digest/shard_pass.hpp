// SPDX-License-Identifier: MIT
// The job on spargio: plain threads hand files to the shards.
#pragma once

#include "pass.hpp"
#include "progress.hpp"

#include <spargio/runtime_builder.hpp>
#include <spargio/runtime_handle.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tree_digest {

struct ShardPass {
    Pass pass;
    spargio::BackendKind backend;
    std::string fallback_reason;  ///< why it is the queue backend, where io_uring would have been preferred
    std::uint64_t tasks_stolen;
    std::uint64_t spawns_refused;  ///< because the queues were full; each was tried again
};

/// Called when the shards run and no file has been handed to them yet. The number is of spawns refused so far; it
/// lives as long as the runtime. For a test that keeps the shards busy.
using AtStart = std::function<void(const spargio::RuntimeHandle&, const std::atomic<std::uint64_t>& refused)>;

/// Hashes the files on the shards of a runtime that is built for this, while `submitters` plain threads keep it busy.
/// Throws std::system_error when the runtime cannot be built.
ShardPass hash_on_shards(const std::vector<std::string>& files, const spargio::RuntimeBuilder& builder,
                         unsigned submitters, ProgressLine& progress, const AtStart& at_start = {});

}  // namespace tree_digest
