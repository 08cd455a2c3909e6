// SPDX-License-Identifier: MIT
// A shard that is inside a step, for as long as a test wants.
#pragma once

#include "spargio/join_handle.hpp"
#include "spargio/runtime.hpp"
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
              if (ends_ != nullptr) {
                  ends_->shutdown();
              }
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

    /// The step begins the shutdown of its runtime, as the last that its shard does: nothing that waits for the shard
    /// is run any more. (A spawn that another thread sees refused tells only that a shutdown has begun: the shards may
    /// still finish what they have.) Runtime::shutdown() waits for the rest.
    void shut_down(Runtime& runtime) {
        ends_ = &runtime;
        release();
    }

private:
    Event inside_;
    Event leave_;
    Runtime* ends_ = nullptr;
    bool released_ = false;
    JoinHandle<> task_;
};

}  // namespace spargio::test
