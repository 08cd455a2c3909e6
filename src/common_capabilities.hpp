// SPDX-License-Identifier: MIT
// The report of a runtime, from those of its shards.
#pragma once

#include "spargio/capabilities.hpp"

namespace spargio::detail {

/// Leaves in `common` what holds for `shard` too: the features that both use, the smaller of the rings, and what either
/// has to say. Shards differ where limits are reached on the way.
void keep_common(Capabilities& common, const Capabilities& shard);

}  // namespace spargio::detail
