// SPDX-License-Identifier: MIT
// What the shards of a runtime wait on.
#pragma once

#include <string_view>

namespace spargio {

/// Asked for in RuntimeBuilder::backend; a runtime that has been built has one of the last two.
enum class BackendKind {
    Auto,     ///< IoUring where a ring can be set up and used, else Queue
    IoUring,  ///< each shard owns an io_uring
    Queue,    ///< each shard sleeps on a futex: no kernel I/O, works everywhere
};

/// "auto", "io_uring" or "queue".
[[nodiscard]] constexpr std::string_view to_string(BackendKind kind) noexcept {
    switch (kind) {
    case BackendKind::Auto:
        return "auto";
    case BackendKind::IoUring:
        return "io_uring";
    case BackendKind::Queue:
        return "queue";
    }
    return "unknown";
}

}  // namespace spargio
