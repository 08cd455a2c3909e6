// SPDX-License-Identifier: MIT
// Tests of Spawnable: which types it accepts, what value they give, how long a callable lives.
#include "spargio/spawnable.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

#include "small_runtime.hpp"
#include "spargio/task_group.hpp"
#include "spargio/this_task.hpp"

namespace spargio {
namespace {

int plain() {
    return 5;
}
Task<int> coroutine() {
    co_return 6;
}

struct MoveOnlyCallable {
    int operator()() const { return *value; }
    std::unique_ptr<int> value;
};
struct Uncallable {};
struct NeedsAnArgument {
    void operator()(int) const {}
};
struct RvalueOnly {
    std::unique_ptr<int> operator()() && { return std::move(value); }
    std::unique_ptr<int> value;
};
struct ImmovableCallable {
    ImmovableCallable() = default;
    ImmovableCallable(const ImmovableCallable&) = delete;
    ImmovableCallable& operator=(const ImmovableCallable&) = delete;
    void operator()() const {}
};

// Tasks, as rvalues.
static_assert(Spawnable<Task<int>> && Spawnable<Task<>> && Spawnable<Task<std::unique_ptr<int>>&&>);
static_assert(!Spawnable<Task<int>&> && !Spawnable<const Task<int>&> && !Spawnable<const Task<int>>);
// Callables, by value or by a reference to copy from.
static_assert(Spawnable<int (*)()> && Spawnable<int (&)()> && Spawnable<int()>);
static_assert(Spawnable<std::function<void()>> && Spawnable<std::function<void()>&>);
static_assert(Spawnable<const std::function<Task<>()>&>);
static_assert(Spawnable<MoveOnlyCallable> && !Spawnable<MoveOnlyCallable&> && !Spawnable<const MoveOnlyCallable>);
static_assert(Spawnable<RvalueOnly> && !Spawnable<RvalueOnly&> && !Spawnable<const RvalueOnly>);
static_assert(Spawnable<decltype([]() mutable {})>);
static_assert(Spawnable<std::reference_wrapper<ImmovableCallable>>);
// The rest.
static_assert(!Spawnable<void> && !Spawnable<int> && !Spawnable<int*> && !Spawnable<std::string>);
static_assert(!Spawnable<Uncallable> && !Spawnable<NeedsAnArgument> && !Spawnable<int (*)(int)>);
static_assert(!Spawnable<ImmovableCallable>);

static_assert(std::is_same_v<SpawnValue<Task<int>>, int>);
static_assert(std::is_void_v<SpawnValue<Task<>>>);
static_assert(std::is_same_v<SpawnValue<Task<int&>>, int&>);
static_assert(std::is_same_v<SpawnValue<int (*)()>, int>);
static_assert(std::is_same_v<SpawnValue<Task<int> (*)()>, int>);
static_assert(std::is_same_v<SpawnValue<int& (*)()>, int&>);
static_assert(std::is_same_v<SpawnValue<MoveOnlyCallable>, int>);
static_assert(std::is_void_v<SpawnValue<std::function<void()>&>>);
static_assert(std::is_void_v<SpawnValue<std::function<Task<>()>>>);

class SpawnableTest : public testing::Test {
protected:
    static void SetUpTestSuite() { runtime_ = std::make_unique<Runtime>(test::small_runtime()); }
    static void TearDownTestSuite() { runtime_.reset(); }

    static Runtime& runtime() { return *runtime_; }

private:
    static inline std::unique_ptr<Runtime> runtime_;
};

TEST_F(SpawnableTest, FunctionsAndTheirPointers) {
    EXPECT_EQ(runtime().block_on(plain), 5);
    EXPECT_EQ(runtime().block_on(&plain), 5);
    EXPECT_EQ(runtime().block_on(coroutine), 6);
    EXPECT_EQ(runtime().block_on(coroutine()), 6);
}

TEST_F(SpawnableTest, MoveOnlyCallables) {
    EXPECT_EQ(runtime().block_on(MoveOnlyCallable{std::make_unique<int>(7)}), 7);
    auto captured = std::make_unique<int>(8);
    EXPECT_EQ(runtime().block_on([value = std::move(captured)]() -> Task<int> { co_return *value; }), 8);
}

TEST_F(SpawnableTest, ACallableThatCanOnlyBeCalledOnce) {
    EXPECT_EQ(*runtime().block_on(RvalueOnly{std::make_unique<int>(9)}), 9);
    auto child = runtime().handle().spawn_stealable(RvalueOnly{std::make_unique<int>(10)});
    EXPECT_EQ(*child.get(), 10);
    auto job = runtime().handle().spawn_blocking(RvalueOnly{std::make_unique<int>(11)});
    EXPECT_EQ(*job.get(), 11);
    std::atomic<int> calls = 0;
    struct Counts {
        void operator()() && { ++*calls; }
        std::atomic<int>* calls;
    };
    const auto body = [&calls](TaskGroup& group) -> Task<> {
        group.spawn(TaskPlacement::stealable(), Counts{&calls});
        co_return;
    };
    runtime().block_on(with_group(body));
    EXPECT_EQ(calls, 1);
}

TEST_F(SpawnableTest, AnLvalueCallableIsCopied) {
    int calls = 0;
    std::function<void()> count = [&calls] { ++calls; };
    runtime().block_on(count);
    runtime().block_on(std::as_const(count));
    EXPECT_EQ(calls, 2);
    EXPECT_TRUE(count);
}

TEST_F(SpawnableTest, AMutableCallableChangesItsOwnCopy) {
    auto counter = [n = 0]() mutable { return ++n; };
    EXPECT_EQ(runtime().block_on(counter), 1);
    EXPECT_EQ(runtime().block_on(counter), 1);
    EXPECT_EQ(counter(), 1);
}

TEST_F(SpawnableTest, ReferencesComeBackAsReferences) {
    int target = 0;
    int& same = runtime().block_on([&target]() -> int& { return target; });
    EXPECT_EQ(&same, &target);
    int& again = runtime().block_on([&target]() -> Task<int&> { co_return target; });
    EXPECT_EQ(&again, &target);
}

TEST_F(SpawnableTest, TheCallableLivesUntilItsTaskEnds) {
    auto token = std::make_shared<int>(3);
    const std::weak_ptr<int> watch = token;
    const int value = runtime().block_on([held = std::move(token), watch]() -> Task<int> {
        // The captures are the callable's: read after the callable has returned its Task, and after others have run.
        for (int i = 0; i < 3; ++i) {
            co_await yield();
            EXPECT_EQ(watch.use_count(), 1);
        }
        co_return *held;
    });
    EXPECT_EQ(value, 3);
    EXPECT_TRUE(watch.expired()) << "the callable outlived its task";
}

TEST_F(SpawnableTest, ACallableThatIsNeverRunIsDestroyed) {
    auto token = std::make_shared<int>(3);
    const std::weak_ptr<int> watch = token;
    bool ran = false;
    {
        const auto task = detail::make_task([held = std::move(token), &ran] { ran = true; });
        EXPECT_FALSE(watch.expired());
    }
    EXPECT_TRUE(watch.expired());
    EXPECT_FALSE(ran);
}

TEST_F(SpawnableTest, ACallableThatThrowsThrowsAtTheJoin) {
    const auto thrower = []() -> int { throw std::string("thrown"); };
    EXPECT_THROW(static_cast<void>(runtime().block_on(thrower)), std::string);
    const auto no_task = []() -> Task<int> { throw std::string("thrown before there was a task"); };
    EXPECT_THROW(static_cast<void>(runtime().block_on(no_task)), std::string);
}

}  // namespace
}  // namespace spargio
