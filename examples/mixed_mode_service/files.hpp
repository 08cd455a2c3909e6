// SPDX-License-Identifier: MIT
// A file that is open, and what tells whether it is still the same. Nothing of Asio or spargio in it, but errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <sys/types.h>
#include <time.h>

#include <spargio/result.hpp>

namespace mixed_mode_service {

/// Changes when the contents do, unless that happens within the clock tick of another change; see is_settled().
struct FileVersion {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    timespec modified{};
    timespec changed{};

    [[nodiscard]] bool operator==(const FileVersion& other) const;
    /// The last change is so long ago that a later one has another time.
    [[nodiscard]] bool is_settled() const;
};

class File {
public:
    /// A regular file or a pipe with a name; never waits for a writer. May wait for a disk. Not a pipe without a name:
    /// by /proc/self/fd a client would take what is meant for this program, its signals among it.
    [[nodiscard]] static spargio::Result<File> open(const std::string& path);

    File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)), version_(other.version_) {}
    File& operator=(File&&) = delete;
    ~File();

    [[nodiscard]] int descriptor() const { return descriptor_; }
    /// Of when it was opened; nothing for a pipe.
    [[nodiscard]] const std::optional<FileVersion>& version() const { return version_; }
    /// Of now.
    [[nodiscard]] std::optional<FileVersion> current_version() const;

    /// A read would bring bytes or the end at once, but for a disk. Not so while nobody has opened the pipe for writing
    /// yet, although a read would say that it has ended. Never waits.
    [[nodiscard]] bool has_input() const;
    /// Nothing if a pipe is empty. 0: the end. May wait for a disk.
    [[nodiscard]] spargio::Result<std::optional<std::size_t>> read(std::span<std::byte> into);

private:
    explicit File(int descriptor) noexcept : descriptor_(descriptor) {}

    int descriptor_;
    std::optional<FileVersion> version_;
};

}  // namespace mixed_mode_service
