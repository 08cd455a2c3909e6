// SPDX-License-Identifier: MIT
// tree_digest's submitting threads against queues of one task: most spawns are refused, and still each file is hashed
// once.
#include "plain_pass.hpp"
#include "progress.hpp"
#include "shard_pass.hpp"

#include <spargio/runtime_builder.hpp>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include <stdlib.h>

namespace {

namespace fs = std::filesystem;

/// A folder with files of a few sizes, that goes away at the end.
class TemporaryFiles {
public:
    explicit TemporaryFiles(std::size_t count) {
        std::string name = (fs::temp_directory_path() / "tree_digest_XXXXXX").native();
        if (mkdtemp(name.data()) == nullptr) {
            throw std::system_error(errno, std::system_category(), name);
        }
        folder_ = name;
        for (std::size_t i = 0; i < count; ++i) {
            fs::create_directory(folder_ / std::to_string(i % 7));
            paths_.push_back((folder_ / std::to_string(i % 7) / std::to_string(i)).native());
            std::ofstream(paths_.back()) << std::string(i * 10, 'x');
        }
        paths_.push_back((folder_ / "missing").native());
    }
    TemporaryFiles(const TemporaryFiles&) = delete;
    TemporaryFiles& operator=(const TemporaryFiles&) = delete;
    ~TemporaryFiles() {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }
    const std::vector<std::string>& paths() const { return paths_; }

private:
    fs::path folder_;
    std::vector<std::string> paths_;
};

}  // namespace

int main() {
    const TemporaryFiles files(2000);
    tree_digest::ProgressLine progress("overload", files.paths().size());
    const tree_digest::Pass expected = tree_digest::hash_on_plain_threads(files.paths(), 2, progress);
    int failed = 0;
    for (const unsigned submitters : {1U, 4U}) {
        spargio::RuntimeBuilder builder;
        builder.shards(2).stealable_queue_capacity(1);
        const tree_digest::ShardPass actual = tree_digest::hash_on_shards(files.paths(), builder, submitters, progress);
        const bool same = actual.pass.same_result(expected);
        std::printf("%u submitters: %s\n", submitters, same ? "same result" : "ANOTHER result");
        failed += same ? 0 : 1;
    }
    return failed;
}
