// SPDX-License-Identifier: MIT
// World: two runtimes under a random load, shut down at a random moment.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "spargio/spargio.hpp"
#include "support/stress.hpp"
#include "support/task_ledger.hpp"

namespace spargio::test {

/// A handle that several threads know. One of them may wait for it at a time; all may ask it to stop.
struct SharedHandle {
    SharedHandle(JoinHandle<int> joined, TaskRecord& task) : handle(std::move(joined)), record(task) {}

    JoinHandle<int> handle;
    TaskRecord& record;
    std::atomic<bool> claimed{false};
    std::atomic<bool> taken{false};  // A join() has had the result, or the exception.
};

/// Two runtimes, "A" and "B", and all that happens in them in one run.
class World {
public:
    /// Builds the runtimes; what they are like and all that follows comes from the seed.
    World(BackendKind backend, std::uint64_t seed);

    /// Load, the shutdown, and the wait for everybody. Failures are reported as they are seen, the rest is in the
    /// ledger.
    void run();
    [[nodiscard]] const TaskLedger& ledger() const noexcept { return ledger_; }

private:
    // Coroutines: members, so that they are friends of the state; each lives in its task's frame.
    static Task<int> node(World& world, TaskRecord& self, Token token, FrameGuard* parent, std::uint64_t seed,
                          int depth);
    static Task<> act(World& world, FrameGuard& guard, Random& random, int depth);
    static Task<> join_child(World& world, FrameGuard& guard, Random& random, int depth);
    static Task<> join_shared(World& world, FrameGuard& guard, Random& random);
    static Task<> wait_in_some_way(Random& random);

    std::optional<JoinHandle<int>> spawn(Random& random, unsigned runtime, int depth, TaskRecord*& record);
    JoinHandle<int> spawn_blocking(Random& random, unsigned runtime, TaskRecord& record);
    std::optional<JoinHandle<int>> spawn_local(Random& random, unsigned runtime, int depth, TaskRecord*& record);

    void share(JoinHandle<int> handle, TaskRecord& record);
    std::shared_ptr<SharedHandle> some_shared(Random& random);
    void stop_some(Random& random);
    void part_with(Random& random, JoinHandle<int> handle, TaskRecord& record);
    void foreign_thread(std::uint64_t seed);
    void resolve(JoinHandle<int>& handle);
    void shut_down(std::vector<std::thread>& helpers);

    Random random_;
    TaskLedger ledger_;
    std::vector<RuntimeHandle> handles_;
    std::shared_ptr<Runtime> owners_[2];
    std::mutex mutex_;
    std::vector<std::shared_ptr<SharedHandle>> shared_;
};

}  // namespace spargio::test
