// SPDX-License-Identifier: MIT
// Files and bytes per directory: one map per worker, that only this worker touches, so none of them needs a lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tree_digest {

struct DirectoryTotal {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    bool operator==(const DirectoryTotal&) const = default;
};

/// The names point into the list of files, which outlives every map.
using DirectoryTotals = std::unordered_map<std::string_view, DirectoryTotal>;

struct DirectoryRow {
    std::string_view directory;
    DirectoryTotal total;
    bool operator==(const DirectoryRow&) const = default;
};

/// The path without its last component; "." for a path of one component, "/" for what lies in the root.
std::string_view directory_of(std::string_view path);

/// What each worker (a shard, or a thread of the plain pool) keeps for itself. No function locks anything: a call that
/// names a worker belongs on that worker; the others are for when all have ended.
class Books {
public:
    Books() = default;
    explicit Books(std::size_t workers) : workers_(workers) {}

    void count_file(std::size_t worker) { ++workers_[worker].files; }
    void add(std::size_t worker, std::string_view directory, std::uint64_t bytes);
    DirectoryTotals take_totals(std::size_t worker);

    std::vector<std::uint64_t> files_per_worker() const;

private:
    // A cache line each: neighbours that count at the same time must not slow each other down.
    struct alignas(64) Worker {
        DirectoryTotals totals;
        std::uint64_t files = 0;
    };
    std::vector<Worker> workers_;
};

/// The table of all directories, put together from what the workers have.
class Table {
public:
    void merge(const DirectoryTotals& part);

    DirectoryTotal sum() const;
    std::size_t size() const { return totals_.size(); }
    std::vector<DirectoryRow> largest(std::size_t count) const;  ///< by bytes, then by name
    bool operator==(const Table&) const = default;

private:
    DirectoryTotals totals_;
};

}  // namespace tree_digest
