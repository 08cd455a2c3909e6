// SPDX-License-Identifier: MIT
// The file workloads apart from any runtime: the file, sizes, and the check of every read.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "support/timed_batches.hpp"

namespace bench {

inline constexpr std::size_t block_bytes = 4'096;
inline constexpr std::uint64_t blocks_in_file = 4'096;

/// disk_read_rtt_4k: before each batch of `reads_in_turn`, untimed.
inline constexpr std::uint64_t warm_up_reads = 16;
inline constexpr std::uint64_t reads_in_turn = 256;

/// disk_read_4k_qd32: all reads of a batch, and how many of them are always in flight.
inline constexpr std::uint64_t reads_at_once = 4'096;
inline constexpr std::size_t depth = 32;

/// Read `i` is of this place.
constexpr std::uint64_t offset_of(std::uint64_t i) noexcept {
    return i % blocks_in_file * block_bytes;
}

/// Where a read goes, aligned as a page is: the kernel copies from one.
class alignas(block_bytes) Block {
public:
    /// Before a read: what the last one left must not pass for what this one brings.
    [[nodiscard]] std::span<std::byte> emptied() noexcept {
        bytes_[0] = std::byte{0};
        return bytes_;
    }

    /// After read `i`, which gave `count`: `i`, or what no workload's sum comes out with.
    [[nodiscard]] std::uint64_t value_of(std::uint64_t i, std::size_t count) const noexcept {
        return count == block_bytes && bytes_[0] == content ? i : wrong_value;
    }

    static constexpr std::byte content{0x5A};

private:
    static constexpr std::uint64_t wrong_value = std::uint64_t{1} << 40U;

    std::array<std::byte, block_bytes> bytes_;
};

using Blocks = std::vector<Block>;

/// The reads of one batch of disk_read_4k_qd32, for those who make them on one thread.
class ReadsAtOnce {
public:
    /// The next one to be made.
    std::optional<std::uint64_t> next() noexcept {
        return next_ < reads_at_once ? std::optional(next_++) : std::nullopt;
    }
    void add(std::uint64_t value) noexcept { sum_ += value; }
    [[nodiscard]] std::uint64_t sum() const noexcept { return sum_; }

private:
    std::uint64_t next_ = 0;
    std::uint64_t sum_ = 0;
};

/// `read(count)` makes that many reads one after another, and returns the sum of their values.
template <class Read>
Timed warmed_up_reads(Read read) {
    read(warm_up_reads);
    const Stopwatch stopwatch;
    const std::uint64_t sum = read(reads_in_turn);
    return {stopwatch.seconds(), sum};
}

/// 16 MiB beside this program (/tmp may be a tmpfs, which is no file system to measure), on the disk, and in the page
/// cache.
class TestFile {
public:
    TestFile() : path_(std::filesystem::read_symlink("/proc/self/exe").string() + ".XXXXXX") {
        fd_ = mkostemp(path_.data(), O_CLOEXEC);
        require(fd_ >= 0);
        try {
            fill();
        } catch (...) {
            remove();
            throw;
        }
    }
    TestFile(const TestFile&) = delete;
    TestFile& operator=(const TestFile&) = delete;
    ~TestFile() { remove(); }

    /// For reading.
    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    static void require(bool succeeded) {
        if (!succeeded) {
            throw std::system_error(errno, std::system_category(), "the file to read");
        }
    }

    void fill() const {
        std::vector<std::byte> block(block_bytes, Block::content);
        for (std::uint64_t i = 0; i < blocks_in_file; ++i) {
            require(pwrite(fd_, block.data(), block.size(), static_cast<off_t>(offset_of(i))) == block_bytes);
        }
        require(fsync(fd_) == 0);
        for (std::uint64_t i = 0; i < blocks_in_file; ++i) {
            require(pread(fd_, block.data(), block.size(), static_cast<off_t>(offset_of(i))) == block_bytes);
        }
    }

    void remove() noexcept {
        close(fd_);
        unlink(path_.c_str());
    }

    std::string path_;
    int fd_ = -1;
};

/// One for all benchmarks of this program, made by the first.
inline const TestFile& test_file() {
    static const TestFile file;
    return file;
}

}  // namespace bench
