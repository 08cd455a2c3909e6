// SPDX-License-Identifier: MIT
// SHA-256 of every file below a path: walk, hash on the shards, compare with plain threads, report.
#include "options.hpp"
#include "plain_pass.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "shard_pass.hpp"
#include "walk.hpp"

#include <spargio/runtime_builder.hpp>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace tree_digest;

enum ExitStatus { all_done = 0, something_missing = 1, trouble = 2 };

Pass plain_pass(const std::string& what, const std::vector<std::string>& files, std::size_t threads) {
    ProgressLine progress(what, files.size());
    return hash_on_plain_threads(files, static_cast<unsigned>(threads), progress);
}

ShardPass shard_pass(const Options& options, const std::vector<std::string>& files) {
    spargio::RuntimeBuilder builder;
    builder.backend(options.backend);
    if (options.shards) {
        builder.shards(*options.shards);
    }
    ProgressLine progress("hashing on shards", files.size());
    return hash_on_shards(files, builder, options.threads, progress);
}

std::vector<Failure> all_failures(const Tree& tree, const Pass& pass) {
    std::vector<Failure> failures = tree.failures;
    for (std::size_t i = 0; i < tree.files.size(); ++i) {
        if (!pass.digests[i]) {
            failures.push_back({tree.files[i], pass.digests[i].error()});
        }
    }
    sort_by_path(failures);
    return failures;
}

ExitStatus run(const Options& options) {
    const auto start = std::chrono::steady_clock::now();
    const Tree tree = walk(options.path, options.threads);
    const std::chrono::duration<double> walk_elapsed = std::chrono::steady_clock::now() - start;

    if (!options.list) {
        // Whoever reads first also waits for the disk; this pass does it for both.
        plain_pass("warming the page cache", tree.files, options.threads);
    }
    const ShardPass shards = shard_pass(options, tree.files);
    const std::vector<Failure> failures = all_failures(tree, shards.pass);
    bool complete = failures.empty();
    if (options.list) {
        print_list(tree.files, shards.pass);
    } else {
        const Pass plain = plain_pass("hashing on plain threads", tree.files, shards.pass.files_per_worker.size());
        print_summary(options.path, tree.files, {shards, plain, walk_elapsed}, failures.size());
        complete = complete && shards.pass.same_result(plain);
        print_differences(tree.files, shards.pass, plain);
    }
    print_failures(failures);
    return complete ? all_done : something_missing;
}

}  // namespace

int main(int argc, char** argv) {
    const std::optional<Options> options = parse_options(argc, argv);
    if (!options) {
        return trouble;
    }
    try {
        int status = all_done;
        if (options->help) {
            std::fputs(usage, stdout);
        } else {
            status = run(*options);
        }
        // A full disk behind stdout must not look like success.
        if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
            std::perror("tree_digest: standard output");
            return trouble;
        }
        return status;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "tree_digest: %s\n", error.what());
        return trouble;
    }
}
