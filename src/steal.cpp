// SPDX-License-Identifier: MIT
// Taking stealable tasks out of the queues of others, several at once.
#include <algorithm>
#include <array>
#include <span>

#include "scheduler.hpp"
#include "shard.hpp"

namespace spargio::detail {

namespace {

constexpr std::size_t kMostAtOnce = 64;

/// What one look into a queue has brought, in the order in which it is to run.
struct Batch {
    std::array<WorkItem*, kMostAtOnce> items;
    std::size_t count = 0;

    void add(WorkItem* item) noexcept { items[count++] = item; }
    void add_all(WorkList& list) noexcept {
        while (WorkItem* item = list.pop_front()) {
            add(item);
        }
    }
};

}  // namespace

void Shard::put_stealable(WorkItem* item) noexcept {
    if (!deque.push(item)) {
        core->overflow.put(item);
    }
}

/// What a batch may hold: one that runs next, and the rest in the deque, which only this thread fills. An item that
/// went back to the shared queue would lose its place there, and might do so for ever.
std::size_t Shard::most_at_once() const noexcept {
    return std::min(deque.capacity() - deque.size() + 1, kMostAtOnce);
}

/// Of a batch the first runs here next; the others go where thieves find them. Whoever looked for them in between has
/// not found them: the caller owes a wake.
WorkItem* Shard::keep(std::span<WorkItem* const> batch) noexcept {
    const auto rest = batch.subspan(1);
    // The deque's newest is the next to run.
    const auto kept = deque.push_many(rest.size(), [&](std::size_t i) { return rest[rest.size() - 1 - i]; });
    SPARGIO_CHECK(kept == rest.size(), "a batch was larger than most_at_once()");
    return batch.front();
}

WorkItem* Shard::take_overflow() noexcept {
    if (core->overflow.size() == 0) {
        return nullptr;
    }
    WorkList list;
    Batch batch;
    static_cast<void>(core->overflow.steal(list, most_at_once()));
    batch.add_all(list);
    if (batch.count == 0) {
        return nullptr;
    }
    WorkItem* first = keep({batch.items.data(), batch.count});
    if (batch.count > 1) {
        wake_one_for_stealing(*core, this);
    }
    return first;
}

/// Takes a stealable item to run next, and some to queue: of its own queues, of the shared one, or of another shard.
/// Whether there was any. The caller owes a wake for what is left.
bool Shard::steal() noexcept {
    SPARGIO_CHECK(stolen_ == nullptr, "a stolen item was forgotten");
    stolen_ = deque.pop();
    if (stolen_ == nullptr) {
        stolen_ = stealable.pop();
    }
    if (stolen_ == nullptr) {
        stolen_ = take_overflow();
    }
    if (stolen_ != nullptr) {
        return true;
    }
    const auto count = static_cast<std::uint32_t>(core->shards.size());
    const auto start = count > 1 ? random_.below(count) : 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        Shard& victim = *core->shards[(start + i) % count];
        if (&victim != this && something_to_steal_at(victim) && steal_from(victim)) {
            return true;
        }
    }
    return false;
}

/// Half of what waits in one of its queues, `steal_budget` at most: first what came from outside, whole trees that
/// nobody has begun; then the deque's oldest, the largest parts of a tree.
bool Shard::steal_from(Shard& victim) noexcept {
    counters.steal_attempts.add();
    const auto most = std::min(core->options.steal_budget, most_at_once());
    Batch batch;
    WorkList list;
    static_cast<void>(victim.stealable.steal(list, most));
    batch.add_all(list);
    if (batch.count == 0 && sees_deque(victim)) {
        const auto half = (victim.deque.size() + 1) / 2;
        // One by one: the owner takes items without a word at the other end, so no thief can claim several at once.
        while (batch.count < std::min(half, most)) {
            WorkItem* item = victim.deque.steal();
            if (item == nullptr) {
                break;
            }
            batch.add(item);
        }
    }
    if (batch.count == 0) {
        return false;
    }
    counters.steal_successes.add();
    counters.stealable_stolen.add(batch.count);
    stolen_ = keep({batch.items.data(), batch.count});
    return true;
}

}  // namespace spargio::detail
