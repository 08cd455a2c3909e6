// SPDX-License-Identifier: MIT
// The fork-join workloads apart from any runtime: sizes, boards, and the results that prove that the work was done.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>

#include "support/timed_batches.hpp"

namespace bench {

inline constexpr std::uint64_t skynet_leaves = 1'000'000;
inline constexpr std::size_t skynet_children = 10;
inline constexpr std::uint64_t skynet_result = sum_below(skynet_leaves);

inline constexpr unsigned fib_of = 30;
inline constexpr std::uint64_t fib_result = 832'040;

inline constexpr std::size_t queens = 12;
inline constexpr std::uint64_t queens_result = 14'200;

inline constexpr std::uint64_t spawned = 1'000'000;

// The nodes of the trees, which are tasks where each is forked.
inline constexpr std::uint64_t skynet_nodes = 1'111'111;
inline constexpr std::uint64_t fib_nodes = 2'692'537;
inline constexpr std::uint64_t queens_nodes = 856'189;

/// The columns of the queens in the rows that have one. Small enough to be copied into every child.
struct Board {
    std::array<std::int8_t, queens> column{};
    std::size_t rows = 0;

    [[nodiscard]] bool allows(std::size_t next) const noexcept {
        for (std::size_t row = 0; row < rows; ++row) {
            const int sideways = static_cast<int>(next) - column[row];
            const int down = static_cast<int>(rows - row);
            if (sideways == 0 || sideways == down || sideways == -down) {
                return false;
            }
        }
        return true;
    }

    /// With one queen more. Requires: rows < queens.
    [[nodiscard]] Board with(std::size_t next) const noexcept {
        Board board = *this;
        board.column[rows] = static_cast<std::int8_t>(next);
        ++board.rows;
        return board;
    }
};

/// What the children of spawn_many store, as a number: all ones, if each has stored its byte.
[[nodiscard]] inline std::uint64_t sum_of(std::span<const std::uint8_t> bytes) {
    return std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0});
}

}  // namespace bench
