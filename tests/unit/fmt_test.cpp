// SPDX-License-Identifier: MIT
// Tests of the formatters for {fmt}.
#include "spargio/fmt.hpp"

#include <string>

#include <gtest/gtest.h>

namespace spargio {
namespace {

TEST(Fmt, StatsFormatAsTheirOneLineText) {
    RuntimeStats stats;
    stats.shard_command_depths = {1, 2};
    stats.parks = 7;
    EXPECT_EQ(fmt::format("{}", stats), to_string(stats));
    EXPECT_EQ(fmt::format("before {} after", stats), "before " + to_string(stats) + " after");
}

TEST(Fmt, CapabilitiesFormatAsTheirReport) {
    Capabilities capabilities;
    capabilities.backend = BackendKind::Queue;
    EXPECT_EQ(fmt::format("{}", capabilities), capabilities.to_string());
}

TEST(Fmt, BackendsFormatAsTheirNames) {
    EXPECT_EQ(fmt::format("{} {} {}", BackendKind::Auto, BackendKind::IoUring, BackendKind::Queue),
              "auto io_uring queue");
}

TEST(Fmt, AStringSpecificationApplies) {
    EXPECT_EQ(fmt::format("[{:>8}]", BackendKind::Queue), "[   queue]");
    EXPECT_EQ(fmt::format("[{:*<9.4}]", BackendKind::IoUring), "[io_u*****]");
}

TEST(Fmt, ErrorsFormatAsTheirMessages) {
    EXPECT_EQ(fmt::format("{}", RuntimeError::Closed), make_error_code(RuntimeError::Closed).message());
    EXPECT_EQ(fmt::format("{}", SendError::Backpressure), make_error_code(SendError::Backpressure).message());
    EXPECT_EQ(fmt::format("{}", JoinError::Canceled), make_error_code(JoinError::Canceled).message());
    EXPECT_EQ(fmt::format("{}", BoundaryError::Timeout), make_error_code(BoundaryError::Timeout).message());
    EXPECT_EQ(fmt::format("{}", IoError::UnexpectedEof), make_error_code(IoError::UnexpectedEof).message());
}

}  // namespace
}  // namespace spargio
