// SPDX-License-Identifier: MIT
// Tests of the counted reference to a runtime's core, on cores that were never started.
#include "spargio/detail/core_ref.hpp"

#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "runtime_core.hpp"

namespace spargio::detail {
namespace {

/// A core, and a token that it holds as long as it exists.
class CoreRefTest : public testing::Test {
protected:
    RuntimeCore* make_core() {
        RuntimeOptions options;
        EXPECT_FALSE(complete_options(options));
        options.on_unhandled_exception = [held = token_](std::exception_ptr) {};
        return new RuntimeCore(std::move(options));
    }
    [[nodiscard]] bool core_lives() const { return token_.use_count() > 1; }

private:
    std::shared_ptr<int> token_ = std::make_shared<int>(0);
};

TEST_F(CoreRefTest, RefersToNothingAtFirst) {
    const CoreRef none;
    EXPECT_FALSE(none);
    EXPECT_EQ(none.get(), nullptr);
    const CoreRef null(nullptr);
    EXPECT_FALSE(null);
    const CoreRef copy = none;  // NOLINT(performance-unnecessary-copy-initialization)
    EXPECT_FALSE(copy);
}

TEST_F(CoreRefTest, TheLastReferenceFreesTheCore) {
    CoreRef first(make_core());
    EXPECT_TRUE(first);
    EXPECT_EQ(&*first, first.get());
    EXPECT_EQ(first->id, core_id(first.get()));
    {
        const CoreRef second = first;
        EXPECT_EQ(second.get(), first.get());
        first = CoreRef();
        EXPECT_FALSE(first);
        EXPECT_TRUE(core_lives());
    }
    EXPECT_FALSE(core_lives());
}

TEST_F(CoreRefTest, MovingPassesTheReferenceOn) {
    CoreRef first(make_core());
    RuntimeCore* core = first.get();
    CoreRef second(std::move(first));
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(second.get(), core);
    first = std::move(second);
    EXPECT_EQ(first.get(), core);
    EXPECT_TRUE(core_lives());
    CoreRef& itself = first;
    first = itself;
    EXPECT_TRUE(core_lives());
    EXPECT_EQ(first.get(), core);
}

TEST_F(CoreRefTest, IdsAreNotUsedAgain) {
    std::uint64_t first = 0;
    {
        const CoreRef core(make_core());
        first = core->id;
    }
    const CoreRef core(make_core());
    EXPECT_NE(core->id, first);
}

TEST_F(CoreRefTest, ThreadsMayCountAtTheSameTime) {
    CoreRef first(make_core());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([copy = first]() mutable {
            for (int i = 0; i < 10'000; ++i) {
                CoreRef another = copy;
                copy = std::move(another);
            }
        });
    }
    first = CoreRef();
    for (auto& thread : threads) {
        thread.join();
    }
    threads.clear();
    EXPECT_FALSE(core_lives());
}

}  // namespace
}  // namespace spargio::detail
