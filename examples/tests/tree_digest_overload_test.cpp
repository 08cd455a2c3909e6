// SPDX-License-Identifier: MIT
// tree_digest's submitting threads against queues of one task, on shards that are busy until a spawn has been refused:
// still each file is hashed once.
#include "checks.hpp"
#include "plain_pass.hpp"
#include "progress.hpp"
#include "shard_pass.hpp"

#include <spargio/runtime_builder.hpp>
#include <spargio/runtime_handle.hpp>

#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <latch>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;

/// A folder with files of a few sizes.
class TemporaryFiles {
public:
    explicit TemporaryFiles(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            fs::create_directory(folder_.path / std::to_string(i % 7));
            paths_.push_back((folder_.path / std::to_string(i % 7) / std::to_string(i)).native());
            std::ofstream(paths_.back()) << std::string(i * 10, 'x');
        }
        paths_.push_back((folder_.path / "missing").native());
    }
    const std::vector<std::string>& paths() const { return paths_; }

private:
    Folder folder_;
    std::vector<std::string> paths_;
};

/// Returns when every shard is in a step that ends with the first refusal, so that there must be one; or after a time
/// that says that there is none.
void keep_busy(const spargio::RuntimeHandle& runtime, const std::atomic<std::uint64_t>& refused) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    std::latch busy(static_cast<std::ptrdiff_t>(runtime.shard_count()));
    for (std::size_t i = 0; i < runtime.shard_count(); ++i) {
        auto wait = [&busy, &refused, end] {
            busy.count_down();
            while (refused.load() == 0 && std::chrono::steady_clock::now() < end) {
                std::this_thread::yield();
            }
        };
        runtime.spawn_pinned(static_cast<spargio::ShardId>(i), std::move(wait)).detach();
    }
    busy.wait();
}

}  // namespace

int main() {
    const TemporaryFiles files(2000);
    tree_digest::ProgressLine progress("overload", files.paths().size());
    const tree_digest::Pass expected = tree_digest::hash_on_plain_threads(files.paths(), 2, progress);
    int failed = 0;
    for (const unsigned submitters : {1U, 4U}) {
        spargio::RuntimeBuilder builder;
        builder.shards(2).stealable_queue_capacity(1);
        const tree_digest::ShardPass actual =
            tree_digest::hash_on_shards(files.paths(), builder, submitters, progress, keep_busy);
        const bool same = actual.pass.same_result(expected);
        std::printf("%u submitters: %s, %" PRIu64 " spawns refused\n", submitters,
                    same ? "same result" : "ANOTHER result", actual.spawns_refused);
        failed += same && actual.spawns_refused > 0 ? 0 : 1;
    }
    return failed;
}
