// SPDX-License-Identifier: MIT
// A stream of bytes of each kind that the kernel waits for in its own way, for tests that are about all of them.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include "support/files.hpp"

namespace spargio::test {

struct StreamKind {
    const char* name;
    bool socket;
    bool blocking;
};

/// Printed as their names.
[[nodiscard]] inline auto all_stream_kinds() {
    return ::testing::Values(StreamKind{"pipe", false, true}, StreamKind{"non_blocking_pipe", false, false},
                             StreamKind{"socket", true, true}, StreamKind{"non_blocking_socket", true, false});
}

/// What is written to one end is read at the other. Holds a few KiB.
struct Stream {
    explicit Stream(const StreamKind& kind) {
        const int flags = kind.blocking ? 0 : O_NONBLOCK;  // SOCK_NONBLOCK is the same number.
        if (kind.socket) {
            SocketPair pair(flags);
            reader = std::move(pair.first);
            writer = std::move(pair.second);
        } else {
            Pipe pipe(flags);
            fcntl(pipe.writer.get(), F_SETPIPE_SZ, 4096);
            reader = std::move(pipe.reader);
            writer = std::move(pipe.writer);
        }
    }

    /// Writes until not even one byte more has room; gives how many it wrote.
    std::size_t fill() const {
        const int flags = fcntl(writer.get(), F_GETFL);
        fcntl(writer.get(), F_SETFL, flags | O_NONBLOCK);
        const std::string some(1024, 'f');
        std::size_t written = 0;
        for (std::size_t length = some.size(); length > 0;) {
            const auto count = ::write(writer.get(), some.data(), length);
            if (count > 0) {
                written += static_cast<std::size_t>(count);
            } else {
                length /= 2;
            }
        }
        fcntl(writer.get(), F_SETFL, flags);
        return written;
    }

    /// All that can be read without waiting.
    [[nodiscard]] std::string drain() const {
        std::string all;
        std::array<char, 4096> some{};
        while (bytes_ready(reader) > 0) {
            const auto count = ::read(reader.get(), some.data(), some.size());
            if (count <= 0) {
                break;
            }
            all.append(some.data(), static_cast<std::size_t>(count));
        }
        return all;
    }

    Descriptor reader;
    Descriptor writer;
};

}  // namespace spargio::test
