// SPDX-License-Identifier: MIT
// Adding up, and sorting the result.
#include "totals.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace tree_digest {

std::string_view directory_of(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) {
        return ".";
    }
    return path.substr(0, std::max<std::size_t>(slash, 1));
}

void Books::add(std::size_t worker, std::string_view directory, std::uint64_t bytes) {
    DirectoryTotal& total = workers_[worker].totals[directory];
    ++total.files;
    total.bytes += bytes;
}

DirectoryTotals Books::take_totals(std::size_t worker) {
    return std::exchange(workers_[worker].totals, {});
}

std::vector<std::uint64_t> Books::files_per_worker() const {
    std::vector<std::uint64_t> files;
    for (const Worker& worker : workers_) {
        files.push_back(worker.files);
    }
    return files;
}

void Table::merge(const DirectoryTotals& part) {
    for (const auto& [directory, total] : part) {
        DirectoryTotal& mine = totals_[directory];
        mine.files += total.files;
        mine.bytes += total.bytes;
    }
}

DirectoryTotal Table::sum() const {
    DirectoryTotal sum;
    for (const auto& [directory, total] : totals_) {
        sum.files += total.files;
        sum.bytes += total.bytes;
    }
    return sum;
}

std::vector<DirectoryRow> Table::largest(std::size_t count) const {
    std::vector<DirectoryRow> rows;
    for (const auto& [directory, total] : totals_) {
        rows.push_back({directory, total});
    }
    std::sort(rows.begin(), rows.end(), [](const DirectoryRow& a, const DirectoryRow& b) {
        return std::tie(b.total.bytes, a.directory) < std::tie(a.total.bytes, b.directory);
    });
    rows.resize(std::min(rows.size(), count));
    return rows;
}

}  // namespace tree_digest
