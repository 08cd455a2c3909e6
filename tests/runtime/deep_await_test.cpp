// SPDX-License-Identifier: MIT
// Long loops and long chains of awaits and joins: the stack stays where it is, on the way in, out, and in a shutdown.
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stack_span.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

constexpr int kLong = 100'000;
constexpr auto for_ever = std::chrono::hours(1000);

/// A frame of a chain. Frames are destroyed from the innermost, number `kLong`, down to 1.
class ChainLink {
public:
    struct Chain {
        std::atomic<int> alive{0};
        std::atomic<int> out_of_order{0};
        StackSpan destroyed_at;
    };

    ChainLink(Chain& chain, int number) noexcept : chain_(chain), number_(number) { ++chain_.alive; }
    ChainLink(const ChainLink&) = delete;
    ChainLink& operator=(const ChainLink&) = delete;
    ~ChainLink() {
        chain_.destroyed_at.note();
        if (chain_.alive-- != number_) {
            ++chain_.out_of_order;
        }
    }

private:
    Chain& chain_;
    const int number_;
};

using Chain = ChainLink::Chain;

Task<int> note_depth(StackSpan& span) {
    span.note();
    co_return 1;
}

Task<std::int64_t> await_in_a_loop(StackSpan& span, int rounds) {
    std::int64_t sum = 0;
    for (int i = 0; i < rounds; ++i) {
        sum += co_await note_depth(span);
    }
    co_return sum;
}

Task<int> await_deeper(Chain& chain, Event* arrived, int number) {
    const ChainLink link(chain, number);
    if (number < kLong) {
        co_return 1 + co_await await_deeper(chain, arrived, number + 1);
    }
    if (arrived != nullptr) {
        arrived->set();
        static_cast<void>(co_await sleep_for(for_ever));
    }
    co_return 1;
}

Task<int> throw_from_below(StackSpan& span, int number) {
    if (number == 0) {
        throw std::runtime_error("from below");
    }
    int value = 0;
    try {
        value = co_await throw_from_below(span, number - 1);
    } catch (const std::runtime_error&) {
        span.note();
        throw;
    }
    co_return value;
}

/// Each link is a task of its own that joins the next; `shards` of them take turns.
Task<int> join_deeper(RuntimeHandle runtime, Chain& chain, Event* arrived, int number) {
    const ChainLink link(chain, number);
    if (number < kLong) {
        const auto next = static_cast<ShardId>(static_cast<std::size_t>(number) % runtime.shard_count());
        auto child = runtime.spawn_pinned(next, join_deeper(runtime, chain, arrived, number + 1));
        co_return 1 + co_await std::move(child);
    }
    if (arrived != nullptr) {
        arrived->set();
        static_cast<void>(co_await sleep_for(for_ever));
    }
    co_return 1;
}

/// The handle of a task that a shutdown has destroyed.
void expect_canceled(JoinHandle<int>& handle) {
    ASSERT_TRUE(handle.done());
    try {
        static_cast<void>(handle.get());
        FAIL() << "the task was destroyed and has no value";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), JoinError::Canceled);
    }
}

class DeepAwait : public BackendTest {
protected:
    Watchdog watchdog_{"deep await"};
};

TEST_P(DeepAwait, TenMillionAwaitsOfATaskThatEndsAtOnceUseConstantStack) {
    auto owner = runtime(1);
    StackSpan few;
    StackSpan many;
    EXPECT_EQ(owner.block_on(await_in_a_loop(few, 1000)), 1000);
    EXPECT_EQ(owner.block_on(await_in_a_loop(many, 10'000'000)), 10'000'000);
    EXPECT_LE(many.bytes(), few.bytes());
    EXPECT_LE(few.bytes(), bounded_stack);
}

TEST_P(DeepAwait, AStealableLoopOfAwaitsUsesConstantStack) {
    auto owner = runtime(2);
    StackSpan few;
    StackSpan many;
    EXPECT_EQ(owner.handle().spawn_stealable(await_in_a_loop(few, 1000)).get(), 1000);
    EXPECT_EQ(owner.handle().spawn_stealable(await_in_a_loop(many, 100'000)).get(), 100'000);
    EXPECT_LE(many.bytes(), bounded_stack);
}

TEST_P(DeepAwait, AChainOfAwaitsThatEndsUsesConstantStack) {
    auto owner = runtime(1);
    Chain chain;
    EXPECT_EQ(owner.block_on(await_deeper(chain, nullptr, 1)), kLong);
    EXPECT_EQ(chain.alive, 0);
    EXPECT_EQ(chain.out_of_order, 0);
    EXPECT_LE(chain.destroyed_at.bytes(), bounded_stack);
}

TEST_P(DeepAwait, AnExceptionClimbsAChainWithConstantStack) {
    auto owner = runtime(1);
    StackSpan span;
    EXPECT_THROW(static_cast<void>(owner.block_on(throw_from_below(span, 20'000))), std::runtime_error);
    EXPECT_LE(span.bytes(), bounded_stack);
}

TEST_P(DeepAwait, AChainOfSuspendedAwaitsIsDestroyedInnermostFirstWithoutRecursion) {
    auto owner = runtime(2);
    Chain chain;
    Event arrived;
    auto handle = owner.handle().spawn_pinned(1, await_deeper(chain, &arrived, 1));
    arrived.wait();
    EXPECT_EQ(chain.alive, kLong);
    owner.shutdown();
    EXPECT_EQ(chain.alive, 0);
    EXPECT_EQ(chain.out_of_order, 0);
    EXPECT_LE(chain.destroyed_at.bytes(), bounded_stack);
    expect_canceled(handle);
}

TEST_P(DeepAwait, AChainOfJoinsThatEndsUsesConstantStack) {
    for (const std::size_t shards : {1U, 3U}) {
        auto owner = runtime(shards);
        Chain chain;
        EXPECT_EQ(owner.block_on(join_deeper(owner.handle(), chain, nullptr, 1)), kLong);
        EXPECT_EQ(chain.alive, 0);
        EXPECT_EQ(chain.out_of_order, 0);
        EXPECT_LE(chain.destroyed_at.bytes(), bounded_stack);
        watchdog_.progress("joined on " + std::to_string(shards));
    }
}

TEST_P(DeepAwait, AChainOfSuspendedJoinsIsDestroyedChildrenFirstWithoutRecursion) {
    for (const std::size_t shards : {1U, 3U}) {
        auto owner = runtime(shards);
        Chain chain;
        Event arrived;
        auto handle = owner.handle().spawn_pinned(0, join_deeper(owner.handle(), chain, &arrived, 1));
        arrived.wait();
        owner.shutdown();
        EXPECT_EQ(chain.alive, 0);
        EXPECT_EQ(chain.out_of_order, 0);
        EXPECT_LE(chain.destroyed_at.bytes(), bounded_stack);
        expect_canceled(handle);
        watchdog_.progress("destroyed on " + std::to_string(shards));
    }
}

TEST_P(DeepAwait, AChainOfJoinsOverTwoRuntimesIsDestroyedWhicheverGoesFirst) {
    for (const bool outer_first : {true, false}) {
        auto outer = runtime(1);
        auto inner = runtime(1);
        Chain chain;
        Event arrived;
        auto bridge = [&inner, &chain, &arrived]() -> Task<int> {
            auto child = inner.handle().spawn_pinned(0, await_deeper(chain, &arrived, 1));
            const Result<int> result = co_await child.join();
            co_return result.value();
        };
        auto handle = outer.handle().spawn_pinned(0, std::move(bridge));
        arrived.wait();
        Runtime& first = outer_first ? outer : inner;
        Runtime& second = outer_first ? inner : outer;
        first.shutdown();
        if (!outer_first) {
            EXPECT_EQ(chain.alive, 0);
            EXPECT_THROW(static_cast<void>(handle.get()), std::system_error);
        }
        second.shutdown();
        EXPECT_EQ(chain.alive, 0);
        EXPECT_EQ(chain.out_of_order, 0);
        EXPECT_LE(chain.destroyed_at.bytes(), bounded_stack);
        watchdog_.progress("two runtimes");
    }
}

SPARGIO_ON_BOTH_BACKENDS(DeepAwait);

}  // namespace
}  // namespace spargio::test
