// SPDX-License-Identifier: MIT
// TaskPlacement: where a spawned task runs.
#pragma once

#include <cstdint>

#include "spargio/shard_id.hpp"

namespace spargio {

/// A rule for the shards that run a task's steps. A value type; equal rules compare equal.
class TaskPlacement {
public:
    enum class Kind : std::uint8_t { Pinned, RoundRobin, Sticky, Stealable, StealablePreferred };

    /// Every step on `shard`. An unknown shard makes the spawn fail with RuntimeError::InvalidShard.
    [[nodiscard]] static constexpr TaskPlacement pinned(ShardId shard) noexcept { return {Kind::Pinned, shard, 0}; }
    /// The next shard of the runtime's one cursor, then pinned there.
    [[nodiscard]] static constexpr TaskPlacement round_robin() noexcept { return {Kind::RoundRobin, 0, 0}; }
    /// A fixed mix of `key` modulo the shard count, then pinned there: the same shard for the same key in every process
    /// with as many shards.
    [[nodiscard]] static constexpr TaskPlacement sticky(std::uint64_t key) noexcept { return {Kind::Sticky, 0, key}; }
    /// Any shard may run any step; the task may move between two steps.
    [[nodiscard]] static constexpr TaskPlacement stealable() noexcept { return {Kind::Stealable, 0, 0}; }
    /// The same, queued at `shard` first.
    [[nodiscard]] static constexpr TaskPlacement stealable_preferred(ShardId shard) noexcept {
        return {Kind::StealablePreferred, shard, 0};
    }

    [[nodiscard]] constexpr Kind kind() const noexcept { return kind_; }
    /// The shard of pinned and stealable_preferred; else 0.
    [[nodiscard]] constexpr ShardId shard() const noexcept { return shard_; }
    /// The key of sticky; else 0.
    [[nodiscard]] constexpr std::uint64_t key() const noexcept { return key_; }

    friend constexpr bool operator==(const TaskPlacement&, const TaskPlacement&) noexcept = default;

private:
    constexpr TaskPlacement(Kind kind, ShardId shard, std::uint64_t key) noexcept
        : kind_(kind), shard_(shard), key_(key) {}

    Kind kind_;
    ShardId shard_;
    std::uint64_t key_;
};

}  // namespace spargio
