// SPDX-License-Identifier: MIT
// Mailbox: the lanes that lead to a shard, and the tasks that wait for what comes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "counter.hpp"
#include "dirty_set.hpp"
#include "lane.hpp"
#include "spargio/detail/event_wait.hpp"
#include "spargio/event.hpp"
#include "spargio/shard_id.hpp"

namespace spargio::detail {

/// A message stays in its lane until a task of the shard takes it: there is no queue behind the lanes, so a lane's
/// capacity is the bound from end to end. Sources publish and mark the lane dirty; the shard look()s once per turn,
/// which makes tickets good, and wakes its waiting tasks, in the order in which they came. So many messages are then
/// kept for each of them; which ones is decided when it goes on, and takes them: the oldest there are. One that a stop
/// has reached meanwhile takes none, and nothing has to be put back. (A task that may go on at another shard, which
/// cannot look into the lanes, is given its messages when it is woken.)
///
/// The lane that had something new last is looked at whether it is marked or not, and before the marks: a shard that
/// spins for an answer then sees the answer itself, and not first the news of it. Nothing relies on that: a mark comes
/// all the same, and at least every other turn looks at the marks.
class Mailbox {
public:
    /// For a runtime of `shards` shards. Throws std::bad_alloc.
    Mailbox(std::size_t shards, std::size_t capacity);
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;
    ~Mailbox();

    // --- Sources ---

    /// The lane of `source`, whose thread calls; made at the first call. Throws std::bad_alloc.
    [[nodiscard]] Lane& lane_from(ShardId source, Shard& self);
    /// The lane of all threads that are no shard of the runtime; null once closed. Any thread. Throws std::bad_alloc.
    [[nodiscard]] ForeignLane* foreign_lane();
    /// After publishing: true means that the caller owes the shard a wake.
    [[nodiscard]] bool mark(ShardId source) noexcept { return dirty_.mark(source); }
    [[nodiscard]] bool mark_foreign() noexcept { return dirty_.mark(foreign_); }

    // --- The shard's thread ---

    /// Notices what was marked since the last such look. Free of cost when nothing was. Nothing any more once closed.
    void look() noexcept;
    /// The look of a turn: the same, or only at the lane that had something new last. While nothing is worth_a_look()
    /// it would find nothing.
    void look_in_turn() noexcept;
    [[nodiscard]] bool worth_a_look() const noexcept { return hot_ != nullptr || dirty_.any(); }
    /// Part of the look before a sleep.
    [[nodiscard]] bool anything_new() const noexcept {
        return (hot_ != nullptr && hot_->ring.arrived()) || dirty_.any();
    }
    /// There is a message, and a task that waits for one.
    [[nodiscard]] bool deliverable() const noexcept { return first_waiter_ != nullptr && unread_ != kept_; }
    /// There are messages that tasks were woken for and have not taken yet.
    [[nodiscard]] bool keeps_some() const noexcept { return kept_ != 0; }

    /// Keeps up to `most` of the messages that have been noticed and are kept for nobody. Returns how many.
    std::size_t keep(std::size_t most) noexcept {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(unread_ - kept_, most));
        kept_ += count;
        return count;
    }
    /// Ends that: they are for others again.
    void release(std::size_t kept) noexcept { kept_ -= kept; }
    /// Ends that, and takes as many: the oldest of each lane; the lanes take turns.
    void take_kept(Event* out, std::size_t kept) noexcept {
        kept_ -= kept;
        take_oldest(out, kept);
    }
    /// Takes up to `most` of those that have been noticed and are kept for nobody. Returns how many.
    std::size_t take(Event* out, std::size_t most) noexcept {
        const auto count = keep(most);
        take_kept(out, count);
        return count;
    }
    /// The same, after a look if there are not as many.
    std::size_t look_and_take(Event* out, std::size_t most) noexcept {
        if (unread_ - kept_ < most) {
            look();
        }
        return take(out, most);
    }

    void add_waiter(EventWait& wait) noexcept;
    void remove_waiter(EventWait& wait) noexcept;
    [[nodiscard]] EventWait* first_waiter() const noexcept { return first_waiter_; }

    // --- The end ---

    /// Refuses foreign messages from here on. Any thread.
    void close_foreign() noexcept;
    /// What was not seen never will be. The shard's thread, when no shard of the runtime sends any more.
    void close() noexcept;

    // --- Statistics; any thread ---

    [[nodiscard]] std::uint64_t seen() const noexcept { return seen_.get(); }
    [[nodiscard]] std::uint64_t failed() const noexcept { return failed_.get(); }
    [[nodiscard]] std::uint64_t foreign_accepted() const noexcept;

private:
    /// Calls `f` with the lane of that number. It exists: it has been marked.
    template <class F>
    auto with_lane(std::size_t number, F&& f) noexcept;
    template <class AnyLane>
    [[nodiscard]] bool look_at(std::size_t number, AnyLane& lane) noexcept;
    [[nodiscard]] std::size_t next_unread() noexcept;
    /// Requires as many unread ones.
    void take_oldest(Event* out, std::size_t count) noexcept;

    const std::size_t capacity_;
    const std::size_t foreign_;  // The number of the foreign lane: the one after the shards'.
    DirtySet dirty_;
    // Writer of each: the source, once, with the lane's contents (release). Readers: the shard, after the lane was
    // marked, and at the end (acquire).
    const std::unique_ptr<atomic<Lane*>[]> lanes_;
    // Writer: under the lock, once. Readers: foreign threads, the shard, statistics.
    atomic<ForeignLane*> foreign_lane_{nullptr};
    std::mutex foreign_mutex_;
    bool foreign_closed_ = false;

    // The shard's thread.
    std::uint64_t unread_ = 0;                // Noticed and not taken, in all lanes.
    std::uint64_t kept_ = 0;                  // Of these, those that tasks were woken for.
    std::vector<std::uint64_t> unread_bits_;  // A bit for each lane that holds some of them.
    std::size_t cursor_ = 0;                  // The lane whose turn it is.
    Lane* hot_ = nullptr;                     // The last one that had something new.
    bool hot_alone_ = false;                  // The last turn's look was at that one only.
    EventWait* first_waiter_ = nullptr;
    EventWait* last_waiter_ = nullptr;
    bool closed_ = false;
    Counter seen_;
    Counter failed_;
};

}  // namespace spargio::detail
