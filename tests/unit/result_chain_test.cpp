// SPDX-License-Identifier: MIT
// Tests of Result<T>'s chains: and_then, transform, or_else.
#include <memory>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

#include "spargio/error.hpp"
#include "spargio/result.hpp"

namespace spargio {
namespace {

Result<int> half(int number) {
    if (number % 2 != 0) {
        return IoError::UnexpectedEof;
    }
    return number / 2;
}

TEST(ResultChain, AndThenRunsOnAValueOnly) {
    EXPECT_EQ(half(8).and_then(half).and_then(half), 1);
    int calls = 0;
    const auto counting = [&](int n) {
        ++calls;
        return half(n);
    };
    EXPECT_EQ(half(6).and_then(counting).and_then(counting), IoError::UnexpectedEof);
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(half(3).and_then(counting), IoError::UnexpectedEof);
    EXPECT_EQ(calls, 1);
    const Result<> done = half(4).and_then([](int) -> Result<> { return {}; });
    EXPECT_TRUE(done);
    EXPECT_EQ(done.and_then([] { return half(2); }), 1);
    EXPECT_EQ(Result<>(SendError::Closed).and_then([] { return half(2); }), SendError::Closed);
}

TEST(ResultChain, TransformWrapsWhatTheFunctionReturns) {
    EXPECT_EQ(half(8).transform([](int n) { return std::to_string(n); }), std::string("4"));
    EXPECT_EQ(half(1).transform([](int n) { return std::to_string(n); }), IoError::UnexpectedEof);
    const Result<std::string> text = "abc";
    EXPECT_EQ(text.transform(&std::string::size), 3u);
    const Result<std::pair<int, std::string>> pair(std::in_place, 1, "one");
    EXPECT_EQ(pair.transform(&std::pair<int, std::string>::second), std::string("one"));
    const Result<std::shared_ptr<std::string>> pointer(std::make_shared<std::string>("four"));
    EXPECT_EQ(pointer.transform(&std::string::size), 4u);

    int seen = 0;
    const Result<> seen_it = half(4).transform([&](int n) { seen = n; });
    EXPECT_TRUE(seen_it);
    EXPECT_EQ(seen, 2);
    EXPECT_EQ(seen_it.transform([] { return 9; }), 9);
    EXPECT_TRUE(seen_it.transform([&] { seen = 3; }));
    EXPECT_EQ(seen, 3);
    EXPECT_EQ(Result<>(SendError::Closed).transform([] { return 9; }), SendError::Closed);
}

TEST(ResultChain, OrElseRunsOnAnErrorOnly) {
    const auto zero_at_eof = [](std::error_code error) -> Result<int> {
        if (error == IoError::UnexpectedEof) {
            return 0;
        }
        return error;
    };
    EXPECT_EQ(half(3).or_else(zero_at_eof), 0);
    EXPECT_EQ(half(4).or_else(zero_at_eof), 2);
    EXPECT_EQ(Result<int>(SendError::Closed).or_else(zero_at_eof), SendError::Closed);
    const Result<> closed = SendError::Closed;
    EXPECT_TRUE(closed.or_else([](std::error_code) { return Result<>(); }));
    EXPECT_TRUE(Result<>().or_else([](std::error_code error) { return Result<>(error); }));
}

TEST(ResultChain, ChainsPassTheValueInTheCategoryOfTheResult) {
    Result<std::string> result = "abc";
    const auto category = [](auto&& value) {
        using Value = decltype(value);
        static_assert(std::is_same_v<std::remove_cvref_t<Value>, std::string>);
        return std::is_rvalue_reference_v<Value> * 2 + std::is_const_v<std::remove_reference_t<Value>>;
    };
    const auto wrapped = [&](auto&& value) { return Result<int>(category(std::forward<decltype(value)>(value))); };
    EXPECT_EQ(result.transform(category), 0);
    EXPECT_EQ(std::as_const(result).transform(category), 1);
    EXPECT_EQ(std::move(result).transform(category), 2);
    EXPECT_EQ(std::move(std::as_const(result)).transform(category), 3);
    EXPECT_EQ(result.and_then(wrapped), 0);
    EXPECT_EQ(std::as_const(result).and_then(wrapped), 1);
    EXPECT_EQ(std::move(result).and_then(wrapped), 2);
    EXPECT_EQ(std::move(std::as_const(result)).and_then(wrapped), 3);
}

TEST(ResultChain, ChainsMoveAMoveOnlyValueThrough) {
    const auto add_one = [](std::unique_ptr<int> n) -> Result<std::unique_ptr<int>> {
        ++*n;
        return n;
    };
    const auto fail = [](std::error_code error) -> Result<std::unique_ptr<int>> { return error; };
    Result<std::unique_ptr<int>> start = std::make_unique<int>(1);
    auto end = std::move(start).and_then(add_one).or_else(fail).and_then(add_one).transform(
        [](std::unique_ptr<int> n) { return *n; });
    EXPECT_EQ(end, 3);
}

}  // namespace
}  // namespace spargio
