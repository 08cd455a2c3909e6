// SPDX-License-Identifier: MIT
// Runs the same work on a few plain threads, which no runtime knows of.
#pragma once

#include <exception>
#include <thread>
#include <vector>

namespace tree_digest {

/// Calls `work(0)` ... `work(count - 1)`, each on a thread of its own, and waits for all of them. What a thread throws
/// is rethrown here when all have ended: `work` may use the caller's locals.
template <class Work>
void on_plain_threads(unsigned count, const Work& work) {
    std::vector<std::exception_ptr> thrown(count);
    {
        std::vector<std::jthread> threads;  // a std::thread that joins, also when starting the next one throws
        threads.reserve(count);
        for (unsigned i = 0; i < count; ++i) {
            threads.emplace_back([&work, &exception = thrown[i], i] {
                try {
                    work(i);
                } catch (...) {
                    exception = std::current_exception();
                }
            });
        }
    }
    for (const std::exception_ptr& exception : thrown) {
        if (exception) {
            std::rethrow_exception(exception);
        }
    }
}

}  // namespace tree_digest
