// SPDX-License-Identifier: MIT
// The exit status of a program with several tests, of which CTest sees one.
#pragma once

#include <cstdio>

#include <gtest/gtest.h>

namespace spargio::test {

/// 77, which CTest counts as a skip, where there was nothing to run; else whether all that ran has passed.
inline int run_process_tests() {
    const int status = RUN_ALL_TESTS();
    const auto& all = *::testing::UnitTest::GetInstance();
    if (status == 0 && all.skipped_test_count() == all.test_to_run_count()) {
        std::puts("nothing was run: Skipped\nevery test of this program was skipped, see above");
        return 77;
    }
    return status;
}

}  // namespace spargio::test
