// SPDX-License-Identifier: MIT
// The blocking pool's threads.
#include "blocking_pool.hpp"

#include <chrono>
#include <coroutine>

#include "process_fork.hpp"
#include "runtime_core.hpp"
#include "scheduler.hpp"
#include "spargio/error.hpp"
#include "threads.hpp"

namespace spargio::detail {

namespace {

constexpr auto kIdleTime = std::chrono::seconds(5);

constinit thread_local const BlockingPool* current_pool = nullptr;

}  // namespace

BlockingPool::BlockingPool(RuntimeCore& core, std::size_t most_threads, std::size_t most_waiting)
    : core_(core), most_threads_(most_threads), most_waiting_(most_waiting) {}

std::error_code BlockingPool::submit(TaskHeader* job) noexcept {
    const std::lock_guard lock(mutex_);
    if (closed_) {
        return RuntimeError::Closed;
    }
    // Each of these takes a job as soon as it runs, so that many of the jobs do not wait for a thread. One that tells
    // the end of a job will, too, but what it tells may run code of the user's first: nobody waits for it who need not.
    const auto free_threads = idle_ + starting_;
    if (free_threads <= jobs_.size() && (threads_.size() == most_threads_ || !start_thread())) {
        if (threads_.empty()) {
            return RuntimeError::ThreadSpawn;
        }
        if (jobs_.size() - free_threads >= finishing_ + most_waiting_) {
            return RuntimeError::Overloaded;
        }
    }
    jobs_.push_back(job);
    work_.notify_one();
    return {};
}

bool BlockingPool::start_thread() noexcept {
    try {
        const auto self = threads_.emplace(threads_.end());
        try {
            const SignalsBlocked blocked;
            *self = std::thread([this, self] { thread_main(self); });
            ++starting_;
        } catch (...) {
            threads_.erase(self);
            return false;
        }
        return true;
    } catch (...) {
        return false;
    }
}

void BlockingPool::thread_main(Threads::iterator self) noexcept {
    current_pool = this;
    Executor executor;
    executor.core = &core_;
    std::unique_lock lock(mutex_);
    --starting_;
    name_this_thread(core_.options.thread_prefix, "-blk-", started_++);
    for (;;) {
        if (auto* item = closed_ ? nullptr : jobs_.pop_front()) {
            auto* job = static_cast<TaskHeader*>(item);
            lock.unlock();
            job->owner.executor = &executor;
            std::coroutine_handle<>::from_address(job->link.leaf).resume();
            refuse_after_fork(core_.id);  // The jobs that are queued are the parent's.
            executor.ended = nullptr;
            destroy_frame(job);
            lock.lock();
            ++finishing_;  // Before anybody knows that the job has ended, and begins another.
            lock.unlock();
            complete_task(job, core_);
            lock.lock();
            --finishing_;
            continue;
        }
        if (closed_) {
            break;
        }
        ++idle_;
        const auto woken = work_.wait_for(lock, kIdleTime, [this] { return closed_ || !jobs_.empty(); });
        --idle_;
        if (woken) {
            continue;
        }
        // Those that left before are joined here: submit() never waits for what a thread's own end may run.
        Threads to_join;
        to_join.splice(to_join.end(), ended_);
        lock.unlock();
        for (auto& thread : to_join) {
            thread.join();
        }
        lock.lock();
        if (jobs_.empty()) {
            break;
        }
    }
    ended_.splice(ended_.end(), threads_, self);
    left_.notify_all();
}

void BlockingPool::close() noexcept {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    work_.notify_all();
}

void BlockingPool::drop() noexcept {
    WorkList dropped;
    {
        const std::lock_guard lock(mutex_);
        while (auto* item = jobs_.pop_front()) {
            dropped.push_back(item);
        }
    }
    while (auto* item = dropped.pop_front()) {
        auto* job = static_cast<TaskHeader*>(item);
        destroy_frame(job);
        job->outcome = Outcome::Canceled;
        complete_task(job, core_);
    }
}

void BlockingPool::join() noexcept {
    Threads to_join;
    {
        std::unique_lock lock(mutex_);
        left_.wait(lock, [this] { return threads_.empty(); });
        to_join.splice(to_join.end(), ended_);
    }
    for (auto& thread : to_join) {
        thread.join();
    }
}

bool BlockingPool::on_pool_thread() const noexcept {
    return current_pool == this;
}

}  // namespace spargio::detail
