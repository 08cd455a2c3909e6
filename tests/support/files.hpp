// SPDX-License-Identifier: MIT
// Descriptors that tests read and write: files without a name, pipes, sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace spargio::test {

/// Owns a descriptor.
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int fd) noexcept : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        close();
        fd_ = std::exchange(other.fd_, -1);
        return *this;
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() { close(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    void close() noexcept {
        if (fd_ >= 0) {
            ::close(std::exchange(fd_, -1));
        }
    }

private:
    int fd_ = -1;
};

/// A file without a name, with this content.
[[nodiscard]] inline Descriptor file_of(std::string_view content = {}) {
    std::string name = (std::filesystem::temp_directory_path() / "spargio-test-XXXXXX").string();
    Descriptor file(mkostemp(name.data(), O_CLOEXEC));
    if (file.get() < 0) {
        throw std::system_error(errno, std::system_category(), "mkostemp");
    }
    unlink(name.c_str());
    if (write(file.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
        throw std::system_error(errno, std::system_category(), "write");
    }
    return file;
}

/// All of a file, without moving its position.
[[nodiscard]] inline std::string content_of(const Descriptor& file) {
    std::string content(static_cast<std::size_t>(lseek(file.get(), 0, SEEK_END)), '\0');
    const auto count = pread(file.get(), content.data(), content.size(), 0);
    content.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return content;
}

struct Pipe {
    explicit Pipe(int flags = 0) {
        int ends[2] = {-1, -1};
        if (pipe2(ends, O_CLOEXEC | flags) != 0) {
            throw std::system_error(errno, std::system_category(), "pipe2");
        }
        reader = Descriptor(ends[0]);
        writer = Descriptor(ends[1]);
    }

    Descriptor reader;
    Descriptor writer;
};

/// Two stream sockets that are each other's peer. They hold a few KiB for each direction, after which a write waits.
struct SocketPair {
    explicit SocketPair(int flags = 0) {
        int ends[2] = {-1, -1};
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0, ends) != 0) {
            throw std::system_error(errno, std::system_category(), "socketpair");
        }
        first = Descriptor(ends[0]);
        second = Descriptor(ends[1]);
        const int size = 4096;
        for (const int end : ends) {
            setsockopt(end, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        }
    }

    Descriptor first;
    Descriptor second;
};

/// How many bytes a read of a pipe or a socket would find.
[[nodiscard]] inline int bytes_ready(const Descriptor& end) noexcept {
    int count = -1;
    ioctl(end.get(), FIONREAD, &count);
    return count;
}

[[nodiscard]] inline std::span<const std::byte> bytes_of(std::string_view text) noexcept {
    return std::as_bytes(std::span(text));
}
[[nodiscard]] inline std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace spargio::test
