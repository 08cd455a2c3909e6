// SPDX-License-Identifier: MIT
// A ledger of tasks: every callable and every frame that was made is gone, once, on the right thread, children first.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "spargio/config.hpp"
#include "support/process_gauges.hpp"

namespace spargio::test {

/// Where a thread belongs, told by its name: a runtime of these tests has the thread_prefix "A" or "B".
struct Place {
    static constexpr int foreign = -1;
    static constexpr int any = -2;

    int runtime = foreign;
    int shard = foreign;

    [[nodiscard]] static Place here() {
        const std::string name = thread_name();
        Place place;
        if (name.size() >= 3 && (name[0] == 'A' || name[0] == 'B') && name[1] == '-' && name[2] >= '0' &&
            name[2] <= '9') {
            place.runtime = name[0] - 'A';
            place.shard = std::atoi(name.c_str() + 2);
        }
        return place;
    }
};

/// One task. Any thread writes, the checker reads when all is over; atomic so that a missing happens-before is the
/// library's failure and not the ledger's.
struct TaskRecord {
    // Set before the task is spawned.
    int runtime = Place::foreign;
    int shard = Place::any;   // The shard it is pinned to, if it is known.
    bool on_shard = true;     // False for blocking jobs.
    bool stays = true;        // Pinned: every step on one shard.
    TaskRecord* root = this;  // The spawned task that it runs under: a stop request is that one's.

    std::atomic<bool> refused{false};
    std::atomic<bool> stop_requested{false};
    std::atomic<int> callables_gone{0};
    std::atomic<int> callable_end{Place::any};  // The shard where it went, or foreign.
    std::atomic<int> callable_end_runtime{Place::any};
    std::atomic<int> frames_made{0};
    std::atomic<int> frames_gone{0};
    std::atomic<int> first_shard{Place::any};
    std::atomic<int> wrong_place{0};
    std::atomic<int> wrong_order{0};

    void check_here() {
        const Place place = Place::here();
        if (!on_shard) {
            return;
        }
        if (place.runtime != runtime || (shard != Place::any && place.shard != shard)) {
            ++wrong_place;
        }
        int expected = Place::any;
        if (stays && !first_shard.compare_exchange_strong(expected, place.shard) && expected != place.shard) {
            ++wrong_place;
        }
    }
};

/// What a spawn takes over: it ends with the task's parameters or the callable, started or not.
class Token {
public:
    explicit Token(TaskRecord& record) noexcept : record_(&record) {}
    Token(Token&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
    Token(const Token&) = delete;
    Token& operator=(const Token&) = delete;
    Token& operator=(Token&&) = delete;
    ~Token() {
        if (record_ != nullptr) {
            const Place place = Place::here();
            record_->callable_end_runtime = place.runtime;
            record_->callable_end = place.shard;
            ++record_->callables_gone;
        }
    }

private:
    TaskRecord* record_;
};

/// The first local of a task's body.
class FrameGuard {
public:
    FrameGuard(TaskRecord& record, FrameGuard* parent) : record_(record), parent_(parent) {
        ++record_.frames_made;
        record_.check_here();
        if (parent_ != nullptr) {
            ++parent_->children_;
        }
    }
    FrameGuard(const FrameGuard&) = delete;
    FrameGuard& operator=(const FrameGuard&) = delete;
    ~FrameGuard() {
        if (canary_ != kAlive) {
            std::abort();  // Destroyed twice, or written over: nothing that follows would make sense.
        }
        canary_ = kGone;
        record_.check_here();
        if (children_ != 0) {
            ++record_.wrong_order;
        }
        if (parent_ != nullptr) {
            --parent_->children_;
        }
        ++record_.frames_gone;
    }

    [[nodiscard]] TaskRecord& record() const noexcept { return record_; }

private:
    static constexpr unsigned kAlive = 0xA11FEu;
    static constexpr unsigned kGone = 0xDEADu;

    TaskRecord& record_;
    FrameGuard* parent_;
    int children_ = 0;  // Awaited directly: the same thread.
    volatile unsigned canary_ = kAlive;
};

/// Around the join of a child of the same runtime. If the joiner's frame is destroyed in the middle of it, the child
/// must have gone before, unless the joiner had been stopped, which takes it out of the join.
class JoinScope {
public:
    JoinScope(TaskRecord& joiner, const TaskRecord& child) noexcept : joiner_(joiner), child_(child) {}
    JoinScope(const JoinScope&) = delete;
    JoinScope& operator=(const JoinScope&) = delete;
    ~JoinScope() {
        if (!returned_ && !joiner_.root->stop_requested && child_.callables_gone == 0) {
            ++joiner_.wrong_order;
        }
    }
    void returned() noexcept { returned_ = true; }

private:
    TaskRecord& joiner_;
    const TaskRecord& child_;
    bool returned_ = false;
};

/// The tasks of one run.
class TaskLedger {
public:
    static constexpr std::size_t capacity = 1024;

    /// nullptr when the run has had tasks enough.
    [[nodiscard]] TaskRecord* open() noexcept {
        const auto index = used_.fetch_add(1);
        return index < capacity ? &(*records_)[index] : nullptr;
    }

    [[nodiscard]] std::size_t size() const noexcept { return used_ < capacity ? used_.load() : capacity; }

    /// All frames and callables are gone. For a shutdown that nobody can wait for.
    [[nodiscard]] bool quiet() const noexcept {
        for (std::size_t i = 0; i < size(); ++i) {
            const TaskRecord& task = (*records_)[i];
            if (task.callables_gone == 0 || task.frames_gone != task.frames_made) {
                return false;
            }
        }
        return true;
    }

    /// Empty, or what is wrong with the first task that something is wrong with.
    [[nodiscard]] std::string verdict() const {
        for (std::size_t i = 0; i < size(); ++i) {
            if (const std::string fault = fault_of((*records_)[i]); !fault.empty()) {
                return "task " + std::to_string(i) + " of " + std::to_string(size()) + ": " + fault;
            }
        }
        return {};
    }

private:
    [[nodiscard]] static std::string fault_of(const TaskRecord& task) {
        if (task.callables_gone != 1) {
            return "its callable ended " + std::to_string(task.callables_gone) + " times";
        }
        if (task.frames_made > 1 || task.frames_gone != task.frames_made) {
            return std::to_string(task.frames_made) + " frames made, " + std::to_string(task.frames_gone) +
                   " destroyed";
        }
        if (task.wrong_place != 0) {
            return "ran or was destroyed on a wrong thread";
        }
        if (task.wrong_order != 0) {
            return "was destroyed before what it awaited";
        }
        if (!task.refused && task.on_shard &&
            (task.callable_end_runtime != task.runtime ||
             (task.shard != Place::any && task.callable_end != task.shard))) {
            return "its callable was destroyed on a wrong thread (" + std::to_string(task.callable_end_runtime) + "/" +
                   std::to_string(task.callable_end) + " instead of " + std::to_string(task.runtime) + "/" +
                   std::to_string(task.shard) + ")";
        }
        return {};
    }

    std::atomic<std::size_t> used_{0};
    std::unique_ptr<std::array<TaskRecord, capacity>> records_ = std::make_unique<std::array<TaskRecord, capacity>>();
};

}  // namespace spargio::test
