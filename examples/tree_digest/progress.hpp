// SPDX-License-Identifier: MIT
// One line on the terminal that says how far the work is.
#pragma once

#include <atomic>
#include <cstddef>
#include <stop_token>
#include <string>
#include <thread>

namespace tree_digest {

/// Shows "what: done of total" on stderr while it lives, and leaves no trace of it. Nothing at all where stderr is no
/// terminal: a log file wants no progress. `add` may be called from any thread.
class ProgressLine {
public:
    ProgressLine(std::string what, std::size_t total);
    ~ProgressLine();
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    void add(std::size_t files) noexcept { done_.fetch_add(files, std::memory_order_relaxed); }

private:
    void show_until(const std::stop_token& stop) const;

    const std::string what_;
    const std::size_t total_;
    std::atomic<std::size_t> done_ = 0;
    std::jthread thread_;  // last: it uses the others
};

}  // namespace tree_digest
