// SPDX-License-Identifier: MIT
// The bounded pool of threads behind spawn_blocking.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>

#include "spargio/detail/task_header.hpp"
#include "spargio/detail/work_item.hpp"

namespace spargio::detail {

class RuntimeCore;

/// Threads start when a job finds none idle, and end after some seconds without work. Jobs run in the order they came.
/// A job is a task that never suspends: its one step is the callable.
class BlockingPool {
public:
    BlockingPool(RuntimeCore& core, std::size_t most_threads, std::size_t most_waiting);
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;
    ~BlockingPool() = default;

    /// Zero on acceptance; else Closed, Overloaded, or ThreadSpawn when there is no thread and none can be started.
    [[nodiscard]] std::error_code submit(TaskHeader* job) noexcept;

    /// Refuses new jobs, and begins none that wait. Those that run go on.
    void close() noexcept;
    /// Ends the waiting ones as canceled. After close().
    void drop() noexcept;
    /// Waits for the threads. After close(), and not on one of them.
    void join() noexcept;

    /// Whether the calling thread belongs to this pool.
    [[nodiscard]] bool on_pool_thread() const noexcept;

private:
    using Threads = std::list<std::thread>;

    void thread_main(Threads::iterator self) noexcept;
    [[nodiscard]] bool start_thread() noexcept;

    RuntimeCore& core_;
    const std::size_t most_threads_;
    const std::size_t most_waiting_;

    std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable left_;
    WorkList jobs_;
    Threads threads_;
    Threads ended_;  // Have left their loop; joined by the next one to leave, or by join().
    std::size_t idle_ = 0;
    std::size_t starting_ = 0;   // Started, and not yet looking for jobs.
    std::size_t finishing_ = 0;  // Telling the end of a job, and about to look for another.
    std::uint64_t started_ = 0;
    bool closed_ = false;
};

}  // namespace spargio::detail
