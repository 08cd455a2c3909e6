// SPDX-License-Identifier: MIT
// What the tests of queues put in, and how large they are.
#pragma once

#include <array>
#include <cstddef>

#include "spargio/detail/work_item.hpp"

namespace spargio::test {

inline void do_nothing(detail::WorkItem*, detail::Shard*) noexcept {}

struct Item : detail::WorkItem {
    explicit Item(std::size_t n = 0) noexcept : WorkItem(&do_nothing), id(n) {}
    std::size_t id;  // Not atomic: the race checker sees whether the queue publishes it.
};

inline constexpr std::array<std::size_t, 5> ring_capacities{1, 2, 3, 64, 100};

}  // namespace spargio::test
