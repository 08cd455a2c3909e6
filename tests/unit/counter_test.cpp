// SPDX-License-Identifier: MIT
// Tests of the counter with one writer.
#include "counter.hpp"

#include <atomic>
#include <cstdint>
#include <thread>

#include <gtest/gtest.h>

namespace spargio::detail {
namespace {

TEST(Counter, Counts) {
    Counter counter;
    EXPECT_EQ(counter.get(), 0U);
    counter.add();
    counter.add(41);
    counter.add(0);
    EXPECT_EQ(counter.get(), 42U);
}

TEST(Counter, AReaderSeesItGrow) {
    constexpr std::uint64_t kTotal = 100'000;
    Counter counter;
    std::atomic<bool> started{false};
    std::thread writer([&] {
        while (!started.load()) {}
        for (std::uint64_t i = 0; i < kTotal; ++i) {
            counter.add();
        }
    });
    started.store(true);
    bool fell = false;
    for (std::uint64_t last = 0; last < kTotal;) {
        const auto now = counter.get();
        fell |= now < last;
        last = now;
    }
    writer.join();
    EXPECT_FALSE(fell);
    EXPECT_EQ(counter.get(), kTotal);
}

}  // namespace
}  // namespace spargio::detail
