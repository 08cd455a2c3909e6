// SPDX-License-Identifier: MIT
// Starting a runtime's shards; references, statistics, the hook.
#include "runtime_core.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "adaptive_spin.hpp"
#include "common_capabilities.hpp"
#include "membarrier.hpp"
#include "process_fork.hpp"
#include "queue_driver.hpp"
#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/error.hpp"
#include "uring_driver.hpp"

namespace spargio::detail {

namespace {

/// Short enough to need no memory itself.
BuildFailure no_memory() noexcept {
    return {std::make_error_code(std::errc::not_enough_memory), "out of memory"};
}

/// What `body` returns; where memory runs out on the way, that.
template <class F>
std::optional<BuildFailure> failure_or_no_memory(F&& body) noexcept {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return no_memory();
    }
}

}  // namespace

/// Where the starting shards and the builder meet: each shard reports, then waits for the verdict. Shared, since the
/// builder goes on without waiting until each shard has read the verdict.
class StartGate {
public:
    enum class Verdict : std::uint8_t { Open, Go, Abort };

    Verdict report(std::optional<BuildFailure> failure, const Capabilities& capabilities) noexcept {
        std::unique_lock lock(mutex_);
        if (!failure) {
            failure = failure_or_no_memory([&]() -> std::optional<BuildFailure> {
                if (!common_) {
                    common_ = capabilities;
                } else {
                    keep_common(*common_, capabilities);
                }
                return std::nullopt;
            });
        }
        if (failure && !failure_) {
            failure_ = std::move(failure);
        }
        reported_.fetch_add(1, std::memory_order_release);
        changed_.notify_all();
        wait(lock, [this] { return verdict_.load(std::memory_order_acquire) != Verdict::Open; });
        return verdict_.load(std::memory_order_relaxed);
    }

    /// Waits for all reports. Where there was no failure, `capabilities` becomes what all shards have in common before
    /// any of them goes on.
    std::optional<BuildFailure> decide(std::size_t started, bool all_started, Capabilities& capabilities) noexcept {
        std::unique_lock lock(mutex_);
        wait(lock, [&] { return reported_.load(std::memory_order_acquire) == started; });
        const auto verdict = all_started && !failure_ ? Verdict::Go : Verdict::Abort;
        if (verdict == Verdict::Go) {
            capabilities = *std::move(common_);
        }
        verdict_.store(verdict, std::memory_order_release);
        changed_.notify_all();
        return std::move(failure_);
    }

private:
    /// Spins first: all this takes some fifty microseconds, and a blocked thread is woken in as many.
    template <class Ready>
    void wait(std::unique_lock<std::mutex>& lock, Ready&& ready) noexcept {
        lock.unlock();
        AdaptiveSpin spin(std::chrono::microseconds(100));
        static_cast<void>(spin.spin(ready));
        lock.lock();
        changed_.wait(lock, ready);
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<BuildFailure> failure_;
    std::optional<Capabilities> common_;
    // Written under the lock, read without while spinning; what they publish is read under the lock.
    atomic<std::size_t> reported_{0};
    atomic<Verdict> verdict_{Verdict::Open};
};

namespace {

constexpr std::uint64_t kReferencesAtATime = 1024;

std::optional<BuildFailure> set_affinity(const RuntimeOptions& options, ShardId shard) {
    if (options.thread_affinity.empty()) {
        return std::nullopt;
    }
    const auto cpu = options.thread_affinity[shard % options.thread_affinity.size()];
    const auto cpus = static_cast<std::size_t>(cpu) + 1;
    int error = EINVAL;
    if (cpu < 65536) {
        if (cpu_set_t* set = CPU_ALLOC(cpus)) {
            const auto bytes = CPU_ALLOC_SIZE(cpus);
            CPU_ZERO_S(bytes, set);
            CPU_SET_S(cpu, bytes, set);
            error = pthread_setaffinity_np(pthread_self(), bytes, set);
            CPU_FREE(set);
        } else {
            error = ENOMEM;
        }
    }
    if (error == 0) {
        return std::nullopt;
    }
    return BuildFailure{std::error_code(error, std::system_category()),
                        "thread_affinity: CPU " + std::to_string(cpu) +
                            " cannot be set; name CPUs that exist and that this process may use (taskset -p)"};
}

void default_unhandled(const std::exception_ptr& error) noexcept {
    const char* what = "of a type that is no std::exception";
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& known) {
        what = known.what();
        std::fprintf(stderr, "spargio: an exception left a task that nobody joins: %s\n", what);
        std::terminate();
    } catch (...) {
        std::fprintf(stderr, "spargio: an exception left a task that nobody joins, %s\n", what);
        std::terminate();
    }
}

AsymmetricFence::Policy fence_policy(std::size_t shards) noexcept {
    if (shards == 1) {
        return AsymmetricFence::Policy::Light;
    }
    const bool there = membarrier_is_there() && membarrier_all();  // It may be denied since.
    return there ? AsymmetricFence::Policy::Adaptive : AsymmetricFence::Policy::Symmetric;
}

}  // namespace

// On a shard of the runtime, references come from a stock that it keeps: handles and tickets are copied at the rate of
// messages, and a counter that all shards write would cost more than the message.

void core_acquire(RuntimeCore* core) noexcept {
    Shard* here = shard_in(*core);
    if (here == nullptr) {
        core->references_.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    if (here->spare_references == 0) {
        core->references_.fetch_add(kReferencesAtATime, std::memory_order_relaxed);
        here->spare_references = kReferencesAtATime;
    }
    --here->spare_references;
}

void core_release(RuntimeCore* core) noexcept {
    if (Shard* here = shard_in(*core)) {
        // Never the last one: the shard's thread holds one to its end.
        if (++here->spare_references == 2 * kReferencesAtATime) {
            here->spare_references = kReferencesAtATime;
            core->references_.fetch_sub(kReferencesAtATime, std::memory_order_release);
        }
        return;
    }
    if (core->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete core;
    }
}

std::uint64_t core_id(const RuntimeCore* core) noexcept {
    return core->id;
}

RuntimeCore::RuntimeCore(RuntimeOptions complete)
    : id(next_runtime_id()),
      options(std::move(complete)),
      blocking(*this, *options.blocking_threads, options.blocking_queue_capacity),
      fence(fence_policy(*options.shards)),
      process_(getpid()) {}

RuntimeCore::~RuntimeCore() = default;

std::optional<BuildFailure> RuntimeCore::start() {
    if (options.backend == BackendKind::Queue) {
        return start_shards(BackendKind::Queue);
    }
    auto failure = start_shards(BackendKind::IoUring);
    // A ring that cannot be had is a reason to fall back; a thread, or an option the user insisted on, is not.
    const bool ring_refused = failure && failure->code == RuntimeError::IoUringInit;
    if (!ring_refused || options.backend == BackendKind::IoUring || insists_on_ring(options)) {
        return failure;
    }
    auto reason = std::move(failure->sentence);
    failure = start_shards(BackendKind::Queue);
    capabilities.fallback_reason = std::move(reason);
    return failure;
}

std::optional<BuildFailure> RuntimeCore::start_shards(BackendKind kind) {
    backend = kind;
    shards.clear();
    for (std::size_t i = 0; i < *options.shards; ++i) {
        shards.push_back(std::make_unique<Shard>(*this, static_cast<ShardId>(i)));
    }
    threads_.reserve(shards.size());
    const auto gate = std::make_shared<StartGate>();
    // From the first thread on, whatever goes wrong, no exception may pass before all of them are joined.
    auto failure = start_threads(gate);
    if (auto reported = gate->decide(threads_.size(), !failure, capabilities); !failure) {
        failure = std::move(reported);
    }
    if (failure) {
        for (auto& thread : threads_) {
            thread.join();
        }
        threads_.clear();
        shards.clear();
    }
    return failure;
}

std::optional<BuildFailure> RuntimeCore::start_threads(const std::shared_ptr<StartGate>& gate) noexcept {
    const SignalsBlocked blocked;
    for (auto& shard : shards) {
        try {
            threads_.emplace_back([this, gate, &shard = *shard]() noexcept { shard_main(shard, *gate); });
        } catch (const std::system_error& error) {
            return failure_or_no_memory([&] {
                return BuildFailure{RuntimeError::ThreadSpawn,
                                    "shards: thread " + std::to_string(threads_.size()) + " of " +
                                        std::to_string(shards.size()) + " could not be started (" +
                                        error.code().message() +
                                        "); ask for fewer shards or raise the limits (ulimit -u, pids cgroup)"};
            });
        } catch (const std::bad_alloc&) {
            return no_memory();
        }
    }
    return std::nullopt;
}

void RuntimeCore::shard_main(Shard& shard, StartGate& gate) noexcept {
    const CoreRef keep(this);
    name_this_thread(options.thread_prefix, "-", shard.id);
    Capabilities own;
    own.backend = backend;
    auto failure = failure_or_no_memory([&] {
        auto refused = set_affinity(options, shard.id);
        if (!refused && backend == BackendKind::IoUring) {
            refused = make_uring_driver(shard, own);
        } else if (!refused) {
            shard.driver = std::make_unique<QueueDriver>(shard);
        }
        if (fence.policy() == AsymmetricFence::Policy::Symmetric) {
            own.notes.push_back(
                "membarrier: denied or unknown to the kernel; shards order what they fork by full fences");
        }
        return refused;
    });
    if (gate.report(std::move(failure), own) == StartGate::Verdict::Abort) {
        shard.driver.reset();
        return;
    }
    shard.run();
    references_.fetch_sub(shard.spare_references, std::memory_order_release);
    shard.driver->leave_thread();
    if (shard.id == 0 && finish_on_first_shard.load(std::memory_order_acquire)) {
        finish_shutdown();
    }
}

void RuntimeCore::report_unhandled(std::exception_ptr error) noexcept {
    if (phase() == Phase::Closing) {
        return;  // What a shutdown destroys is not reported.
    }
    if (options.on_unhandled_exception) {
        options.on_unhandled_exception(std::move(error));
    } else {
        default_unhandled(error);
    }
}

RuntimeStats RuntimeCore::stats() const {
    RuntimeStats stats;
    stats.tasks_live = live_tasks();
    for (const auto& shard : shards) {
        const auto& counters = shard->counters;
        const auto begun = counters.begun_pinned.get();  // Before the spawns, for the same reason.
        const auto pinned = shard->pinned_accepted();
        stats.shard_command_depths.push_back((pinned > begun ? pinned - begun : 0) + shard->stealable_waiting());
        stats.spawn_pinned_submitted += pinned;
        stats.spawn_stealable_submitted += shard->stealable_accepted();
        stats.stealable_executed += counters.stealable_executed.get();
        stats.stealable_stolen += counters.stealable_stolen.get();
        stats.doorbells_rung += counters.doorbells_rung.get();
        stats.steal_attempts += counters.steal_attempts.get();
        stats.steal_successes += counters.steal_successes.get();
        stats.parks += counters.parks.get();
        stats.late_wakes += counters.late_wakes.get();
        stats.timers_fired += counters.timers_fired.get();
        stats.cq_overflows += counters.cq_overflows.get();
        stats.native_affinity_violations += counters.native_affinity_violations.get();
        const auto ended = counters.native_ended.get();  // Before those that began: never more.
        stats.pending_native_ops += counters.native_begun.get() - ended;
        stats.ring_msgs_completed += shard->mailbox.seen();
        stats.ring_msgs_failed += shard->mailbox.failed();
        stats.ring_msgs_backpressure += counters.messages_refused.get();
    }
    for (const auto& shard : shards) {  // After those that were seen: never fewer.
        stats.ring_msgs_submitted += shard->counters.messages_sent.get() + shard->mailbox.foreign_accepted();
    }
    stats.ring_msgs_backpressure += foreign_messages_refused.load(std::memory_order_relaxed);
    stats.spawn_stealable_submitted += overflow.accepted();
    stats.doorbells_rung += foreign_bells.load(std::memory_order_relaxed);
    return stats;
}

/// Tasks accepted less tasks ended. Both move while they are read: read in this order the difference is never too
/// small, and too large by what ended meanwhile, which is much only if this thread lost its CPU: the least of a few.
std::uint64_t RuntimeCore::live_tasks() const noexcept {
    auto least = ~std::uint64_t{0};
    for (int look = 0; look < 3 && least != 0; ++look) {
        std::uint64_t ended = 0;
        for (const auto& shard : shards) {
            ended += shard->counters.ended.get();
        }
        std::uint64_t accepted = overflow.accepted();
        for (const auto& shard : shards) {
            accepted += shard->pinned_accepted() + shard->stealable_accepted();
        }
        least = std::min(least, accepted > ended ? accepted - ended : 0);
    }
    return least;
}

}  // namespace spargio::detail
