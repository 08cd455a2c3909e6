// SPDX-License-Identifier: MIT
#include "process_fork.hpp"

#include <new>

#include <pthread.h>

#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/atomic.hpp"

namespace spargio::detail {

namespace {

atomic<std::uint64_t> last_id{0};
// Ids up to here are of the process that forked this one. Written in a child while it has one thread.
atomic<std::uint64_t> last_of_parent{0};

void forked() noexcept {
    last_of_parent.store(last_id.load(std::memory_order_relaxed), std::memory_order_relaxed);
    if (Shard* here = current_shard()) {
        // A task has forked: its shard, which is all that the child has, goes to its end() after this step.
        here->stopping.store(true, std::memory_order_relaxed);
    }
}

struct Watch {
    Watch() {
        if (pthread_atfork(nullptr, nullptr, &forked) != 0) {
            throw std::bad_alloc();
        }
    }
};

}  // namespace

std::uint64_t next_runtime_id() {
    static const Watch watch;  // Tried again by the next runtime if it throws.
    return last_id.fetch_add(1, std::memory_order_relaxed) + 1;
}

bool built_before_fork(std::uint64_t runtime_id) noexcept {
    return runtime_id <= last_of_parent.load(std::memory_order_relaxed);
}

void refuse_after_fork(std::uint64_t runtime_id) noexcept {
    SPARGIO_CHECK(!built_before_fork(runtime_id),
                  "a child after fork() uses its parent's runtime, whose threads it does not have: build the runtime "
                  "after the fork, or start other programs by posix_spawn()");
}

}  // namespace spargio::detail
