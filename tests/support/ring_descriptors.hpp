// SPDX-License-Identifier: MIT
// The descriptors of the rings of this process, and something else in their place.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace spargio::test {

/// Those of all rings that are open.
[[nodiscard]] inline std::vector<int> ring_descriptors() {
    std::vector<int> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        const auto target = std::filesystem::read_symlink(entry.path(), gone);
        if (!gone && target.string().find("[io_uring]") != std::string::npos) {
            found.push_back(std::stoi(entry.path().filename().string()));
        }
    }
    return found;
}

/// While it lives the number of a ring's descriptor is that of something else, where bells to the ring then go: to
/// /dev/null, so that they fail, unless another one is given. The ring's own shard, which enters by a registered
/// number, goes on.
class OutOfReach {
public:
    explicit OutOfReach(int ring) noexcept : OutOfReach(ring, open("/dev/null", O_RDWR | O_CLOEXEC)) {
        close(instead_);
    }
    OutOfReach(int ring, int instead) noexcept
        : ring_(ring), instead_(instead), saved_(fcntl(ring, F_DUPFD_CLOEXEC, 0)) {
        dup3(instead_, ring_, O_CLOEXEC);
    }
    OutOfReach(const OutOfReach&) = delete;
    OutOfReach& operator=(const OutOfReach&) = delete;
    ~OutOfReach() {
        dup3(saved_, ring_, O_CLOEXEC);
        close(saved_);
    }

private:
    const int ring_;
    const int instead_;
    const int saved_;
};

}  // namespace spargio::test
