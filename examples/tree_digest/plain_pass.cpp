// SPDX-License-Identifier: MIT
// The simplest pool there is, and a hard one to beat: a job of independent files needs nothing more than a counter.
#include "plain_pass.hpp"

#include "threads.hpp"

#include <atomic>
#include <cstddef>

namespace tree_digest {
namespace {

spargio::Result<FileDigest> hash_file(const std::string& path) {
    auto file = FileHasher::open(path);
    if (!file) {
        return file.error();
    }
    for (;;) {
        const auto step = file->step();
        if (!step) {
            return step.error();
        }
        if (*step == FileHasher::Step::EndOfFile) {
            return file->finish();
        }
    }
}

}  // namespace

Pass hash_on_plain_threads(const std::vector<std::string>& files, unsigned threads, ProgressLine& progress) {
    Pass pass;
    pass.digests.resize(files.size());
    Books books(threads);
    std::atomic<std::size_t> next = 0;

    const Stopwatch stopwatch;
    on_plain_threads(threads, [&](unsigned worker) {
        for (;;) {
            const std::size_t index = next.fetch_add(1, std::memory_order_relaxed);
            if (index >= files.size()) {
                return;
            }
            pass.digests[index] = hash_file(files[index]);
            if (pass.digests[index]) {
                books.count_file(worker);
                books.add(worker, directory_of(files[index]), pass.digests[index]->bytes);
            }
            progress.add(1);
        }
    });
    for (unsigned worker = 0; worker < threads; ++worker) {
        pass.table.merge(books.take_totals(worker));
    }
    stopwatch.stop(pass);
    pass.files_per_worker = books.files_per_worker();
    return pass;
}

}  // namespace tree_digest
