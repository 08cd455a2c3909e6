// SPDX-License-Identifier: MIT
// stat(2), open(2), poll(2) and read(2).
#include "files.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace mixed_mode_service {
namespace {

constexpr long nanoseconds_in_second = 1'000'000'000;

std::error_code last_error() {
    return {errno, std::system_category()};
}

bool same_time(const timespec& a, const timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

spargio::Result<void> check_kind(const struct stat& status) {
    if (S_ISDIR(status.st_mode)) {
        return std::make_error_code(std::errc::is_a_directory);
    }
    if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode)) {
        return std::make_error_code(std::errc::operation_not_supported);
    }
    return {};
}

bool has_name(int pipe) {
    struct statfs system {};
    return ::fstatfs(pipe, &system) == 0 && system.f_type != PIPEFS_MAGIC;
}

}  // namespace

bool FileVersion::operator==(const FileVersion& other) const {
    return device == other.device && inode == other.inode && size == other.size &&
           same_time(modified, other.modified) && same_time(changed, other.changed);
}

bool FileVersion::is_settled() const {
    // File times come from a clock with ticks of some milliseconds.
    constexpr long tick = nanoseconds_in_second / 10;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const auto seconds = static_cast<long>(now.tv_sec - changed.tv_sec);
    return seconds > 1 || (seconds >= 0 && seconds * nanoseconds_in_second + now.tv_nsec - changed.tv_nsec > tick);
}

spargio::Result<File> File::open(const std::string& path) {
    // A look before: to open a device may set it going, a watchdog for instance.
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        return last_error();
    }
    if (const auto kind = check_kind(status); !kind) {
        return kind.error();
    }
    File file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (file.descriptor_ < 0 || ::fstat(file.descriptor_, &status) != 0) {
        return last_error();
    }
    if (const auto kind = check_kind(status); !kind) {
        return kind.error();
    }
    if (S_ISFIFO(status.st_mode) && !has_name(file.descriptor_)) {
        return std::make_error_code(std::errc::operation_not_supported);
    }
    file.version_ = file.current_version();
    return file;
}

File::~File() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
    }
}

std::optional<FileVersion> File::current_version() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
        return std::nullopt;
    }
    return FileVersion{.device = status.st_dev,
                       .inode = status.st_ino,
                       .size = status.st_size,
                       .modified = status.st_mtim,
                       .changed = status.st_ctim};
}

bool File::has_input() const {
    pollfd state{.fd = descriptor_, .events = POLLIN, .revents = 0};
    return ::poll(&state, 1, 0) > 0;
}

spargio::Result<std::optional<std::size_t>> File::read(std::span<std::byte> into) {
    const auto count = ::read(descriptor_, into.data(), into.size());
    if (count >= 0) {
        return std::optional(static_cast<std::size_t>(count));
    }
    if (errno == EAGAIN || errno == EINTR) {
        return std::optional<std::size_t>();
    }
    return last_error();
}

}  // namespace mixed_mode_service
