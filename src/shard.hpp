// SPDX-License-Identifier: MIT
// Shard: one thread, one driver, its queues, its tasks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>

#include "adaptive_spin.hpp"
#include "counter.hpp"
#include "driver.hpp"
#include "inbox.hpp"
#include "live_list.hpp"
#include "mailbox.hpp"
#include "park_state.hpp"
#include "runtime_core.hpp"
#include "spargio/detail/task_header.hpp"
#include "spargio/detail/timer_queue.hpp"
#include "spargio/detail/work_item.hpp"
#include "spargio/shard_ctx.hpp"
#include "spargio/shard_id.hpp"
#include "steal_deque.hpp"
#include "steal_queue.hpp"

namespace spargio::detail {

/// Written by the shard's thread only, read by stats_snapshot().
struct ShardCounters {
    Counter spawned_pinned;      // Accepted pinned spawns of this shard for itself, forks on one shard among them.
    Counter spawned_stealable;   // Accepted stealable spawns of this shard, forks among them.
    Counter begun_pinned;        // Pinned tasks whose first step ran here, or that were destroyed before it.
    Counter ended;               // Tasks that ended here, destroyed ones included.
    Counter stealable_executed;  // Stealable tasks whose first step ran here.
    Counter stealable_stolen;
    Counter steal_attempts;
    Counter steal_successes;
    Counter doorbells_rung;
    Counter parks;
    Counter late_wakes;
    Counter timers_fired;
    Counter cq_overflows;
    Counter native_begun;  // Operations that came to this shard's ring.
    Counter native_ended;  // Those whose last completion has come.
    Counter native_affinity_violations;
    Counter messages_sent;     // Accepted from tasks of this shard.
    Counter messages_refused;  // For want of room.
};

/// What a shard's thread is at.
enum class Attention : std::uint8_t {
    Work,
    Glance,  // Idle, and looks at `stealable` until it says otherwise: who puts something there wakes nobody.
    Search,  // Idle, and looks at what others have (AsymmetricFence: it seeks), or sleeps.
};

/// On pages of its own, and what each turn looks at on the first of them: where a system call empties the TLB, each
/// page that is touched after it costs some 20 ns.
class alignas(4096) Shard final : public Executor {
public:
    Shard(RuntimeCore& runtime, ShardId number);
    Shard(const Shard&) = delete;
    Shard& operator=(const Shard&) = delete;
    ~Shard();

    // Any thread.
    const ShardId id;
    Inbox inbox;
    ParkState park_state;
    // Half of two handshakes, as the park word is: sequentially consistent. Also a look at it acquires what the shard
    // has taken from others while it sought.
    alignas(cache_line) atomic<Attention> attention{Attention::Work};
    Counter searches;      // How often it has sought work.
    StealQueue stealable;  // Stealable tasks from other threads, and those that yielded: oldest first.
    StealDeque deque;  // Stealable tasks that steps of this shard have made or woken; its owner's end is this thread.
    std::unique_ptr<Driver> driver;  // Set before start() returns, until all threads are joined.
    // The shutdown's flag: a part of what a parking shard looks at, so it is sequentially consistent like the queues.
    atomic<bool> stopping{false};

    // The shard's thread.
    WorkList ready;
    TaskHeader* next = nullptr;          // Set in a step, to run as soon as it has ended. Nobody else sees it.
    Mailbox mailbox;                     // But for what its sources call.
    Lane* unpublished = nullptr;         // The lanes that hold staged messages of this shard.
    bool within_step = false;            // Completions are reaped inside a step, which may go on for long.
    bool bells_to_settle = false;        // A bell was rung since the last flush().
    std::size_t events_in_step = 0;      // And requests of boundary channels.
    std::uint64_t spare_references = 0;  // To the core; see core_acquire().
    LiveList pinned_live;
    LiveList doomed;                    // Shutdown: the unfinished tasks this shard has to destroy.
    std::size_t waits_handed_over = 0;  // Ended waits whose tasks wait for a stop message on its way here.
    ShardCounters counters;
    ShardCtx ctx;

    // Stealable tasks end on any shard, so their list has a lock; it is almost never contended.
    std::mutex stealable_live_mutex;
    LiveList stealable_live;

    // A task that finds an event each time would never let others run.
    static constexpr std::size_t events_per_step = 256;
    // Then completions, timers and what other threads have brought have their turn.
    static constexpr unsigned items_per_turn = 64;
    // Of these one in so many is what has waited longest.
    static constexpr unsigned other_end_every = 8;

    /// From the thread's start until its tasks are gone; the driver exists.
    void run() noexcept;

    [[nodiscard]] RuntimeCore& runtime() const noexcept { return *core; }

    /// Pinned spawns accepted so far, whoever made them. Any thread.
    [[nodiscard]] std::uint64_t pinned_accepted() const noexcept {
        return counters.spawned_pinned.get() + inbox.accepted();
    }
    /// The same of stealable ones, but for what another shard accepted.
    [[nodiscard]] std::uint64_t stealable_accepted() const noexcept {
        return counters.spawned_stealable.get() + stealable.accepted();
    }
    /// Stealable tasks that wait here. Any thread.
    [[nodiscard]] std::size_t stealable_waiting() const noexcept { return stealable.size() + deque.size(); }

    /// Whether the stealable item in `stealable` has no other item beside it. If so it is the next that this shard
    /// takes from now on, whatever arrives meanwhile, and no other shard need be woken for it. (tests/models/steal.pml,
    /// ALONE)
    [[nodiscard]] bool takes_next_if_alone() noexcept {
        alone_ = ready.empty() && stolen_ == nullptr && stealable.size() <= 1 && deque.size() == 0 &&
                 core->overflow.size() == 0;
        return alone_;
    }

    /// A stealable task that was accepted long ago, or may not be refused, where thieves find it: the newest of the
    /// deque, or, when that is full, of the shared queue. The caller owes the wake. This shard's thread.
    void put_stealable(WorkItem* item) noexcept;

    /// What other threads have brought.
    void take_inbox() noexcept {
        inbox.take_all(ready);
        inbox_time_ = clock::time_point::min();
    }
    /// A message that this thread has for its own shard: as if it had been in the inbox.
    void take_own(WorkItem* message) noexcept {
        ready.push_back(message);
        inbox_time_ = clock::time_point::min();
    }
    /// A time (timer_now()) after all that has been taken from the inbox, and take_own() has brought, had come. The
    /// clock is read once for each of them at most.
    [[nodiscard]] clock::time_point inbox_time() noexcept;

    void count_begin(const TaskHeader* task) noexcept {
        Counter& begun = task->kind == TaskKind::Pinned ? counters.begun_pinned : counters.stealable_executed;
        begun.add();
    }
    /// At the end of an item: the next of the turn, if run_items() would take it out of the deque; all that lies there
    /// are tasks. Else null.
    [[nodiscard]] TaskHeader* next_of_turn() noexcept {
        if (!ready.empty() || turn_ + 1 == chain_end_ || !inbox.empty() || stopping.load(std::memory_order_relaxed)) {
            return nullptr;
        }
        WorkItem* item = deque.pop();
        if (item != nullptr) {
            ++turn_;
        }
        return static_cast<TaskHeader*>(item);
    }
    /// Most tasks end in their first step. Those that are about to suspend are taken into the lists that a shutdown
    /// walks (list_before_suspending()), and out of them at their end; until then nobody but this shard can reach a
    /// task, and a shutdown waits for the end of the step. One that waits for its forked children is listed when
    /// its wait is armed (arm_forks_above()); until then they lead to it.
    void list(TaskHeader* task) noexcept;
    void unlist(TaskHeader* task) noexcept;

    /// src/worker_loop.cpp: who has waited longest for a message, or null.
    [[nodiscard]] EventWait* next_waiter() noexcept;
    /// The same file: wakes the tasks that wait for the messages that have been noticed.
    void serve_waiters() noexcept;

    /// src/send.cpp: lets the targets see what this shard has staged, and wakes them.
    void publish(Lane& lane) noexcept;
    void publish_messages() noexcept;

private:
    // src/shutdown.cpp
    void end() noexcept;
    void end_waits() noexcept;
    void end_tasks() noexcept;
    void wait_for_arrivals() noexcept;

    // src/worker_loop.cpp
    [[nodiscard]] bool something_of_its_own() const noexcept;
    void run_items() noexcept;
    [[nodiscard]] WorkItem* next_item() noexcept;
    [[nodiscard]] WorkItem* longest_waiting() noexcept;
    [[nodiscard]] WorkItem* oldest_in_deque() noexcept;
    /// Not each time that it looks at the other queues: where steps are long the oldest may always be due.
    [[nodiscard]] bool looks_at_oldest(unsigned item) const noexcept {
        return item == other_end_every || (long_steps_ && item % (2 * other_end_every) != 0);
    }
    void take_arrivals() noexcept;
    void fire_timers() noexcept;

    // src/idle.cpp
    void idle() noexcept;
    [[nodiscard]] bool something_arrived() noexcept;
    [[nodiscard]] bool something_to_do(bool searcher) noexcept;
    [[nodiscard]] bool deadline_passed() const noexcept;
    void park() noexcept;
    void look_for_lost_wakes() noexcept;
    void resume_from_park() noexcept;
    void search() noexcept;
    void begin_search() noexcept;
    [[nodiscard]] bool sees_deque(const Shard& other) const noexcept;
    [[nodiscard]] bool something_to_steal_at(const Shard& victim) const noexcept;
    [[nodiscard]] bool something_to_steal() const noexcept;
    void spare_fences() noexcept;

    // src/steal.cpp
    [[nodiscard]] bool steal() noexcept;
    [[nodiscard]] bool steal_from(Shard& victim) noexcept;
    [[nodiscard]] std::size_t most_at_once() const noexcept;
    [[nodiscard]] WorkItem* take_overflow() noexcept;
    [[nodiscard]] WorkItem* keep(std::span<WorkItem* const> batch) noexcept;

    WorkItem* stolen_ = nullptr;  // Runs next; between a steal and the next turn only.
    std::uint64_t turns_ = 0;
    unsigned turn_ = 0;       // The item of the turn that runs: from 0 to before items_per_turn.
    unsigned chain_end_ = 0;  // The item that is not taken out of the deque without a look at the other queues.
    bool alone_ = false;      // See takes_next_if_alone().
    clock::time_point inbox_time_ = clock::time_point::min();  // min(): the clock was not read since then.
    clock::time_point oldest_since_{};  // Since when the deque's oldest may have waited; nothing if it was empty.
    clock::time_point turn_looked_at_{};
    bool long_steps_ = false;          // Between the last two such looks.
    bool sees_all_deques_ = true;      // The barrier of this search was granted. Else:
    std::uint64_t awaited_ = 0;        // What an owner must have acknowledged.
    std::uint64_t fenced_pushes_ = 0;  // At the last look whether fences can be left out.
    std::uint64_t searches_ = 0;       // Of all shards, and when that was looked at.
    clock::time_point searches_read_at_{};
    AdaptiveSpin spin_;
    RandomSource random_;

public:
    TimerQueue timers;  // The shard's thread. Last: its slots are 16 KiB.
};

/// Makes `shard` the calling thread's current one, or none.
void set_current_shard(Shard* shard) noexcept;

}  // namespace spargio::detail
