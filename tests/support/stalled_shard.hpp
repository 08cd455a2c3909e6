// SPDX-License-Identifier: MIT
// A shard that is inside a step, for as long as a test wants.
#pragma once

#include "spargio/join_handle.hpp"
#include "spargio/runtime_handle.hpp"
#include "spargio/shard_id.hpp"
#include "support/event.hpp"

namespace spargio::test {

/// Holds a shard inside a step until its scope ends.
class StalledShard {
public:
    StalledShard(const RuntimeHandle& runtime, ShardId shard)
        : task_(runtime.spawn_pinned(shard, [this] {
              inside_.set();
              leave_.wait();
          })) {
        inside_.wait();
    }
    StalledShard(const StalledShard&) = delete;
    StalledShard& operator=(const StalledShard&) = delete;
    ~StalledShard() { release(); }

    void release() {
        leave_.set();
        if (!released_) {
            released_ = true;
            task_.get();
        }
    }

private:
    Event inside_;
    Event leave_;
    bool released_ = false;
    JoinHandle<> task_;
};

}  // namespace spargio::test
