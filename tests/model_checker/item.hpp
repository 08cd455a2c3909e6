// SPDX-License-Identifier: MIT
// What scenarios put into queues: an item whose content is published, or is not.
#pragma once

#include "checker.hpp"
#include "spargio/detail/work_item.hpp"

namespace spargio::model_checker {

inline void do_nothing(detail::WorkItem*, detail::Shard*) noexcept {}

struct Item : detail::WorkItem {
    Item() noexcept : WorkItem(&do_nothing) {}
    Plain<int> content;
    int taken = 0;
};

/// Whether there is one; it is taken for the first time, and its content can be seen.
inline bool take(detail::WorkItem* found) noexcept {
    if (found != nullptr) {
        auto& item = static_cast<Item&>(*found);
        check(item.content.read() == 1, "an item without its content");
        item.content.write(2);
        check(++item.taken == 1, "an item is taken twice");
    }
    return found != nullptr;
}

}  // namespace spargio::model_checker
