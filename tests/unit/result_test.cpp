// SPDX-License-Identifier: MIT
// Tests of Result<T>.
#include "spargio/result.hpp"

#include <any>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace spargio {
namespace {

// Counts what lives, and which way it was made; a move leaves -1 behind.
struct Counted {
    static inline int alive = 0;
    static inline int copies = 0;
    static inline int moves = 0;
    static inline bool throw_on_copy = false;

    static void reset() {
        alive = copies = moves = 0;
        throw_on_copy = false;
    }

    explicit Counted(int n) : number(n) { ++alive; }
    Counted(const Counted& other) : number(other.number) {
        if (throw_on_copy) {
            throw std::string("no copy");
        }
        ++alive;
        ++copies;
    }
    Counted(Counted&& other) noexcept : number(std::exchange(other.number, -1)) {
        ++alive;
        ++moves;
    }
    Counted& operator=(const Counted& other) {
        if (throw_on_copy) {
            throw std::string("no copy");
        }
        number = other.number;
        ++copies;
        return *this;
    }
    Counted& operator=(Counted&& other) noexcept {
        number = std::exchange(other.number, -1);
        ++moves;
        return *this;
    }
    ~Counted() { --alive; }

    friend bool operator==(const Counted& a, const Counted& b) { return a.number == b.number; }

    int number;
};

// An error-code enum of a user, with an enumerator for success as many such enums have.
enum class ForeignError { None = 0, Broken = 1 };

class ForeignCategory final : public std::error_category {
public:
    const char* name() const noexcept override { return "foreign"; }
    std::string message(int) const override { return "broken"; }
};

std::error_code make_error_code(ForeignError error) {
    static const ForeignCategory category;
    return {static_cast<int>(error), category};
}

struct ImmovableSum {
    ImmovableSum(int a, int b) : sum(a + b) {}
    ImmovableSum(const ImmovableSum&) = delete;
    ImmovableSum& operator=(const ImmovableSum&) = delete;
    int sum;
};

struct NotDefaultConstructible {
    explicit NotDefaultConstructible(int) {}
};

struct FromResult {
    FromResult(const Result<int>& result) : had_value(result.has_value()) {}
    bool had_value;
};

}  // namespace
}  // namespace spargio

template <>
struct std::is_error_code_enum<spargio::ForeignError> : std::true_type {};

namespace spargio {
namespace {

// What the type promises to the compiler.

static_assert(std::is_same_v<Result<>, Result<void>>);
static_assert(std::is_same_v<Result<int>::value_type, int> && std::is_same_v<Result<>::value_type, void>);
static_assert(std::is_same_v<Result<int>::error_type, std::error_code>);

static_assert(sizeof(Result<void>) <= 16 && sizeof(Result<void*>) <= 24);
static_assert(std::is_trivially_copyable_v<Result<void>> && std::is_trivially_copyable_v<Result<std::size_t>>);
static_assert(std::is_trivially_destructible_v<Result<int>> && !std::is_trivially_destructible_v<Result<std::string>>);

static_assert(std::is_copy_constructible_v<Result<std::string>> && std::is_copy_assignable_v<Result<std::string>>);
static_assert(std::is_nothrow_move_constructible_v<Result<std::string>> &&
              std::is_nothrow_move_assignable_v<Result<std::string>>);
static_assert(!std::is_copy_constructible_v<Result<std::unique_ptr<int>>> &&
              !std::is_copy_assignable_v<Result<std::unique_ptr<int>>>);
static_assert(std::is_nothrow_move_constructible_v<Result<std::unique_ptr<int>>> &&
              std::is_nothrow_move_assignable_v<Result<std::unique_ptr<int>>>);
static_assert(!std::is_move_constructible_v<Result<ImmovableSum>>);
static_assert(!std::is_nothrow_copy_constructible_v<Result<Counted>> &&
              std::is_nothrow_move_constructible_v<Result<Counted>>);

static_assert(std::is_default_constructible_v<Result<int>> &&
              !std::is_default_constructible_v<Result<NotDefaultConstructible>>);
static_assert(std::is_convertible_v<int, Result<int>> && std::is_convertible_v<const char*, Result<std::string>>);
static_assert(std::is_convertible_v<std::error_code, Result<int>> && std::is_convertible_v<SendError, Result<>>);
static_assert(std::is_convertible_v<ForeignError, Result<std::string>> &&
              std::is_convertible_v<std::io_errc, Result<>>);
static_assert(std::is_constructible_v<Result<NotDefaultConstructible>, int> &&
              !std::is_convertible_v<int, Result<NotDefaultConstructible>>);
static_assert(!std::is_constructible_v<Result<int>, std::string> && !std::is_constructible_v<Result<>, int>);
static_assert(!std::is_constructible_v<Result<>, Result<int>> && !std::is_constructible_v<Result<int>, Result<>>);
static_assert(std::is_convertible_v<Result<int>, Result<long>> &&
              !std::is_constructible_v<Result<int>, Result<std::any*>>);
static_assert(!std::is_convertible_v<Result<int>, bool> && std::is_constructible_v<bool, Result<int>>);
static_assert(std::is_nothrow_constructible_v<Result<int>, int> &&
              std::is_nothrow_constructible_v<Result<int>, SendError>);
static_assert(!std::is_nothrow_constructible_v<Result<std::string>, const char*>);

static_assert(std::is_same_v<decltype(*std::declval<Result<int>&>()), int&>);
static_assert(std::is_same_v<decltype(*std::declval<const Result<int>&>()), const int&>);
static_assert(std::is_same_v<decltype(*std::declval<Result<int>>()), int&&>);
static_assert(std::is_same_v<decltype(*std::declval<const Result<int>>()), const int&&>);
static_assert(std::is_same_v<decltype(std::declval<Result<int>&>().value()), int&>);
static_assert(std::is_same_v<decltype(std::declval<const Result<int>&>().value()), const int&>);
static_assert(std::is_same_v<decltype(std::declval<Result<int>>().value()), int&&>);
static_assert(std::is_same_v<decltype(std::declval<const Result<int>>().value()), const int&&>);
static_assert(noexcept(*std::declval<Result<int>&>()) && !noexcept(std::declval<Result<int>&>().value()));

// A value needs no run time.
constexpr Result<int> constant = 42;
static_assert(constant.has_value() && *constant == 42 && constant.value() == 42 && constant.value_or(1) == 42);
static_assert(constant.transform([](int n) { return n + 1; }) == 43);
static_assert(Result<void>().has_value());

TEST(Result, HoldsTheValueItWasMadeFrom) {
    Result<std::string> result = "text";
    ASSERT_TRUE(result.has_value());
    EXPECT_TRUE(result);
    EXPECT_EQ(*result, "text");
    EXPECT_EQ(result->size(), 4u);
    EXPECT_EQ(result.value(), "text");
    EXPECT_FALSE(result.error());
    EXPECT_EQ(result.error(), std::error_code());
    *result = "other";
    EXPECT_EQ(std::as_const(result)->front(), 'o');
}

TEST(Result, HoldsTheErrorItWasMadeFrom) {
    Result<std::string> result = std::make_error_code(std::errc::connection_refused);
    EXPECT_FALSE(result.has_value());
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error(), std::errc::connection_refused);
    EXPECT_EQ(result.error().category(), std::generic_category());
}

TEST(Result, TakesErrorCodesOfAnyEnum) {
    const auto own = []() -> Result<int> { return SendError::Backpressure; };
    const auto foreign = []() -> Result<int> { return ForeignError::Broken; };
    const auto standard = []() -> Result<int> { return std::io_errc::stream; };
    EXPECT_TRUE(own().error() == SendError::Backpressure);
    EXPECT_FALSE(own().error() == SendError::Closed);
    EXPECT_TRUE(foreign().error() == ForeignError::Broken);
    EXPECT_TRUE(standard().error() == std::io_errc::stream);
}

TEST(Result, KeepsErrnoValuesComparableWithErrc) {
    const Result<> result = std::error_code(ECANCELED, std::system_category());
    EXPECT_EQ(result.error(), std::errc::operation_canceled);
    EXPECT_EQ(result.error().value(), ECANCELED);
}

TEST(Result, DefaultConstructedHoldsADefaultValue) {
    EXPECT_EQ(*Result<int>(), 0);
    EXPECT_EQ(*Result<std::string>(), "");
    EXPECT_TRUE(Result<>().has_value());
    const auto nothing = []() -> Result<> { return {}; };
    EXPECT_TRUE(nothing());
}

TEST(Result, BuildsAnImmovableValueInPlace) {
    const Result<ImmovableSum> result(std::in_place, 3, 4);
    EXPECT_EQ(result->sum, 7);
    const Result<ImmovableSum> failed = JoinError::Canceled;
    EXPECT_EQ(failed.error(), JoinError::Canceled);
}

TEST(Result, ValueOnAnErrorThrowsASystemErrorThatSaysWhatWentWrong) {
    Result<std::string> result = RuntimeError::Closed;
    const auto expect_throw = [](auto&& call) {
        try {
            call();
            FAIL() << "nothing was thrown";
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code(), RuntimeError::Closed);
            EXPECT_NE(std::string_view(error.what()).find("shut down"), std::string_view::npos) << error.what();
        }
    };
    expect_throw([&] { static_cast<void>(result.value()); });
    expect_throw([&] { static_cast<void>(std::as_const(result).value()); });
    expect_throw([&] { static_cast<void>(std::move(result).value()); });
    expect_throw([&] { static_cast<void>(std::move(std::as_const(result)).value()); });
    expect_throw([] { Result<>(RuntimeError::Closed).value(); });
}

TEST(Result, VoidValueOnSuccessDoesNothing) {
    const Result<> result;
    EXPECT_NO_THROW(result.value());
    *result;
}

TEST(ResultDeathTest, UsingTheValueOfAnErrorStopsWithASentence) {
    Result<std::string> result = SendError::Closed;
    const Result<> nothing = SendError::Closed;
    EXPECT_DEATH(static_cast<void>(*result),
                 "spargio: the value of a Result that holds an error was used.*value\\(\\)");
    EXPECT_DEATH(static_cast<void>(*std::move(result)), "holds an error was used");
    EXPECT_DEATH(static_cast<void>(*std::as_const(result)), "holds an error was used");
    EXPECT_DEATH(static_cast<void>(result->size()), "holds an error was used");
    EXPECT_DEATH(*nothing, "holds an error was used");
}

TEST(ResultDeathTest, AnEmptyCodeAsTheErrorStopsWithASentence) {
    EXPECT_DEATH(static_cast<void>(Result<int>(std::error_code())), "spargio: .*empty std::error_code");
    EXPECT_DEATH(static_cast<void>(Result<int>(ForeignError::None)), "empty std::error_code");
}

TEST(Result, OfNothingTakesAnEmptyCodeForSuccess) {
    const auto remove = [](bool fails) -> Result<> {
        std::error_code error;
        if (fails) {
            error = std::make_error_code(std::errc::permission_denied);
        }
        return error;
    };
    EXPECT_TRUE(remove(false).has_value());
    EXPECT_EQ(remove(false).error(), std::error_code());
    EXPECT_EQ(remove(true).error(), std::errc::permission_denied);
}

TEST(Result, CopiesAndMovesWhatItHolds) {
    Counted::reset();
    {
        Result<Counted> first(7);
        EXPECT_EQ(Counted::moves + Counted::copies, 0) << "made in place";
        Result<Counted> copy = first;
        EXPECT_EQ(Counted::copies, 1);
        Result<Counted> moved = std::move(first);
        EXPECT_EQ(Counted::moves, 1);
        EXPECT_TRUE(first.has_value()) << "like std::expected: what is left is a moved-from value";
        EXPECT_EQ(copy->number, 7);
        EXPECT_EQ(moved->number, 7);

        const Result<Counted> failed = IoError::WriteZero;
        Result<Counted> failed_copy = failed;
        Result<Counted> failed_moved = std::move(failed_copy);
        EXPECT_EQ(failed_moved.error(), IoError::WriteZero);
        EXPECT_EQ(Counted::alive, 3);
    }
    EXPECT_EQ(Counted::alive, 0);
}

TEST(Result, AssignmentCoversEachPairOfStates) {
    Counted::reset();
    {
        const Result<Counted> one(1);
        const Result<Counted> failed = SendError::Closed;
        Result<Counted> target(9);

        target = one;
        EXPECT_EQ(target->number, 1);
        target = failed;
        EXPECT_EQ(target.error(), SendError::Closed);
        EXPECT_EQ(Counted::alive, 1);
        target = SendError::Backpressure;
        EXPECT_EQ(target.error(), SendError::Backpressure);
        target = one;
        EXPECT_EQ(target->number, 1);
        EXPECT_FALSE(target.error());
        target = Result<Counted>(2);
        EXPECT_EQ(target->number, 2);

        auto& alias = target;
        target = alias;
        EXPECT_EQ(target->number, 2);
        EXPECT_EQ(Counted::alive, 2);
    }
    EXPECT_EQ(Counted::alive, 0);
}

TEST(Result, AThrowingCopyIntoAnErrorLeavesTheError) {
    Counted::reset();
    {
        const Result<Counted> source(1);
        Result<Counted> target = SendError::Closed;
        Counted::throw_on_copy = true;
        EXPECT_THROW(target = source, std::string);
        EXPECT_EQ(target.error(), SendError::Closed);
        EXPECT_THROW(static_cast<void>(Result<Counted>{source}), std::string);
    }
    EXPECT_EQ(Counted::alive, 0);
}

TEST(Result, CarriesMoveOnlyValues) {
    Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
    EXPECT_EQ(**result, 5);
    Result<std::unique_ptr<int>> moved = std::move(result);
    const std::unique_ptr<int> taken = std::move(moved).value();
    EXPECT_EQ(*taken, 5);
    moved = SendError::Closed;
    moved = std::make_unique<int>(6);
    EXPECT_EQ(**moved, 6);
    std::vector<Result<std::unique_ptr<int>>> several;
    several.push_back(std::move(moved));
    several.emplace_back(SendError::Closed);
    EXPECT_EQ(**several.front(), 6);
}

TEST(Result, SwapsLikeAnyValue) {
    Result<std::string> a = "a";
    Result<std::string> b = SendError::Closed;
    std::swap(a, b);
    EXPECT_EQ(a.error(), SendError::Closed);
    EXPECT_EQ(b, "a");
}

TEST(Result, ConvertsFromAResultOfAConvertibleType) {
    const Result<int> number = 3;
    Result<long> wide = number;
    EXPECT_EQ(*wide, 3);
    wide = Result<int>(SendError::InvalidTag);
    EXPECT_EQ(wide.error(), SendError::InvalidTag);

    Result<std::unique_ptr<int>> unique = std::make_unique<int>(4);
    const Result<std::shared_ptr<int>> shared = std::move(unique);
    EXPECT_EQ(**shared, 4);

    const Result<NotDefaultConstructible> explicitly(number);
    EXPECT_TRUE(explicitly);
}

TEST(Result, ABoolTakesTheOtherValueAndNotWhetherThereIsOne) {
    EXPECT_EQ(*Result<bool>(Result<int>(0)), false);
    const Result<bool> failed{Result<int>(SendError::Closed)};
    EXPECT_EQ(failed.error(), SendError::Closed);
}

TEST(Result, ATypeThatTakesTheWholeResultGetsIt) {
    const Result<FromResult> taken = Result<int>(SendError::Closed);
    ASSERT_TRUE(taken);
    EXPECT_FALSE(taken->had_value);

    const Result<std::any> any = Result<int>(1);
    ASSERT_TRUE(any);
    EXPECT_NE(std::any_cast<Result<int>>(&*any), nullptr);
}

TEST(Result, AnErrorCodeIsTheErrorEvenWhereAValueCouldBeMadeFromIt) {
    const Result<std::any> any = std::error_code(SendError::Closed);
    EXPECT_EQ(any.error(), SendError::Closed);
    const Result<std::any> from_enum = SendError::Closed;
    EXPECT_EQ(from_enum.error(), SendError::Closed);
}

TEST(Result, NestsWithTheErrorOnTheOutside) {
    Result<Result<int>> nested = SendError::Closed;
    EXPECT_EQ(nested.error(), SendError::Closed);
    nested = Result<int>(SendError::Backpressure);
    ASSERT_TRUE(nested);
    EXPECT_EQ(nested->error(), SendError::Backpressure);
    nested = 5;
    EXPECT_EQ(**nested, 5);
    EXPECT_EQ(nested.and_then([](Result<int> inner) { return inner; }), 5);
    Result<Result<>> nested_void;
    EXPECT_TRUE(nested_void && *nested_void);
    nested_void = Result<>(SendError::Closed);
    EXPECT_TRUE(nested_void && !*nested_void);
}

TEST(Result, ValueOrGivesTheOtherOnlyForAnError) {
    const Result<std::string> good = "good";
    const Result<std::string> bad = SendError::Closed;
    EXPECT_EQ(good.value_or("other"), "good");
    EXPECT_EQ(bad.value_or("other"), "other");
    Result<std::unique_ptr<int>> pointer = std::make_unique<int>(1);
    EXPECT_EQ(*std::move(pointer).value_or(nullptr), 1);
    EXPECT_EQ(Result<std::unique_ptr<int>>(SendError::Closed).value_or(nullptr), nullptr);
}

TEST(Result, OrElseKeepsTheValueOfAnLvalue) {
    Counted::reset();
    {
        Result<Counted> result(3);
        const auto fail = [](std::error_code error) { return Result<Counted>(error); };
        EXPECT_EQ(result.or_else(fail), Counted(3));
        EXPECT_EQ(result->number, 3);
        EXPECT_EQ(std::move(result).or_else(fail), Counted(3));
        EXPECT_EQ(result->number, -1);
    }
    EXPECT_EQ(Counted::alive, 0);
}

TEST(Result, ComparesWithResultsValuesAndErrors) {
    const Result<int> three = 3;
    const Result<int> closed = SendError::Closed;
    EXPECT_TRUE(three == Result<int>(3));
    EXPECT_TRUE(three == Result<long>(3));
    EXPECT_TRUE(three != Result<int>(4));
    EXPECT_TRUE(three != closed);
    EXPECT_TRUE(closed == Result<int>(SendError::Closed));
    EXPECT_TRUE(closed != Result<int>(SendError::Backpressure));
    EXPECT_TRUE(closed != Result<int>(BoundaryError::Closed)) << "the same number in another category";

    EXPECT_TRUE(three == 3);
    EXPECT_TRUE(3 == three);
    EXPECT_TRUE(three != 4);
    EXPECT_TRUE(closed != 1);

    EXPECT_TRUE(closed == SendError::Closed);
    EXPECT_TRUE(closed != SendError::Backpressure);
    EXPECT_TRUE(three != SendError::Closed);
    EXPECT_TRUE(closed == make_error_code(SendError::Closed));
    EXPECT_TRUE(three == std::error_code()) << "an empty code is what error() gives for a value";

    EXPECT_TRUE(Result<>() == Result<>());
    EXPECT_TRUE(Result<>() != Result<>(SendError::Closed));
    EXPECT_TRUE(Result<>(SendError::Closed) == SendError::Closed);
}

TEST(Result, AContainerMayMixValuesAndErrors) {
    const std::vector<Result<std::string>> results = {"a", SendError::Closed, "c"};
    std::string joined;
    for (const Result<std::string>& result : results) {
        joined += result.value_or("-");
    }
    EXPECT_EQ(joined, "a-c");
}

}  // namespace
}  // namespace spargio
