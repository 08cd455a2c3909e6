// SPDX-License-Identifier: MIT
// Stealable tasks hash, sticky tasks add up, a pinned task makes the table.
#include "shard_pass.hpp"

#include "threads.hpp"

#include <spargio/spargio.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tree_digest {
namespace {

using spargio::JoinHandle;
using spargio::Result;
using spargio::RuntimeHandle;
using spargio::ShardCtx;
using spargio::ShardId;
using spargio::Task;

/// A read on the ring of the shard that the task is on, while that shard does other work. Where there is no ring, MiB
/// by MiB with read(2), and a yield between them: a file of gigabytes must not hold up the shard's pinned tasks.
Task<Result<FileHasher::Step>> read_and_hash(const RuntimeHandle& runtime, FileHasher& file,
                                             std::span<std::byte> buffer) {
    // Asked each time: the task may have moved.
    const auto lane = runtime.native_lane(ShardCtx::current()->shard_id());
    if (!lane) {
        co_await spargio::yield();
        co_return file.step();
    }
    const auto count = co_await lane->read_at(file.descriptor(), file.offset(), buffer);
    if (!count) {
        co_return count.error();
    }
    const auto step = file.take(buffer.first(*count));
    // A short read alone is not the end: an error may be behind it, and some file systems give a page at a time.
    if (step && *step == FileHasher::Step::MoreToRead && *count < buffer.size() && file.has_whole_size()) {
        co_return file.take({});
    }
    co_return step;
}

// The parameters are references because what they refer to outlives the runtime, and with it every task; see the order
// of the variables in hash_on_shards.
Task<Result<FileDigest>> hash_file(RuntimeHandle runtime, const std::string& path, Books& books) {
    auto file = FileHasher::open(path);
    if (!file) {
        co_return file.error();
    }
    std::vector<std::byte> buffer(file->read_size());
    for (;;) {
        const auto step = co_await read_and_hash(runtime, *file, buffer);
        if (!step) {
            co_return step.error();
        }
        if (*step == FileHasher::Step::EndOfFile) {
            break;
        }
    }
    const FileDigest digest = file->finish();
    // Asked only now: each co_await above may have moved the task to another shard.
    books.count_file(ShardCtx::current()->shard_id());

    // The directory's name chooses the shard, so one map has all of its files, and no other shard touches that map. The
    // lambda has a name because GCC 12 destroys a capturing temporary in a co_await expression twice.
    const std::string_view directory = directory_of(path);
    const std::uint64_t key = std::hash<std::string_view>()(directory);
    auto add = [&books, directory, bytes = digest.bytes] {
        books.add(ShardCtx::current()->shard_id(), directory, bytes);
    };
    co_await runtime.spawn_sticky(key, std::move(add));
    co_return digest;
}

Task<Table> make_table(RuntimeHandle runtime, Books& books) {
    Table table;
    for (std::size_t i = 0; i < runtime.shard_count(); ++i) {
        const auto shard = static_cast<ShardId>(i);
        auto take = [&books, shard] { return books.take_totals(shard); };
        const DirectoryTotals part = co_await runtime.spawn_pinned(shard, std::move(take));
        table.merge(part);
    }
    co_return table;
}

/// The files that one submitting thread has handed over and not got back: as many as keep the shards busy, and no more,
/// so that memory does not grow with the tree.
class InFlight {
public:
    InFlight(std::vector<Result<FileDigest>>& digests, ProgressLine& progress)
        : digests_(digests), progress_(progress) {}

    bool empty() const { return files_.empty(); }
    bool full() const { return files_.size() >= 256; }
    void add(std::size_t index, JoinHandle<Result<FileDigest>> handle) { files_.push_back({index, std::move(handle)}); }

    /// Waits for the older half. A full window then has room for many files: the thread sleeps once for all of them,
    /// not once for each.
    void collect_half() { collect((files_.size() + 1) / 2); }
    void collect_all() { collect(files_.size()); }

private:
    struct File {
        std::size_t index;
        JoinHandle<Result<FileDigest>> handle;
    };

    void collect(std::size_t count) {
        // From the youngest to the oldest: when the first get() returns, most of the others have ended as well.
        for (std::size_t i = count; i-- > 0;) {
            digests_[files_[i].index] = files_[i].handle.get();
        }
        files_.erase(files_.begin(), files_.begin() + static_cast<std::ptrdiff_t>(count));
        progress_.add(count);
    }

    std::deque<File> files_;
    std::vector<Result<FileDigest>>& digests_;
    ProgressLine& progress_;
};

/// Hands one file to the shards; while the runtime refuses it for want of room, waits until there is some.
JoinHandle<Result<FileDigest>> submit(const RuntimeHandle& runtime, const std::string& path, Books& books,
                                      InFlight& in_flight, std::atomic<std::uint64_t>& refused) {
    for (;;) {
        JoinHandle<Result<FileDigest>> handle = runtime.spawn_stealable(hash_file(runtime, path, books));
        if (handle.spawn_error() != spargio::RuntimeError::Overloaded) {
            return handle;
        }
        refused.fetch_add(1, std::memory_order_relaxed);
        if (in_flight.empty()) {
            std::this_thread::yield();  // what fills the queue belongs to the other submitting threads
        } else {
            in_flight.collect_half();
        }
    }
}

}  // namespace

ShardPass hash_on_shards(const std::vector<std::string>& files, const spargio::RuntimeBuilder& builder,
                         unsigned submitters, ProgressLine& progress, const AtStart& at_start) {
    // The tasks use what is above it, so the runtime comes last: its destructor ends the tasks, also when something
    // throws here.
    Pass pass;
    Books books;
    std::atomic<std::uint64_t> refused = 0;
    spargio::Runtime runtime = builder.build();
    const RuntimeHandle handle = runtime.handle();
    pass.digests.resize(files.size());
    books = Books(runtime.shard_count());
    std::atomic<std::size_t> next = 0;
    if (at_start) {
        at_start(handle, refused);
    }

    const Stopwatch stopwatch;
    on_plain_threads(submitters, [&](unsigned) {
        InFlight in_flight(pass.digests, progress);
        for (;;) {
            const std::size_t index = next.fetch_add(1, std::memory_order_relaxed);
            if (index >= files.size()) {
                break;
            }
            in_flight.add(index, submit(handle, files[index], books, in_flight, refused));
            if (in_flight.full()) {
                in_flight.collect_half();
            }
        }
        in_flight.collect_all();
    });
    pass.table = handle.spawn_pinned(0, make_table(handle, books)).get();
    stopwatch.stop(pass);

    pass.files_per_worker = books.files_per_worker();
    return {.pass = std::move(pass),
            .backend = runtime.backend(),
            .fallback_reason = handle.capabilities().fallback_reason,
            .tasks_stolen = handle.stats_snapshot().stealable_stolen,
            .spawns_refused = refused.load()};
}

}  // namespace tree_digest
