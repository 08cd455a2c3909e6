// SPDX-License-Identifier: MIT
// What a task may give: void, move-only, references, over-aligned, large, types whose move throws.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/result_types.hpp"

namespace spargio::test {
namespace {

class JoinResultTypes : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(JoinResultTypes);

/// Counts its living instances.
struct Counted {
    inline static std::atomic<int> living{0};
    explicit Counted(int n) : number(n) { living.fetch_add(1); }
    Counted(Counted&& other) noexcept : number(std::exchange(other.number, -1)) { living.fetch_add(1); }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    Counted& operator=(Counted&&) = delete;
    ~Counted() { living.fetch_sub(1); }
    int number;
};

bool is_aligned(const Aligned& object) {
    return reinterpret_cast<std::uintptr_t>(&object) % alignof(Aligned) == 0;
}

TEST_P(JoinResultTypes, Void) {
    auto one = runtime(1);
    const auto handle = one.handle();
    static_assert(std::is_void_v<decltype(handle.spawn_pinned(0, []() -> Task<> { co_return; }).get())>);
    handle.spawn_pinned(0, []() -> Task<> { co_return; }).get();
    one.block_on([&]() -> Task<> {
        auto child = handle.spawn_pinned(0, [] {});
        co_await std::move(child);
        auto other = handle.spawn_pinned(0, [] {});
        const Result<void> ended = co_await other.join();
        EXPECT_TRUE(ended);
    });
}

TEST_P(JoinResultTypes, MoveOnly) {
    auto one = runtime(1);
    const auto handle = one.handle();
    const auto make = [] { return std::make_unique<int>(7); };
    EXPECT_EQ(*handle.spawn_pinned(0, make).get(), 7);
    one.block_on([&]() -> Task<> {
        auto first = handle.spawn_pinned(0, make);
        const auto awaited = co_await std::move(first);
        auto second = handle.spawn_pinned(0, make);
        auto joined = co_await second.join();
        EXPECT_EQ(*awaited, 7);
        EXPECT_TRUE(joined.has_value());
        EXPECT_EQ(**joined, 7);
    });
}

/// Trivially copyable, and yet not to be copied.
struct Id {
    explicit Id(int n) : number(n) {}
    Id(Id&&) = default;
    Id& operator=(Id&&) = default;
    int number;
};
static_assert(std::is_trivially_copyable_v<Id> && !std::is_copy_constructible_v<Id>);

TEST_P(JoinResultTypes, MoveOnlyThoughTrivial) {
    auto one = runtime(1);
    const auto handle = one.handle();
    const auto make = [](int n) -> Task<Id> { co_return Id(n); };
    EXPECT_EQ(handle.spawn_pinned(0, make(1)).get().number, 1);
    one.block_on([&]() -> Task<> {
        const Id awaited = co_await make(2);
        EXPECT_EQ(awaited.number, 2);
        auto first = handle.spawn_pinned(0, make(3));
        const Id joined = co_await std::move(first);
        EXPECT_EQ(joined.number, 3);
        auto second = handle.spawn_pinned(0, make(4));
        const auto result = co_await second.join();
        EXPECT_EQ(result.value().number, 4);
        const auto in_time = co_await timeout(std::chrono::hours(1), make(5));
        EXPECT_EQ(in_time.value().number, 5);
        const auto fastest = co_await when_any(make(6), make(6));
        EXPECT_EQ(std::visit([](const Id& id) { return id.number; }, fastest.value), 6);
        const auto both = co_await when_all(make(7), make(8));
        EXPECT_EQ(std::get<0>(both).number + std::get<1>(both).number, 15);
        const auto forked = co_await fork_join(make(9), make(10));
        EXPECT_EQ(std::get<0>(forked).number + std::get<1>(forked).number, 19);
        std::vector<Task<Id>> tasks;
        tasks.push_back(make(11));
        const auto many = co_await spawn_many(std::move(tasks));
        EXPECT_EQ(many.at(0).number, 11);
    });
}

TEST_P(JoinResultTypes, EveryResultIsDestroyedOnce) {
    const int before = Counted::living.load();
    {
        auto one = runtime(1);
        const auto handle = one.handle();
        const auto make = []() -> Task<Counted> {
            co_await yield();
            co_return Counted(7);
        };
        EXPECT_EQ(handle.spawn_pinned(0, make).get().number, 7);
        {
            auto never_taken = handle.spawn_pinned(0, make);
            EXPECT_TRUE(never_taken.wait_for(std::chrono::seconds(60)));
            EXPECT_EQ(Counted::living.load(), before + 1);
        }
        EXPECT_EQ(Counted::living.load(), before);
        handle.spawn_pinned(0, make).detach();
        one.block_on([&]() -> Task<> {
            auto first = handle.spawn_pinned(0, make);
            const auto awaited = co_await std::move(first);
            auto second = handle.spawn_pinned(0, make);
            const auto joined = co_await second.join();
            EXPECT_EQ(awaited.number, 7);
            EXPECT_EQ(joined->number, 7);
        });
    }
    EXPECT_EQ(Counted::living.load(), before);
}

TEST_P(JoinResultTypes, References) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    int number = 7;
    const std::string text = "constant";
    const auto refer = [&number]() -> Task<int&> {
        co_await yield();
        co_return number;
    };
    static_assert(std::is_same_v<decltype(handle.spawn_pinned(1, refer).get()), int&>);
    EXPECT_EQ(&handle.spawn_pinned(1, refer).get(), &number);
    auto plain = handle.spawn_pinned(1, [&text]() -> const std::string& { return text; });
    EXPECT_EQ(&plain.get(), &text);
    two_shards.block_on([&]() -> Task<> {
        auto child = handle.spawn_pinned(1, refer);
        int& awaited = co_await std::move(child);
        EXPECT_EQ(&awaited, &number);
        int& direct = co_await refer();
        EXPECT_EQ(&direct, &number);
    });
}

TEST_P(JoinResultTypes, OverAligned) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    for (int i = 0; i < 100; ++i) {
        auto child = handle.spawn_pinned(1, [i] { return Aligned(i); });
        const Aligned got = child.get();
        ASSERT_TRUE(is_aligned(got));
        ASSERT_EQ(got.number, i);
    }
    // In a frame the compilers promise 16 bytes; the number has to arrive all the same.
    two_shards.block_on([&]() -> Task<> {
        struct Ask {
            static int number_of(const Aligned& object) { return object.number; }
        };
        auto child = handle.spawn_pinned(1, [] { return std::make_unique<Aligned>(8); });
        const auto awaited = co_await std::move(child);
        EXPECT_TRUE(is_aligned(*awaited));
        EXPECT_EQ(Ask::number_of(*awaited), 8);
    });
}

TEST_P(JoinResultTypes, AnOverAlignedResultThatNobodyTakes) {
    auto one = runtime(1);
    auto child = one.handle().spawn_pinned(0, [] { return Aligned(1); });
    EXPECT_TRUE(child.wait_for(std::chrono::seconds(60)));
}

TEST_P(JoinResultTypes, Large) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const auto check = [](const Large& large) { return large.bytes.front() == 9 && large.bytes.back() == 9; };
    auto child = handle.spawn_pinned(1, [] { return Large(9); });
    EXPECT_TRUE(check(child.get()));
    two_shards.block_on([&]() -> Task<> {
        auto first = handle.spawn_pinned(1, [] { return Large(9); });
        const auto awaited = co_await std::move(first);
        EXPECT_TRUE(check(awaited));
        auto second = handle.spawn_pinned(1, [] { return Large(9); });
        const auto joined = co_await second.join();
        EXPECT_TRUE(check(*joined));
    });
}

TEST_P(JoinResultTypes, SizesAroundTheSlots) {
    auto one = runtime(1);
    const auto handle = one.handle();
    const auto round_trip = [&]<std::size_t Bytes>(std::integral_constant<std::size_t, Bytes>) {
        auto child = handle.spawn_pinned(0, [] {
            std::array<unsigned char, Bytes> bytes{};
            bytes.fill(0xA5);
            return bytes;
        });
        const auto got = child.get();
        for (const auto byte : got) {
            ASSERT_EQ(byte, 0xA5);
        }
    };
    [&]<std::size_t... Bytes>(std::index_sequence<Bytes...>) {
        (round_trip(std::integral_constant<std::size_t, Bytes + 1>()), ...);
    }
    (std::make_index_sequence<72>());
    round_trip(std::integral_constant<std::size_t, 16384>());
    round_trip(std::integral_constant<std::size_t, 16385>());
}

TEST_P(JoinResultTypes, AMoveThatThrowsInTheTaskIsTheTasksException) {
    const int before = ThrowingMove::living.load();
    {
        auto one = runtime(1);
        auto child = one.handle().spawn_pinned(0, []() -> Task<ThrowingMove> {
            ThrowingMove value(7, 1);
            co_return std::move(value);
        });
        EXPECT_THROW(static_cast<void>(child.get()), std::runtime_error);
    }
    EXPECT_EQ(ThrowingMove::living.load(), before);
}

TEST_P(JoinResultTypes, AMoveThatThrowsAtTheJoinerIsThrownThere) {
    const int before = ThrowingMove::living.load();
    for (int countdown = 1; countdown < 8; ++countdown) {
        // Wherever the library moves it: the value comes, or the exception does, and no instance is left.
        auto one = runtime(1);
        const auto handle = one.handle();
        const auto make = [countdown]() -> Task<ThrowingMove> { co_return ThrowingMove(7, countdown); };
        const auto value_or_throw = [](auto&& take) {
            try {
                return take();
            } catch (const std::runtime_error&) {
                return 7;
            }
        };
        auto child = handle.spawn_pinned(0, make);
        EXPECT_EQ(value_or_throw([&] { return child.get().number; }), 7);
        one.block_on([&]() -> Task<> {
            int number = 7;
            auto first = handle.spawn_pinned(0, make);
            try {
                number = (co_await std::move(first)).number;
            } catch (const std::runtime_error&) {}
            EXPECT_EQ(number, 7);
            auto second = handle.spawn_pinned(0, make);
            try {
                const auto joined = co_await second.join();
                number = joined->number;
            } catch (const std::runtime_error&) {}
            EXPECT_EQ(number, 7);
        });
    }
    EXPECT_EQ(ThrowingMove::living.load(), before);
}

TEST_P(JoinResultTypes, TypesThatLookLikeErrorsOrHandles) {
    auto one = runtime(1);
    const auto handle = one.handle();
    EXPECT_EQ(handle.spawn_pinned(0, [] { return std::make_error_code(std::errc::timed_out); }).get(),
              std::errc::timed_out);
    const auto result = handle.spawn_pinned(0, []() -> Result<int> { return RuntimeError::Closed; }).get();
    EXPECT_EQ(result.error(), RuntimeError::Closed);
    auto nested = handle.spawn_pinned(0, [&] { return handle.spawn_pinned(0, [] { return 3; }); });
    EXPECT_EQ(nested.get().get(), 3);
    EXPECT_FALSE(handle.spawn_pinned(0, [] { return false; }).get());
    EXPECT_EQ(handle.spawn_pinned(0, []() -> std::nullptr_t { return nullptr; }).get(), nullptr);
    EXPECT_EQ(std::get<1>(handle.spawn_pinned(0, [] { return std::tuple(1, std::string("two")); }).get()), "two");
}

}  // namespace
}  // namespace spargio::test
