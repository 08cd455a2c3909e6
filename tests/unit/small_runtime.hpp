// SPDX-License-Identifier: MIT
// A runtime for tests of what needs a shard to run on, whatever the shard waits on.
#pragma once

#include <cstddef>

#include "spargio/runtime_builder.hpp"

namespace spargio::test {

inline Runtime small_runtime(std::size_t shards = 1) {
    RuntimeBuilder builder;
    builder.shards(shards).backend(BackendKind::Queue);
    return builder.build();
}

}  // namespace spargio::test
