// SPDX-License-Identifier: MIT
// What a ring is asked for: the ladder of set-up flags, best first, and what to tell a user of the outcome.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime_options.hpp"
#include "spargio/capabilities.hpp"

namespace spargio::detail {

/// Features that SPARGIO_URING_DISABLE names (comma separated), so that one kernel can play older ones.
struct UringMask {
    bool single_issuer = false;
    bool defer_taskrun = false;
    bool coop_taskrun = false;
    bool taskrun_flag = false;
    bool submit_all = false;
    bool no_sqarray = false;
    bool registered_ring_fd = false;
    bool msg_ring = false;
    bool send_msg_ring = false;
    bool ext_arg = false;
    bool cqe_skip = false;

    [[nodiscard]] static UringMask from_environment();
};

/// Sets of IORING_SETUP flags to try one after the other while the kernel says EINVAL. What an option asks for
/// explicitly is in each of them, so the list may be empty where the mask forbids it.
[[nodiscard]] std::vector<unsigned> setup_ladder(const RuntimeOptions& options, const UringMask& mask);

/// Whether a MSG_RING is certain to wake its target on that release of the kernel (uname(2)): from 6.2 on. Before, it
/// was seen to get lost (liburing issue 839).
[[nodiscard]] bool messages_wake(std::string_view release) noexcept;

/// Why `call` failed with that errno, and the remedy.
[[nodiscard]] BuildFailure setup_failure(const char* call, int error, const RuntimeOptions& options);

/// One sentence for each feature that `report` does not have, and for a ring smaller than asked for.
[[nodiscard]] std::vector<std::string> notes_on(const Capabilities& report, const RuntimeOptions& options,
                                                const UringMask& mask);

}  // namespace spargio::detail
