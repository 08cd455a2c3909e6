// SPDX-License-Identifier: MIT
// Tests of the version.
#include "spargio/version.hpp"

#include <string>

#include <gtest/gtest.h>

namespace spargio {
namespace {

TEST(Version, TextAndMacrosSayTheSame) {
    EXPECT_EQ(version, std::to_string(SPARGIO_VERSION_MAJOR) + "." + std::to_string(SPARGIO_VERSION_MINOR) + "." +
                           std::to_string(SPARGIO_VERSION_PATCH));
}

}  // namespace
}  // namespace spargio
