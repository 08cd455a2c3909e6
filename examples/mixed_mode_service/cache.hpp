// SPDX-License-Identifier: MIT
// What has been counted before. Each shard has a cache of its own, and each path a shard, so there is no lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <spargio/shard_id.hpp>

#include "files.hpp"

namespace mixed_mode_service {

/// Of one shard, and touched only there. The oldest entry goes when it is full.
class CountCache {
public:
    static constexpr std::size_t most_entries = 1024;

    /// What was counted in this version of the file.
    [[nodiscard]] std::optional<std::uint64_t> find(const std::string& key, const FileVersion& version) {
        const auto found = entries_.find(key);
        if (found == entries_.end() || !(found->second.version == version)) {
            return std::nullopt;
        }
        return found->second.count;
    }

    void insert(const std::string& key, const FileVersion& version, std::uint64_t count) {
        const auto [entry, is_new] = entries_.insert_or_assign(key, Entry{version, count});
        if (is_new) {
            order_.push_back(&entry->first);
            if (order_.size() > most_entries) {
                entries_.erase(*order_.front());
                order_.pop_front();
            }
        }
    }

private:
    struct Entry {
        FileVersion version;
        std::uint64_t count;
    };

    std::unordered_map<std::string, Entry> entries_;
    std::list<const std::string*> order_;
};

/// One for each shard, apart from the others in memory.
class Caches {
public:
    Caches() = default;
    explicit Caches(std::size_t shards) {
        for (std::size_t i = 0; i < shards; ++i) {
            caches_.push_back(std::make_unique<CountCache>());
        }
    }

    [[nodiscard]] CountCache& of(spargio::ShardId shard) const { return *caches_[shard]; }

private:
    std::vector<std::unique_ptr<CountCache>> caches_;
};

}  // namespace mixed_mode_service
