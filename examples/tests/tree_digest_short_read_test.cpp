// SPDX-License-Identifier: MIT
// Reads on the ring that bring less than was asked for: they are not the end of the file.
#include "checks.hpp"
#include "plain_pass.hpp"
#include "progress.hpp"
#include "ring.hpp"
#include "shard_pass.hpp"

#include "uring_faults.hpp"

#include <spargio/runtime_builder.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <system_error>
#include <vector>

#include <liburing.h>

namespace {

constexpr unsigned no_limit = std::numeric_limits<unsigned>::max();

/// Cuts reads, and lets one of them fail; counts them.
class ReadFaults final : public spargio::detail::UringFaults {
public:
    /// `failing`: the how manieth read gives EIO; 0: none.
    ReadFaults(unsigned most_bytes, int failing) : most_bytes_(most_bytes), failing_(failing) {
        spargio::detail::uring_faults.store(this);
    }
    ReadFaults(const ReadFaults&) = delete;
    ReadFaults& operator=(const ReadFaults&) = delete;
    ~ReadFaults() override { spargio::detail::uring_faults.store(nullptr); }

    void on_prepare(io_uring_sqe& entry) noexcept override {
        if (entry.opcode == IORING_OP_READ) {
            entry.len = std::min(entry.len, most_bytes_);
        }
    }
    int on_result(unsigned opcode, int result) noexcept override {
        if (opcode != IORING_OP_READ) {
            return result;
        }
        return ++reads_ == failing_ ? -EIO : result;
    }

    int reads() const { return reads_.load(); }

private:
    const unsigned most_bytes_;
    const int failing_;
    std::atomic<int> reads_ = 0;
};

std::string file_of(const Folder& folder, std::size_t bytes) {
    const auto name = folder.path / std::to_string(bytes);
    std::ofstream(name) << std::string(bytes, 'x');
    return name.string();
}

tree_digest::Pass on_a_ring(const std::vector<std::string>& files) {
    spargio::RuntimeBuilder builder;
    builder.shards(1).backend(spargio::BackendKind::IoUring);
    tree_digest::ProgressLine progress("short reads", files.size());
    return tree_digest::hash_on_shards(files, builder, 1, progress).pass;
}

tree_digest::Pass on_a_thread(const std::vector<std::string>& files) {
    tree_digest::ProgressLine progress("plain", files.size());
    return tree_digest::hash_on_plain_threads(files, 1, progress);
}

}  // namespace

int main() {
    if (const auto status = status_without_ring()) {
        return *status;
    }
    const Folder folder;
    const std::vector<std::string> small{file_of(folder, 10)};
    const std::vector<std::string> large{file_of(folder, 100'000)};
    {
        const ReadFaults none(no_limit, 0);
        expect(on_a_ring(small).same_result(on_a_thread(small)), "a small file is hashed");
        expect(none.reads() == 1, "a small file takes one read, its end is known by its size");
    }
    {
        const ReadFaults cut(1000, 0);
        expect(on_a_ring(large).same_result(on_a_thread(large)),
               "a file that comes in short reads is hashed to its end");
        expect(cut.reads() >= 100, "the reads were short");
    }
    {
        const ReadFaults failing(1000, 2);
        const auto pass = on_a_ring(large);
        expect(!pass.digests[0] && pass.digests[0].error() == std::errc::io_error,
               "an error behind a short read is told, there is no digest");
    }
    return failures == 0 ? 0 : 1;
}
