// SPDX-License-Identifier: MIT
// Tracker: an object that notes where and when it was destroyed.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backend_test.hpp"

namespace spargio::test {

/// One destruction.
struct Ended {
    std::string name;
    ShardId shard;  // external_sender: on a thread that is no shard
    std::thread::id thread;
};

/// What trackers write to. Outlives them.
class EndLog {
public:
    void note(std::string name) {
        const std::lock_guard lock(mutex_);
        ended_.push_back({std::move(name), shard_here(), std::this_thread::get_id()});
    }

    [[nodiscard]] std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return ended_.size();
    }

    /// In the order of their ends.
    [[nodiscard]] std::vector<Ended> all() const {
        const std::lock_guard lock(mutex_);
        return ended_;
    }

    [[nodiscard]] std::vector<std::string> names() const {
        std::vector<std::string> result;
        for (const auto& ended : all()) {
            result.push_back(ended.name);
        }
        return result;
    }

    /// How many ended on that shard.
    [[nodiscard]] std::size_t on_shard(ShardId shard) const {
        std::size_t count = 0;
        for (const auto& ended : all()) {
            count += ended.shard == shard ? 1 : 0;
        }
        return count;
    }

private:
    mutable std::mutex mutex_;
    std::vector<Ended> ended_;
};

/// Move-only; what was moved from notes nothing.
class Tracker {
public:
    explicit Tracker(EndLog& log, std::string name = {}) : log_(&log), name_(std::move(name)) {}
    Tracker(Tracker&& other) noexcept : log_(std::exchange(other.log_, nullptr)), name_(std::move(other.name_)) {}
    Tracker& operator=(Tracker&&) = delete;
    Tracker(const Tracker&) = delete;
    Tracker& operator=(const Tracker&) = delete;
    ~Tracker() {
        if (log_ != nullptr) {
            log_->note(std::move(name_));
        }
    }

private:
    EndLog* log_;
    std::string name_;
};

}  // namespace spargio::test
