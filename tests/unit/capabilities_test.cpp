// SPDX-License-Identifier: MIT
// Tests of the capability report and of the names of the backends.
#include "spargio/capabilities.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "common_capabilities.hpp"

namespace spargio {
namespace {

static_assert(to_string(BackendKind::Auto) == "auto");
static_assert(to_string(BackendKind::IoUring) == "io_uring");
static_assert(to_string(BackendKind::Queue) == "queue");

TEST(BackendKind, ANumberThatIsNoBackendIsUnknown) {
    EXPECT_EQ(to_string(static_cast<BackendKind>(99)), "unknown");
}

TEST(Capabilities, StartsWithNothingInUse) {
    const Capabilities capabilities;
    EXPECT_EQ(capabilities.backend, BackendKind::Auto);
    EXPECT_TRUE(capabilities.fallback_reason.empty() && capabilities.notes.empty());
    EXPECT_EQ(capabilities, Capabilities{});
    EXPECT_EQ(capabilities.to_string(), "backend: auto");
}

TEST(Capabilities, ReportsTheRingsAndTheirFeatures) {
    Capabilities capabilities;
    capabilities.backend = BackendKind::IoUring;
    capabilities.ring_entries = 256;
    capabilities.cq_entries = 1024;
    capabilities.single_issuer = true;
    capabilities.msg_ring = true;
    capabilities.notes = {"sqpoll: not asked for", "no_sqarray: the kernel is older than 6.6"};
    EXPECT_EQ(capabilities.to_string(),
              "backend: io_uring\n"
              "ring entries: 256 submission, 1024 completion\n"
              "in use: single_issuer, msg_ring\n"
              "not in use: defer_taskrun, coop_taskrun, taskrun_flag, no_sqarray, sqpoll, registered_ring_fd, "
              "send_msg_ring, ext_arg\n"
              "note: sqpoll: not asked for\n"
              "note: no_sqarray: the kernel is older than 6.6");
}

TEST(Capabilities, OfARuntimeAreWhatItsShardsHaveInCommon) {
    Capabilities common;
    common.backend = BackendKind::IoUring;
    common.ring_entries = 4096;
    common.cq_entries = 16384;
    common.single_issuer = true;
    common.msg_ring = true;
    common.notes = {"sqpoll: not asked for"};
    Capabilities other = common;
    other.ring_entries = 128;
    other.cq_entries = 512;
    other.single_issuer = false;
    other.ext_arg = true;
    other.notes = {"sqpoll: not asked for", "ring_entries: 128 instead of 4096"};
    detail::keep_common(common, other);
    EXPECT_EQ(common.ring_entries, 128U);
    EXPECT_EQ(common.cq_entries, 512U);
    EXPECT_TRUE(common.msg_ring);
    EXPECT_FALSE(common.single_issuer || common.ext_arg);
    EXPECT_EQ(common.notes, (std::vector<std::string>{"sqpoll: not asked for", "ring_entries: 128 instead of 4096"}));
}

TEST(Capabilities, ReportsEachFeatureUnderItsName) {
    struct Feature {
        const char* name;
        bool Capabilities::*in_use;
    };
    for (const Feature& feature : {
             Feature{"single_issuer", &Capabilities::single_issuer},
             Feature{"defer_taskrun", &Capabilities::defer_taskrun},
             Feature{"coop_taskrun", &Capabilities::coop_taskrun},
             Feature{"taskrun_flag", &Capabilities::taskrun_flag},
             Feature{"no_sqarray", &Capabilities::no_sqarray},
             Feature{"sqpoll", &Capabilities::sqpoll},
             Feature{"registered_ring_fd", &Capabilities::registered_ring_fd},
             Feature{"msg_ring", &Capabilities::msg_ring},
             Feature{"send_msg_ring", &Capabilities::send_msg_ring},
             Feature{"ext_arg", &Capabilities::ext_arg},
         }) {
        Capabilities capabilities;
        capabilities.backend = BackendKind::IoUring;
        EXPECT_NE(capabilities.to_string().find("\nin use: none\n"), std::string::npos);
        capabilities.*feature.in_use = true;
        EXPECT_NE(capabilities.to_string().find(std::string("\nin use: ") + feature.name + "\n"), std::string::npos)
            << capabilities.to_string();
        EXPECT_NE(capabilities, Capabilities{});
    }
}

TEST(Capabilities, SaysWhyTheFallbackWasTaken) {
    Capabilities capabilities;
    capabilities.backend = BackendKind::Queue;
    capabilities.fallback_reason = "io_uring_setup: Operation not permitted";
    EXPECT_EQ(capabilities.to_string(),
              "backend: queue (io_uring was not used: io_uring_setup: Operation not permitted)");
}

}  // namespace
}  // namespace spargio
