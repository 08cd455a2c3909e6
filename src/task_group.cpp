// SPDX-License-Identifier: MIT
// TaskGroup: what does not depend on the children's types.
#include "spargio/task_group.hpp"

#include <stdexcept>

#include "shard.hpp"

namespace spargio {

namespace detail {

Task<> join_group(GroupState* group) {
    std::exception_ptr error;
    do {
        GroupJoinAwaiter all(*group);
        co_await all;
    } while (!group->joined(error));
    if (error != nullptr) [[unlikely]] {
        std::rethrow_exception(std::move(error));
    }
}

namespace {

CoreRef core_here() {
    Shard* here = current_shard();
    if (here == nullptr) {
        throw std::logic_error("spargio: a TaskGroup made on a thread that is no shard needs a RuntimeHandle");
    }
    return CoreRef(here->core);
}

}  // namespace

}  // namespace detail

TaskGroup::TaskGroup() : state_(new detail::GroupState(detail::core_here())) {}

TaskGroup::TaskGroup(const RuntimeHandle& handle) : state_(new detail::GroupState(handle.core_)) {}

TaskGroup::~TaskGroup() {
    SPARGIO_CHECK(
        state_->may_end(),
        "a TaskGroup was destroyed with children that nobody has joined: co_await group.join() after the last "
        "spawn, on every way out, or use with_group()");
    state_->release();
}

}  // namespace spargio
