// SPDX-License-Identifier: MIT
// What hashing all files gives, whoever did it.
#pragma once

#include "hash.hpp"
#include "totals.hpp"

#include <spargio/result.hpp>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <vector>

namespace tree_digest {

struct Pass {
    std::vector<spargio::Result<FileDigest>>
        digests;  ///< in the order of the files; an error for what could not be read
    Table table;
    std::vector<std::uint64_t> files_per_worker;
    std::chrono::duration<double> elapsed{};
    std::chrono::duration<double>
        cpu{};  ///< of all threads: tells more than `elapsed` where other programs run as well

    bool same_result(const Pass& other) const { return digests == other.digests && table == other.table; }
};

/// Takes the time from its construction to `stop`.
class Stopwatch {
public:
    void stop(Pass& pass) const {
        pass.elapsed = std::chrono::steady_clock::now() - start_;
        pass.cpu = std::chrono::duration<double>(static_cast<double>(std::clock() - cpu_start_) / CLOCKS_PER_SEC);
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::clock_t cpu_start_ = std::clock();  // of the process: every thread counts
};

}  // namespace tree_digest
