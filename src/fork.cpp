// SPDX-License-Identifier: MIT
// Forks: starting children, their ends, their stops.
#include "spargio/detail/fork.hpp"

#include <exception>

#include "scheduler.hpp"
#include "shard.hpp"
#include "spargio/detail/join.hpp"
#include "spargio/detail/result_slot.hpp"

namespace spargio::detail {

void fork_children(ForkWait& wait, TaskHeader* root) noexcept {
    auto& here = static_cast<Shard&>(*root->owner.executor);
    const auto& children = wait.children;
    wait.root = root;
    root->awaits_completer = true;
    wait.armed = root->stop.arm(&wait);
    if (!wait.armed) [[unlikely]] {
        for (std::size_t i = 0; i < children.count; ++i) {
            static_cast<void>(children[i]->stop.request());
        }
    }
    here.counters.spawned_stealable.add(children.count);
    // Nobody else sees the first one, and it runs here as soon as this step has ended, which is now. Until it has ended
    // the parent cannot go on.
    here.next = children[0];
    const auto last = children.count - 1;
    if (last == 0) {
        return;
    }
    // The newest, which this shard takes first, is the second child; a thief takes the last.
    const auto pushed = here.deque.push_many(last, [&](std::size_t i) { return children[last - i]; });
    for (auto left = last - pushed; left != 0; --left) {
        here.core->overflow.put(children[left]);
    }
    wake_one_for_stealing(*here.core, &here);
}

/// We hold the wait, so the parent does not go on, and the children's blocks stay, until finish_cancel().
void cancel_fork(Wait* base, TaskHeader* root) noexcept {
    auto* wait = static_cast<ForkWait*>(base);
    for (std::size_t i = 0; i < wait->children.count; ++i) {
        request_task_stop(wait->children[i]);
    }
    if (root->stop.finish_cancel()) {
        schedule(root);
    }
}

void rethrow_first(const ForkedChildren& children) {
    for (std::size_t i = 0; i < children.count; ++i) {
        TaskHeader* child = children[i];
        if (child->outcome == Outcome::Exception) {
            std::rethrow_exception(take_exception(child));
        }
    }
    std::terminate();
}

}  // namespace spargio::detail
