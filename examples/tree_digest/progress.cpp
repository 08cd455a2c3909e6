// SPDX-License-Identifier: MIT
// A thread of its own rewrites the line ten times a second, so that the workers only count.
#include "progress.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <stop_token>
#include <utility>

#include <unistd.h>

namespace tree_digest {

ProgressLine::ProgressLine(std::string what, std::size_t total) : what_(std::move(what)), total_(total) {
    if (isatty(STDERR_FILENO) == 1) {
        thread_ = std::jthread([this](const std::stop_token& stop) { show_until(stop); });
    }
}

ProgressLine::~ProgressLine() {
    if (thread_.joinable()) {
        thread_.request_stop();
        thread_.join();
        std::fputs("\r\033[K", stderr);
    }
}

void ProgressLine::show_until(const std::stop_token& stop) const {
    std::mutex mutex;
    std::condition_variable_any stopped;
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
        std::fprintf(stderr, "\r\033[K%s: %zu of %zu files", what_.c_str(), done_.load(std::memory_order_relaxed),
                     total_);
        stopped.wait_for(lock, stop, std::chrono::milliseconds(100), [] { return false; });
    }
}

}  // namespace tree_digest
