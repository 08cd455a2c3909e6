// SPDX-License-Identifier: MIT
// Tests of Task: ownership, results, exceptions, and when a frame's objects end.
#include "spargio/task.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "small_runtime.hpp"
#include "spargio/result.hpp"
#include "spargio/spawnable.hpp"

namespace spargio {
namespace {

/// Counts what lives. Copying it throws when told to.
struct CountedObject {
    static inline int alive = 0;

    CountedObject() { ++alive; }
    CountedObject(const CountedObject&) { ++alive; }
    CountedObject& operator=(const CountedObject&) = default;
    ~CountedObject() { --alive; }
};

/// Runs one small runtime for a suite: each test's task runs on its shard.
class TaskTest : public testing::Test {
protected:
    static void SetUpTestSuite() { runtime_ = std::make_unique<Runtime>(test::small_runtime()); }
    static void TearDownTestSuite() { runtime_.reset(); }
    void SetUp() override { CountedObject::alive = 0; }
    void TearDown() override { EXPECT_EQ(CountedObject::alive, 0); }

    template <class T>
    static T run(Task<T> task) {
        return runtime_->block_on(std::move(task));
    }

private:
    static inline std::unique_ptr<Runtime> runtime_;
};

Task<int> number(int n) {
    co_return n;
}

using TaskOwnership = TaskTest;

TEST_F(TaskOwnership, MovingLeavesNothingBehind) {
    auto first = number(1);
    EXPECT_TRUE(first.valid());
    auto second = std::move(first);
    EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move)
    EXPECT_TRUE(second.valid());
    auto third = number(3);
    third = std::move(second);
    EXPECT_FALSE(second.valid());  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(run(std::move(third)), 1);
    EXPECT_FALSE(third.valid());  // NOLINT(bugprone-use-after-move)
}

Task<> keep(std::shared_ptr<int> token, int& ran) {
    ++ran;
    ++*token;
    co_return;
}

TEST_F(TaskOwnership, DestroyingAnUnstartedTaskRunsNothingAndEndsItsParameters) {
    auto token = std::make_shared<int>(0);
    int ran = 0;
    {
        auto task = keep(token, ran);
        EXPECT_EQ(token.use_count(), 2);
        static_cast<void>(task);
    }
    EXPECT_EQ(token.use_count(), 1);
    EXPECT_EQ(ran, 0);
}

TEST_F(TaskOwnership, AssigningDestroysTheOldTask) {
    auto token = std::make_shared<int>(0);
    int ran = 0;
    auto task = keep(token, ran);
    task = keep(nullptr, ran);
    EXPECT_EQ(token.use_count(), 1);
    Task<>& itself = task;
    task = std::move(itself);
    EXPECT_TRUE(task.valid());
    EXPECT_EQ(ran, 0);
}

TEST_F(TaskOwnership, ParametersEndWithTheTask) {
    auto token = std::make_shared<int>(0);
    int ran = 0;
    run(keep(token, ran));
    EXPECT_EQ(ran, 1);
    EXPECT_EQ(*token, 1);
    EXPECT_EQ(token.use_count(), 1);
}

Task<int> sum_of(std::vector<Task<int>> tasks) {
    int sum = 0;
    for (auto& task : tasks) {
        sum += co_await std::move(task);
    }
    co_return sum;
}

TEST_F(TaskOwnership, TasksLiveInContainers) {
    std::vector<Task<int>> tasks;
    for (int i = 1; i <= 100; ++i) {
        tasks.push_back(number(i));
    }
    EXPECT_EQ(run(sum_of(std::move(tasks))), 5050);
}

Task<> await_some(std::vector<Task<>> tasks) {
    co_await std::move(tasks[1]);
}

TEST_F(TaskOwnership, ATaskThatNobodyAwaitsEndsWithItsOwner) {
    auto token = std::make_shared<int>(0);
    int ran = 0;
    std::vector<Task<>> tasks;
    for (int i = 0; i < 3; ++i) {
        tasks.push_back(keep(token, ran));
    }
    run(await_some(std::move(tasks)));
    EXPECT_EQ(ran, 1);
    EXPECT_EQ(token.use_count(), 1);
}

using TaskResult = TaskTest;

Task<std::unique_ptr<int>> owner(int n) {
    co_return std::make_unique<int>(n);
}
Task<std::string> text() {
    co_return "converted from a literal that is too long for a small string";
}
Task<std::optional<int>> maybe(bool some) {
    if (some) {
        co_return 5;
    }
    co_return std::nullopt;
}
Task<Result<int>> result_of(bool good) {
    if (good) {
        co_return 7;
    }
    co_return std::make_error_code(std::errc::io_error);
}
Task<std::pair<int, int>> braced() {
    co_return {3, 4};
}

TEST_F(TaskResult, IsWhatTheTaskReturned) {
    EXPECT_EQ(run(number(42)), 42);
    EXPECT_EQ(*run(owner(3)), 3);
    EXPECT_EQ(run(text()).substr(0, 9), "converted");
    EXPECT_EQ(run(maybe(true)), 5);
    EXPECT_EQ(run(maybe(false)), std::nullopt);
    EXPECT_EQ(run(result_of(true)).value(), 7);
    EXPECT_EQ(run(result_of(false)).error(), std::errc::io_error);
    EXPECT_EQ(run(braced()), std::pair(3, 4));
}

Task<int&> pass_on(int& target) {
    co_return target;
}
Task<> increment(int& target) {
    int& same = co_await pass_on(target);
    ++same;
}
Task<const std::string&> first_of(const std::vector<std::string>& texts) {
    co_return texts.front();
}

TEST_F(TaskResult, MayBeAReference) {
    int target = 1;
    EXPECT_EQ(&run(pass_on(target)), &target);
    run(increment(target));
    EXPECT_EQ(target, 2);
    const std::vector<std::string> texts{"one", "two"};
    EXPECT_EQ(&run(first_of(texts)), &texts.front());
}

struct Immovable {
    explicit Immovable(int n) : number(n) {}
    Immovable(const Immovable&) = delete;
    Immovable& operator=(const Immovable&) = delete;
    int number;
};
Task<Immovable&> lend(Immovable& thing) {
    co_return thing;
}

TEST_F(TaskResult, MayBeAReferenceToWhatCannotMove) {
    Immovable thing(9);
    EXPECT_EQ(run(lend(thing)).number, 9);
}

struct NoDefault {
    explicit NoDefault(int n) : number(n) {}
    int number;
};
Task<NoDefault> no_default() {
    co_return NoDefault(8);
}

TEST_F(TaskResult, NeedsNoDefaultConstructor) {
    EXPECT_EQ(run(no_default()).number, 8);
}

struct alignas(64) Aligned {
    Aligned() = default;
    Aligned(Aligned&& other) noexcept : right(other.right && reinterpret_cast<std::uintptr_t>(this) % 64 == 0) {}
    Aligned& operator=(Aligned&&) = delete;
    ~Aligned() = default;
    bool right = true;
};
Task<Aligned> aligned() {
    co_return Aligned();
}

struct Large {
    unsigned char bytes[40'000];
};
Task<Large> large() {
    auto value = std::make_unique<Large>();
    value->bytes[39'999] = 11;
    co_return *value;
}

TEST_F(TaskResult, MayBeOverAlignedOrLarge) {
    EXPECT_TRUE(run(aligned()).right);
    EXPECT_EQ(run(large()).bytes[39'999], 11);
}

Task<CountedObject> counted() {
    co_return CountedObject();
}
Task<> drop_counted() {
    static_cast<void>(co_await counted());
    EXPECT_EQ(CountedObject::alive, 0);
}

TEST_F(TaskResult, EndsWithTheExpressionThatAwaitedIt) {
    run(drop_counted());
}

using TaskException = TaskTest;

Task<int> fail(const char* what) {
    const CountedObject local;
    if (what != nullptr) {
        throw std::runtime_error(what);
    }
    co_return 0;
}
Task<int> pass_up(const char* what) {
    const CountedObject local;
    co_return co_await fail(what) + 1;
}
Task<std::string> catch_one(const char* what) {
    try {
        co_return std::to_string(co_await pass_up(what));
    } catch (const std::runtime_error& error) {
        EXPECT_EQ(CountedObject::alive, 0);
        co_return error.what();
    }
}

TEST_F(TaskException, ComesOutUnchangedWhereTheTaskIsAwaited) {
    EXPECT_EQ(run(catch_one("went wrong")), "went wrong");
    EXPECT_EQ(run(catch_one(nullptr)), "1");
    EXPECT_THROW(static_cast<void>(run(pass_up("to the thread"))), std::runtime_error);
}

/// Throws when the frame that holds it is left.
struct ThrowsAtTheEnd {
    ThrowsAtTheEnd() = default;
    ThrowsAtTheEnd(const ThrowsAtTheEnd&) = delete;
    ThrowsAtTheEnd& operator=(const ThrowsAtTheEnd&) = delete;
    ~ThrowsAtTheEnd() noexcept(false) { throw std::logic_error("on the way out"); }
};
Task<CountedObject> return_then_throw() {
    const ThrowsAtTheEnd local;
    co_return CountedObject();
}

TEST_F(TaskException, ThrownOnTheWayOutReplacesTheValue) {
    EXPECT_THROW(static_cast<void>(run(return_then_throw())), std::logic_error);
}

struct ThrowsWhenMoved {
    ThrowsWhenMoved() = default;
    ThrowsWhenMoved(ThrowsWhenMoved&&) { throw std::runtime_error("no move"); }
    ThrowsWhenMoved& operator=(ThrowsWhenMoved&&) = delete;
    CountedObject counted;
};
Task<ThrowsWhenMoved> unmovable_value() {
    co_return ThrowsWhenMoved();
}

TEST_F(TaskException, ThrownByTheResultsMoveIsTheTasks) {
    EXPECT_THROW(static_cast<void>(run(unmovable_value())), std::runtime_error);
}

/// Throws when the coroutine copies it into its frame, and tells where that was.
struct ThrowingParameter {
    ThrowingParameter() = default;
    ThrowingParameter(const ThrowingParameter&) {
        last_copy = this;
        throw std::runtime_error("no copy");
    }
    ThrowingParameter& operator=(const ThrowingParameter&) = delete;
    CountedObject counted;
    static inline const void* last_copy = nullptr;
};
Task<> take_parameters(CountedObject, ThrowingParameter) {
    co_return;
}

TEST_F(TaskException, ThrownByTheCopyOfAParameterGivesTheFrameBack) {
    const auto failed_frame = [] {
        // A temporary is made in place of the parameter: the first copy is the frame's.
        EXPECT_THROW(static_cast<void>(take_parameters(CountedObject(), ThrowingParameter())), std::runtime_error);
        EXPECT_EQ(CountedObject::alive, 0);
        return std::exchange(ThrowingParameter::last_copy, nullptr);
    };
    const void* first = failed_frame();
    const void* second = failed_frame();
    if (!SPARGIO_ASAN) {  // There, the leak checker speaks for itself.
        EXPECT_EQ(second, first) << "the block did not go back to the pool";
    }
}

using TaskFrame = TaskTest;

/// Sets a flag when it ends.
struct SetsAtTheEnd {
    explicit SetsAtTheEnd(bool& flag) : flag_(flag) {}
    SetsAtTheEnd(const SetsAtTheEnd&) = delete;
    SetsAtTheEnd& operator=(const SetsAtTheEnd&) = delete;
    ~SetsAtTheEnd() { flag_ = true; }

private:
    bool& flag_;
};
Task<int> with_local(bool& ended) {
    const SetsAtTheEnd local(ended);
    co_return 1;
}
Task<> sees_the_end() {
    bool ended = false;
    static_cast<void>(co_await with_local(ended));
    EXPECT_TRUE(ended);
    ended = false;
    auto task = with_local(ended);
    EXPECT_FALSE(ended);
    static_cast<void>(co_await std::move(task));
    EXPECT_TRUE(ended);
}

TEST_F(TaskFrame, LocalsEndBeforeTheAwaitingTaskGoesOn) {
    run(sees_the_end());
}

TEST_F(TaskFrame, LocalsOfASpawnedTaskEndBeforeTheThreadSeesTheResult) {
    bool ended = false;
    EXPECT_EQ(run(with_local(ended)), 1);
    EXPECT_TRUE(ended);
}

Task<int> hold(std::shared_ptr<int> parameter) {
    co_return *parameter;
}
/// Called with what the await gave, inside the same expression.
long users_left(int, const std::weak_ptr<int>& watched) {
    return watched.use_count();
}
Task<long> users_after_the_await() {
    auto token = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = token;
    co_return users_left(co_await hold(std::move(token)), watched);
}

// The parameters are in the frame itself: they end with it, not with the body.
TEST_F(TaskFrame, ParametersEndBeforeTheAwaitingTaskGoesOn) {
    EXPECT_EQ(run(users_after_the_await()), 0);
}

TEST_F(TaskFrame, ParametersOfASpawnedTaskEndBeforeTheThreadSeesTheResult) {
    auto token = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = token;
    EXPECT_EQ(users_left(run(hold(std::move(token))), watched), 0);
}

Task<std::uint64_t> deep(int levels) {
    if (levels == 0) {
        co_return 0;
    }
    co_return co_await deep(levels - 1) + 1;
}

TEST_F(TaskFrame, NestsDeeply) {
    EXPECT_EQ(run(deep(10'000)), 10'000U);
}

Task<std::uint64_t> many(int count) {
    std::uint64_t sum = 0;
    for (int i = 0; i < count; ++i) {
        sum += static_cast<std::uint64_t>(co_await number(i));
    }
    co_return sum;
}

TEST_F(TaskFrame, AwaitsInALoopUseConstantStack) {
    EXPECT_EQ(run(many(200'000)), 19'999'900'000U);
}

// Without a runtime: the check comes before anything would be run.
TEST(TaskDeathTest, ATaskIsAwaitedOnce) {
    testing::GTEST_FLAG(death_test_style) = "threadsafe";
    auto task = number(1);
    { const auto awaiter = std::move(task).operator co_await(); }
    EXPECT_DEATH(static_cast<void>(std::move(task).operator co_await()),  // NOLINT(bugprone-use-after-move)
                 "spargio: this Task was awaited, spawned or moved from already");
}

TEST(TaskDeathTest, ATaskThatWasMovedFromIsNotSpawned) {
    testing::GTEST_FLAG(death_test_style) = "threadsafe";
    auto task = number(1);
    const auto other = std::move(task);
    EXPECT_DEATH(static_cast<void>(detail::make_task(std::move(task))),  // NOLINT(bugprone-use-after-move)
                 "spargio: spawning a Task that was awaited, spawned or moved from already");
}

}  // namespace
}  // namespace spargio
