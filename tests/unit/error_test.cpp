// SPDX-License-Identifier: MIT
// Tests of the error enums, their categories and the checked failure.
#include "spargio/error.hpp"

#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace spargio {
namespace {

static_assert(std::is_error_code_enum_v<RuntimeError> && std::is_error_code_enum_v<SendError>);
static_assert(std::is_error_code_enum_v<JoinError> && std::is_error_code_enum_v<BoundaryError>);
static_assert(std::is_error_code_enum_v<IoError>);
static_assert(!std::is_error_condition_enum_v<SendError>);

// The numbers are part of the contract: they end up in logs and on wires.
static_assert(static_cast<int>(RuntimeError::InvalidConfig) == 1 && static_cast<int>(RuntimeError::ThreadSpawn) == 2);
static_assert(static_cast<int>(RuntimeError::InvalidShard) == 3 && static_cast<int>(RuntimeError::Closed) == 4);
static_assert(static_cast<int>(RuntimeError::Overloaded) == 5 &&
              static_cast<int>(RuntimeError::UnsupportedBackend) == 6);
static_assert(static_cast<int>(RuntimeError::IoUringInit) == 7);
static_assert(static_cast<int>(SendError::Closed) == 1 && static_cast<int>(SendError::Backpressure) == 2);
static_assert(static_cast<int>(SendError::InvalidTag) == 3 && static_cast<int>(JoinError::Canceled) == 1);
static_assert(static_cast<int>(BoundaryError::Closed) == 1 && static_cast<int>(BoundaryError::Overloaded) == 2);
static_assert(static_cast<int>(BoundaryError::Timeout) == 3 && static_cast<int>(BoundaryError::Canceled) == 4);
static_assert(static_cast<int>(IoError::UnexpectedEof) == 1 && static_cast<int>(IoError::WriteZero) == 2);

struct EnumInfo {
    const char* name;
    const std::error_category& (*category)() noexcept;
    int count;
};

const EnumInfo enums[] = {
    {"spargio.runtime", runtime_category, 7},   {"spargio.send", send_category, 3}, {"spargio.join", join_category, 1},
    {"spargio.boundary", boundary_category, 4}, {"spargio.io", io_category, 2},
};

TEST(Error, EachEnumHasItsOwnNamedCategory) {
    std::set<const std::error_category*> distinct;
    for (const EnumInfo& info : enums) {
        EXPECT_STREQ(info.category().name(), info.name);
        EXPECT_EQ(&info.category(), &info.category());
        distinct.insert(&info.category());
    }
    EXPECT_EQ(distinct.size(), std::size(enums));
}

TEST(Error, EachEnumeratorHasASentenceOfItsOwnThatSaysWhatToDo) {
    std::set<std::string> messages;
    for (const EnumInfo& info : enums) {
        for (int value = 1; value <= info.count; ++value) {
            const std::string message = info.category().message(value);
            EXPECT_EQ(message.find("unknown"), std::string::npos) << info.name << " " << value;
            const std::size_t colon = message.find(": ");
            ASSERT_NE(colon, std::string::npos) << "what happened, a colon, what to do: " << message;
            EXPECT_GT(message.size() - colon, 10u) << message;
            EXPECT_TRUE(messages.insert(message).second) << "said twice: " << message;
        }
    }
}

TEST(Error, ANumberThatIsNoEnumeratorIsNamedUnknown) {
    for (const EnumInfo& info : enums) {
        for (const int value : {0, -1, info.count + 1, 4711}) {
            EXPECT_EQ(info.category().message(value),
                      "unknown " + std::string(info.name) + " error " + std::to_string(value));
            EXPECT_EQ(info.category().default_error_condition(value).value(), value);
        }
    }
}

TEST(Error, EnumeratorsBecomeCodesImplicitly) {
    const std::error_code code = SendError::Backpressure;
    EXPECT_EQ(code.value(), 2);
    EXPECT_EQ(&code.category(), &send_category());
    EXPECT_TRUE(code == SendError::Backpressure);
    EXPECT_TRUE(SendError::Backpressure == code);
    EXPECT_TRUE(code != SendError::Closed);
    EXPECT_TRUE(static_cast<bool>(code));
    EXPECT_EQ(make_error_code(RuntimeError::IoUringInit).category(), runtime_category());
    EXPECT_EQ(make_error_code(JoinError::Canceled).category(), join_category());
    EXPECT_EQ(make_error_code(BoundaryError::Timeout).category(), boundary_category());
    EXPECT_EQ(make_error_code(IoError::WriteZero).category(), io_category());
}

TEST(Error, EqualNumbersOfDifferentEnumsDiffer) {
    EXPECT_TRUE(std::error_code(SendError::Closed) != std::error_code(BoundaryError::Closed));
    EXPECT_TRUE(std::error_code(JoinError::Canceled) != std::error_code(BoundaryError::Canceled));
    EXPECT_TRUE(std::error_code(RuntimeError::Overloaded) != std::error_code(BoundaryError::Overloaded));
}

TEST(Error, CodesWithAStandardMeaningCompareWithErrc) {
    // A join tells the two apart: the joiner was stopped, or the task was destroyed.
    EXPECT_TRUE(std::error_code(JoinError::Canceled) != std::errc::operation_canceled);
    EXPECT_TRUE(std::error_code(BoundaryError::Canceled) == std::errc::operation_canceled);
    EXPECT_TRUE(std::error_code(BoundaryError::Timeout) == std::errc::timed_out);
    EXPECT_TRUE(std::error_code(RuntimeError::InvalidConfig) == std::errc::invalid_argument);
    EXPECT_TRUE(std::error_code(RuntimeError::InvalidShard) == std::errc::invalid_argument);
    EXPECT_TRUE(std::error_code(RuntimeError::UnsupportedBackend) == std::errc::operation_not_supported);
    EXPECT_TRUE(std::error_code(BoundaryError::Timeout) == BoundaryError::Timeout) << "and stay themselves";
    EXPECT_TRUE(std::error_code(SendError::Backpressure) != std::errc::timed_out);
    EXPECT_TRUE(std::error_code(BoundaryError::Closed) != std::errc::operation_canceled);
}

TEST(Error, ThrowSystemErrorCarriesTheCodeAndItsMessage) {
    try {
        detail::throw_system_error(SendError::InvalidTag);
        FAIL() << "it returned";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), SendError::InvalidTag);
        EXPECT_NE(std::string_view(error.what()).find("0xFFFF"), std::string_view::npos);
    }
}

// A runtime that is a global object may still report errors while the program exits.
struct UsesCategoriesAtExit {
    ~UsesCategoriesAtExit() {
        const std::error_code code = RuntimeError::Closed;
        SPARGIO_CHECK(code.message().find("shut down") != std::string::npos, "a category was destroyed too early");
    }
};
[[maybe_unused]] const UsesCategoriesAtExit uses_categories_at_exit;

TEST(CheckedFailureDeathTest, SaysTheSentenceAndAborts) {
    EXPECT_EXIT(detail::checked_failure("do this instead"), ::testing::KilledBySignal(SIGABRT),
                "spargio: do this instead\n");
}

TEST(CheckedFailureDeathTest, TheMacroStaysOnInEveryBuildAndEvaluatesOnce) {
    int evaluations = 0;
    SPARGIO_CHECK(++evaluations == 1, "not reached");
    EXPECT_EQ(evaluations, 1);
    EXPECT_DEATH(SPARGIO_CHECK(evaluations == 2, "two, please"), "spargio: two, please");
}

}  // namespace
}  // namespace spargio
