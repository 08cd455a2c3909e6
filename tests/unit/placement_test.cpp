// SPDX-License-Identifier: MIT
// Tests of TaskPlacement.
#include "spargio/placement.hpp"

#include <cstdint>
#include <type_traits>

#include <gtest/gtest.h>

namespace spargio {
namespace {

using Kind = TaskPlacement::Kind;

static_assert(std::is_trivially_copyable_v<TaskPlacement> && !std::is_default_constructible_v<TaskPlacement>);
static_assert(std::is_copy_assignable_v<TaskPlacement> && std::is_nothrow_move_constructible_v<TaskPlacement>);

constexpr auto on_two = TaskPlacement::pinned(2);
static_assert(on_two.kind() == Kind::Pinned && on_two.shard() == 2 && on_two.key() == 0);
static_assert(TaskPlacement::round_robin().kind() == Kind::RoundRobin);
static_assert(TaskPlacement::sticky(0xFFFF'FFFF'FFFF'FFFFU).key() == 0xFFFF'FFFF'FFFF'FFFFU);
static_assert(TaskPlacement::sticky(1).kind() == Kind::Sticky && TaskPlacement::sticky(1).shard() == 0);
static_assert(TaskPlacement::stealable().kind() == Kind::Stealable);
static_assert(TaskPlacement::stealable_preferred(9).kind() == Kind::StealablePreferred);
static_assert(TaskPlacement::stealable_preferred(9).shard() == 9);

TEST(TaskPlacement, EqualRulesAreEqual) {
    EXPECT_EQ(TaskPlacement::pinned(1), TaskPlacement::pinned(1));
    EXPECT_NE(TaskPlacement::pinned(1), TaskPlacement::pinned(2));
    EXPECT_NE(TaskPlacement::pinned(1), TaskPlacement::stealable_preferred(1));
    EXPECT_EQ(TaskPlacement::sticky(3), TaskPlacement::sticky(3));
    EXPECT_NE(TaskPlacement::sticky(3), TaskPlacement::sticky(4));
    EXPECT_EQ(TaskPlacement::round_robin(), TaskPlacement::round_robin());
    EXPECT_NE(TaskPlacement::round_robin(), TaskPlacement::stealable());
    EXPECT_NE(TaskPlacement::sticky(0), TaskPlacement::round_robin());
}

TEST(TaskPlacement, IsAssignable) {
    auto placement = TaskPlacement::stealable();
    placement = TaskPlacement::pinned(4);
    const auto copy = placement;
    EXPECT_EQ(copy, TaskPlacement::pinned(4));
}

}  // namespace
}  // namespace spargio
