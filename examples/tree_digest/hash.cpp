// SPDX-License-Identifier: MIT
// OpenSSL's libcrypto does the hashing; the bytes come from read(2), or from whoever reads by other means.
#include "hash.hpp"

#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tree_digest {
namespace {

constexpr std::size_t most_at_once = 64 * 1024;  // stays in the CPU's cache between the read and the hash

std::error_code last_system_error() {
    return {errno, std::system_category()};
}

void check(bool ok) {
    if (!ok) {
        throw std::runtime_error("libcrypto cannot compute SHA-256 here");
    }
}

/// Looked up once: for a small file the look-up by name would take longer than the hash.
const EVP_MD* sha256_algorithm() {
    struct Free {
        void operator()(EVP_MD* algorithm) const noexcept { EVP_MD_free(algorithm); }
    };
    static const std::unique_ptr<EVP_MD, Free> algorithm(EVP_MD_fetch(nullptr, "SHA256", nullptr));
    check(algorithm != nullptr);
    return algorithm.get();
}

}  // namespace

std::string to_hex(const Sha256Value& value) {
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    text.reserve(2 * value.size());
    for (const unsigned char byte : value) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    check(context_ && EVP_DigestInit_ex(context_.get(), sha256_algorithm(), nullptr) == 1);
}

void Sha256::update(std::span<const std::byte> bytes) {
    check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

Sha256Value Sha256::finish() {
    Sha256Value value;
    check(EVP_DigestFinal_ex(context_.get(), value.data(), nullptr) == 1);
    return value;
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileDescriptor::~FileDescriptor() {
    if (fd_ >= 0) {
        ::close(fd_);
    }
}

spargio::Result<FileHasher> FileHasher::open(const std::string& path) {
    // What was a regular file when it was listed may be a pipe by now: opening one would wait for its other end.
    FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat state {};
    if (file.get() < 0 || ::fstat(file.get(), &state) != 0) {
        return last_system_error();
    }
    if (!S_ISREG(state.st_mode)) {
        return std::make_error_code(std::errc::invalid_argument);
    }
    return FileHasher(std::move(file), state);
}

/// A write while it was read, or a cut, would give a digest of what never was in the file.
spargio::Result<void> FileHasher::check_unchanged() const {
    struct stat state {};
    if (::fstat(file_.get(), &state) != 0) {
        return last_system_error();
    }
    const auto same_time = [](const timespec& a, const timespec& b) {
        return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
    };
    const bool same = state.st_size == opened_.st_size && same_time(state.st_mtim, opened_.st_mtim) &&
                      same_time(state.st_ctim, opened_.st_ctim);
    if (!same) {
        return std::make_error_code(std::errc::text_file_busy);
    }
    return {};
}

spargio::Result<FileHasher::Step> FileHasher::step() {
    constexpr std::uint64_t step_bytes = 1 << 20;
    std::array<std::byte, most_at_once> buffer;
    for (std::uint64_t done = 0; done < step_bytes;) {
        const ssize_t count = ::read(file_.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return last_system_error();
        }
        const auto length = static_cast<std::size_t>(count);
        const auto taken = take(std::span(buffer).first(length));
        if (!taken || *taken == Step::EndOfFile) {
            return taken;
        }
        done += length;
    }
    return Step::MoreToRead;
}

spargio::Result<FileHasher::Step> FileHasher::take(std::span<const std::byte> bytes) {
    if (bytes.empty()) {
        return check_unchanged().transform([] { return Step::EndOfFile; });
    }
    sha256_.update(bytes);
    bytes_ += bytes.size();
    return Step::MoreToRead;
}

std::size_t FileHasher::read_size() const noexcept {
    constexpr std::size_t page = 4096;
    const auto size = static_cast<std::uint64_t>(opened_.st_size);
    if (size == 0) {
        return page;  // Empty, or one of /proc, which tell no size.
    }
    return size < most_at_once ? static_cast<std::size_t>(size) + 1 : most_at_once;
}

FileDigest FileHasher::finish() {
    return {.sha256 = sha256_.finish(), .bytes = bytes_};
}

}  // namespace tree_digest
