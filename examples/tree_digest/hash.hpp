// SPDX-License-Identifier: MIT
// SHA-256 of a file, computed in steps so that the caller decides what happens between them.
#pragma once

#include <spargio/result.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <openssl/evp.h>
#include <sys/stat.h>

namespace tree_digest {

using Sha256Value = std::array<unsigned char, 32>;

std::string to_hex(const Sha256Value& value);

class Sha256 {
public:
    Sha256();
    void update(std::span<const std::byte> bytes);
    Sha256Value finish();

private:
    struct FreeContext {
        void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, FreeContext> context_;
};

/// Closes a file descriptor at the end of its scope.
class FileDescriptor {
public:
    explicit FileDescriptor(int fd) noexcept : fd_(fd) {}
    FileDescriptor(FileDescriptor&& other) noexcept;
    FileDescriptor& operator=(FileDescriptor&&) = delete;
    ~FileDescriptor();
    int get() const noexcept { return fd_; }

private:
    int fd_;
};

struct FileDigest {
    Sha256Value sha256{};
    std::uint64_t bytes = 0;
    bool operator==(const FileDigest&) const = default;
};

/// Hashes one file: `open`, then `step`, or a read and `take`, until it says EndOfFile, then `finish`. Errors are errno
/// values.
class FileHasher {
public:
    enum class Step { MoreToRead, EndOfFile };

    /// Refuses what took the place of the file since it was listed: a symlink (ELOOP), or anything else that is no
    /// regular file (EINVAL).
    static spargio::Result<FileHasher> open(const std::string& path);

    /// Reads and hashes 1 MiB, or what is left. ETXTBSY at the end of a file that was written to meanwhile.
    spargio::Result<Step> step();

    /// The same in two halves, for who reads by other means: where the file goes on, and what was read from there,
    /// which is nothing at the end of the file.
    int descriptor() const noexcept { return file_.get(); }
    std::uint64_t offset() const noexcept { return bytes_; }
    spargio::Result<Step> take(std::span<const std::byte> bytes);
    /// As many bytes were taken as the file had when it was opened. Not so at the end of files in /proc and /sys, which
    /// give another size or none: there, only a read of nothing is the end.
    bool has_whole_size() const noexcept { return bytes_ == static_cast<std::uint64_t>(opened_.st_size); }

    /// Bytes worth reading at a time: all of a small file and its end, else as much as stays in a CPU's cache.
    std::size_t read_size() const noexcept;

    FileDigest finish();

private:
    FileHasher(FileDescriptor file, const struct stat& opened) : file_(std::move(file)), opened_(opened) {}

    spargio::Result<void> check_unchanged() const;

    FileDescriptor file_;
    struct stat opened_;
    Sha256 sha256_;
    std::uint64_t bytes_ = 0;
};

}  // namespace tree_digest
