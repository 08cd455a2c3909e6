// SPDX-License-Identifier: MIT
// The first program to read: one task per shard, started and joined from the main thread.
#include <spargio/spargio.hpp>

#include <iostream>
#include <string>
#include <vector>

namespace {

// A task is lazy: calling greet() only makes it, spawning (or awaiting) runs it.
spargio::Task<std::string> greet() {
    // Other tasks of this shard may run here. The task is pinned below, so it goes on where it was.
    co_await spargio::yield();
    co_return "hello from shard " + std::to_string(spargio::ShardCtx::current()->shard_id());
}

}  // namespace

int main() {
    // One shard, that is a thread with a ring of its own, for each CPU this process may use.
    spargio::Runtime runtime = spargio::RuntimeBuilder().build();
    const spargio::RuntimeHandle handle = runtime.handle();
    std::cout << runtime.shard_count() << " shard(s), backend " << to_string(runtime.backend()) << '\n';

    std::vector<spargio::JoinHandle<std::string>> greetings;
    for (std::size_t shard = 0; shard < runtime.shard_count(); ++shard) {
        greetings.push_back(handle.spawn_pinned(static_cast<spargio::ShardId>(shard), greet()));
    }

    // This thread is no shard, so it may block: get() waits, and would rethrow what the task threw.
    for (spargio::JoinHandle<std::string>& greeting : greetings) {
        std::cout << greeting.get() << '\n';
    }
}  // the runtime's destructor stops the shards and joins their threads
