// SPDX-License-Identifier: MIT
// A stack of directories that a few threads empty and refill until none is left and none is being listed.
#include "walk.hpp"

#include "threads.hpp"

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <utility>

namespace tree_digest {
namespace {

namespace fs = std::filesystem;

class Walker {
public:
    explicit Walker(fs::path root) { waiting_.push_back(std::move(root)); }

    /// What each thread of the pool runs.
    void work() {
        Tree found;  // the thread's own: the lock is taken once per directory, not once per file
        try {
            while (const std::optional<fs::path> directory = next_directory()) {
                done_with_directory(list(*directory, found));
            }
        } catch (...) {
            give_up();
            throw;
        }
        add(std::move(found));
    }

    Tree take() { return std::move(tree_); }

private:
    /// Adds the files of one directory to `found`, and returns the directories in it.
    static std::vector<fs::path> list(const fs::path& directory, Tree& found) {
        std::vector<fs::path> inner;
        std::error_code error;
        fs::directory_iterator entry(directory, error);
        for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
            // The symlink comes first: the other questions would be answered for its target.
            std::error_code unknown;
            if (entry->is_symlink(unknown)) {
                continue;
            }
            if (entry->is_directory(unknown)) {
                inner.push_back(entry->path());
            } else if (entry->is_regular_file(unknown)) {
                found.files.push_back(entry->path().native());
            } else if (unknown && unknown != std::errc::no_such_file_or_directory) {  // what has vanished is no failure
                found.failures.push_back({entry->path().native(), unknown});
            }
        }
        if (error) {
            found.failures.push_back({directory.native(), error});
        }
        return inner;
    }

    std::optional<fs::path> next_directory() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !waiting_.empty() || being_listed_ == 0; });
        if (waiting_.empty()) {
            return std::nullopt;
        }
        fs::path directory = std::move(waiting_.back());
        waiting_.pop_back();
        ++being_listed_;
        return directory;
    }

    void done_with_directory(std::vector<fs::path> inner) {
        {
            const std::lock_guard lock(mutex_);
            std::move(inner.begin(), inner.end(), std::back_inserter(waiting_));
            --being_listed_;
        }
        changed_.notify_all();
    }

    /// Lets the other threads end when this one cannot do its part.
    void give_up() {
        {
            const std::lock_guard lock(mutex_);
            waiting_.clear();
            --being_listed_;
        }
        changed_.notify_all();
    }

    void add(Tree found) {
        const std::lock_guard lock(mutex_);
        std::move(found.files.begin(), found.files.end(), std::back_inserter(tree_.files));
        std::move(found.failures.begin(), found.failures.end(), std::back_inserter(tree_.failures));
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<fs::path> waiting_;
    std::size_t being_listed_ = 0;  // while it is not 0, more directories may turn up
    Tree tree_;
};

}  // namespace

Tree walk(const std::string& root, unsigned threads) {
    std::error_code ignored;
    if (fs::is_regular_file(fs::symlink_status(root, ignored))) {
        return {.files = {root}, .failures = {}};
    }
    // Everything else goes the common way: opening it as a directory says what is wrong with it.
    Walker walker(root);
    on_plain_threads(threads, [&walker](unsigned) { walker.work(); });
    Tree tree = walker.take();
    std::sort(tree.files.begin(), tree.files.end());
    sort_by_path(tree.failures);
    return tree;
}

void sort_by_path(std::vector<Failure>& failures) {
    std::sort(failures.begin(), failures.end(), [](const Failure& a, const Failure& b) { return a.path < b.path; });
}

}  // namespace tree_digest
