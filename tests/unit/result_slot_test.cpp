// SPDX-License-Identifier: MIT
// Tests of the result slot in front of a task's header: what it stores, takes out and drops.
#include "spargio/detail/result_slot.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

namespace spargio::detail {
namespace {

static_assert(result_slot_bytes(0) == 8 && result_slot_bytes(8) == 8);
static_assert(result_slot_bytes(9) == 24 && result_slot_bytes(24) == 24 && result_slot_bytes(25) == 40);
static_assert(ResultSlot<void>::bytes == 8 && ResultSlot<int>::bytes == 8, "room for an exception, no more");

struct alignas(64) OverAligned {
    std::array<unsigned char, 64> bytes{};
};
using Large = std::array<unsigned char, 20'000>;

// A task of a reference refers to what it is given; to a temporary of its own it would be the last to refer.
struct Base {};
struct Derived : Base {};
static_assert(refers_to_lasting<int, int> && refers_to_lasting<std::string, const char*>, "a value is no reference");
static_assert(refers_to_lasting<int&, int&> && refers_to_lasting<const int&, const int&>);
static_assert(refers_to_lasting<const Base&, Derived&> && refers_to_lasting<const int&, int&>);
static_assert(refers_to_lasting<const int&, std::reference_wrapper<int>>);
static_assert(refers_to_lasting<const int&, std::reference_wrapper<const int>&>);
static_assert(!refers_to_lasting<const int&, int> && !refers_to_lasting<const long&, int&>);
static_assert(!refers_to_lasting<const std::string&, const char (&)[2]>);
static_assert(!refers_to_lasting<const std::string&, std::string>);

static_assert(std::is_same_v<StoredResult<int>::type, int>);
static_assert(std::is_same_v<StoredResult<std::string>::type, std::string>);
static_assert(std::is_same_v<StoredResult<int&>::type, int*>);
static_assert(std::is_same_v<StoredResult<const std::string&>::type, const std::string*>);
static_assert(StoredResult<OverAligned>::by_pointer && StoredResult<Large>::by_pointer);
static_assert(ResultSlot<Large>::bytes == 8);

/// A block without a coroutine in it.
template <class T>
class Block {
public:
    static constexpr std::size_t frame_bytes = 64;

    Block()
        : task_(TaskHeader::of_frame(allocate_task(block_bytes(ResultSlot<T>::bytes, frame_bytes), ResultSlot<T>::bytes,
                                                   &ResultSlot<T>::run))) {
        task_->owned = true;
    }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    ~Block() {
        release_frame(task_->frame(), block_bytes(ResultSlot<T>::bytes, frame_bytes));
        free_task(task_);
    }

    TaskHeader* operator->() const { return task_; }
    operator TaskHeader*() const { return task_; }

private:
    TaskHeader* task_;
};

/// Counts the objects that live.
struct CountedNumber {
    static inline int alive = 0;

    explicit CountedNumber(int n) : number(n) { ++alive; }
    CountedNumber(CountedNumber&& other) noexcept : number(std::exchange(other.number, -1)) { ++alive; }
    CountedNumber& operator=(CountedNumber&&) = delete;
    ~CountedNumber() { --alive; }

    int number;
};

TEST(ResultSlot, BlockStartsWithoutAResult) {
    const Block<int> block;
    EXPECT_EQ(block->outcome, Outcome::Pending);
    EXPECT_FALSE(block->done());
    EXPECT_EQ(block->root(), nullptr);
    EXPECT_EQ(TaskHeader::of_frame(block->frame()), static_cast<TaskHeader*>(block));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block->frame()) % 16, 0U);
}

TEST(ResultSlot, GivesBackWhatItStored) {
    const Block<std::string> block;
    ResultSlot<std::string>::store(block, "a string too long for the small buffer of a string");
    EXPECT_EQ(block->outcome, Outcome::Value);
    EXPECT_EQ(ResultSlot<std::string>::take(block), "a string too long for the small buffer of a string");
    EXPECT_EQ(block->outcome, Outcome::Taken);
}

TEST(ResultSlot, MoveOnlyValuesAreMoved) {
    const Block<std::unique_ptr<int>> block;
    ResultSlot<std::unique_ptr<int>>::store(block, std::make_unique<int>(5));
    EXPECT_EQ(*ResultSlot<std::unique_ptr<int>>::take(block), 5);
}

TEST(ResultSlot, TakingEndsTheStoredObject) {
    {
        const Block<CountedNumber> block;
        ResultSlot<CountedNumber>::store(block, CountedNumber(3));
        EXPECT_EQ(CountedNumber::alive, 1);
        EXPECT_EQ(ResultSlot<CountedNumber>::take(block).number, 3);
        EXPECT_EQ(CountedNumber::alive, 0);
    }
    EXPECT_EQ(CountedNumber::alive, 0);
}

TEST(ResultSlot, AValueThatNobodyTookIsDroppedWithTheBlock) {
    {
        const Block<CountedNumber> block;
        ResultSlot<CountedNumber>::store(block, CountedNumber(3));
    }
    EXPECT_EQ(CountedNumber::alive, 0);
}

TEST(ResultSlot, AReferenceIsStoredAsItsAddress) {
    std::string original = "original";
    const Block<std::string&> block;
    ResultSlot<std::string&>::store(block, original);
    std::string& back = ResultSlot<std::string&>::take(block);
    EXPECT_EQ(&back, &original);

    const Block<const std::string&> other;
    ResultSlot<const std::string&>::store(other, original);
    EXPECT_EQ(&ResultSlot<const std::string&>::take(other), &original);
}

TEST(ResultSlot, AnOverAlignedValueKeepsItsAlignment) {
    struct alignas(64) SeesItsAddress {
        SeesItsAddress() = default;
        SeesItsAddress(SeesItsAddress&& other) noexcept
            : aligned(other.aligned && reinterpret_cast<std::uintptr_t>(this) % 64 == 0) {}
        SeesItsAddress& operator=(SeesItsAddress&&) = delete;
        ~SeesItsAddress() = default;
        bool aligned = true;
    };
    const Block<SeesItsAddress> block;
    ResultSlot<SeesItsAddress>::store(block, SeesItsAddress());
    EXPECT_TRUE(ResultSlot<SeesItsAddress>::take(block).aligned);
}

TEST(ResultSlot, ALongDoubleIsAligned) {
    const Block<long double> block;
    ResultSlot<long double>::store(block, 2.5L);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block->result()) % alignof(long double), 0U);
    EXPECT_EQ(ResultSlot<long double>::take(block), 2.5L);
}

TEST(ResultSlot, ALargeValueLivesOutsideTheBlock) {
    auto value = std::make_unique<Large>();
    value->back() = 7;
    const Block<Large> block;
    ResultSlot<Large>::store(block, *value);
    EXPECT_EQ(ResultSlot<Large>::take(block).back(), 7);

    const Block<Large> dropped;
    ResultSlot<Large>::store(dropped, *value);
}

TEST(ResultSlot, VoidHasAnOutcomeOnly) {
    const Block<void> block;
    ResultSlot<void>::store_void(block);
    EXPECT_EQ(block->outcome, Outcome::Value);
    ResultSlot<void>::take(block);
    EXPECT_EQ(block->outcome, Outcome::Taken);
}

struct ThrowsWhenMovedOut {
    static inline int alive = 0;
    explicit ThrowsWhenMovedOut(int after) : moves_left(after) { ++alive; }
    ThrowsWhenMovedOut(ThrowsWhenMovedOut&& other) : moves_left(other.moves_left - 1) {
        if (moves_left < 0) {
            throw std::runtime_error("no move");
        }
        ++alive;
    }
    ThrowsWhenMovedOut& operator=(ThrowsWhenMovedOut&&) = delete;
    ~ThrowsWhenMovedOut() { --alive; }
    int moves_left;
};

TEST(ResultSlot, AMoveThatThrowsLeavesNoObject) {
    {
        const Block<ThrowsWhenMovedOut> block;
        ResultSlot<ThrowsWhenMovedOut>::store(block, ThrowsWhenMovedOut(1));
        EXPECT_EQ(ThrowsWhenMovedOut::alive, 1);
        EXPECT_THROW(static_cast<void>(ResultSlot<ThrowsWhenMovedOut>::take(block)), std::runtime_error);
        EXPECT_EQ(block->outcome, Outcome::Taken);
    }
    EXPECT_EQ(ThrowsWhenMovedOut::alive, 0);
}

TEST(ResultSlot, AStoreThatThrowsStoresNothing) {
    {
        const Block<ThrowsWhenMovedOut> block;
        EXPECT_THROW(ResultSlot<ThrowsWhenMovedOut>::store(block, ThrowsWhenMovedOut(0)), std::runtime_error);
        EXPECT_EQ(block->outcome, Outcome::Pending);
    }
    EXPECT_EQ(ThrowsWhenMovedOut::alive, 0);
}

// What an exception_ptr refers to lives as long as one of them: the object tells.
struct Thrown {
    explicit Thrown(std::shared_ptr<int> what) : token(std::move(what)) {}
    std::shared_ptr<int> token;
};

TEST(ResultSlot, KeepsAnException) {
    const auto token = std::make_shared<int>(0);
    {
        const Block<int> block;
        store_exception(block, std::make_exception_ptr(Thrown(token)));
        EXPECT_EQ(block->outcome, Outcome::Exception);
        EXPECT_EQ(token.use_count(), 2);
        EXPECT_THROW(std::rethrow_exception(take_exception(block)), Thrown);
        EXPECT_EQ(block->outcome, Outcome::Taken);
        EXPECT_EQ(token.use_count(), 1);
    }
    {
        const Block<int> block;
        store_exception(block, std::make_exception_ptr(Thrown(token)));  // Nobody takes it.
    }
    EXPECT_EQ(token.use_count(), 1);
}

TEST(ResultSlot, AnExceptionReplacesAValue) {
    {
        const Block<CountedNumber> block;
        ResultSlot<CountedNumber>::store(block, CountedNumber(1));
        store_exception(block, std::make_exception_ptr(std::runtime_error("later")));
        EXPECT_EQ(CountedNumber::alive, 0);
        EXPECT_EQ(block->outcome, Outcome::Exception);
    }
    EXPECT_EQ(CountedNumber::alive, 0);
}

}  // namespace
}  // namespace spargio::detail
