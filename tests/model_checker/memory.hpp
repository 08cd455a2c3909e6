// SPDX-License-Identifier: MIT
// The memory model: what each thread has seen, and so which stores a load may read.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace spargio::model_checker {

inline constexpr std::size_t most_threads = 5;  // Thread 0 prepares the others and looks at what they left.
inline constexpr std::size_t most_locations = 16;

using Word = std::uint64_t;
using Time = std::uint16_t;

[[nodiscard]] constexpr bool acquires(std::memory_order order) noexcept {
    return order != std::memory_order_relaxed && order != std::memory_order_release;
}
[[nodiscard]] constexpr bool releases(std::memory_order order) noexcept {
    return order == std::memory_order_release || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
}

/// What happens before a point in a thread: each thread's events up to a time (a vector clock, Fidge and Mattern 1988),
/// and of each location the oldest store that coherence still lets a load read.
struct View {
    std::array<Time, most_threads> clock{};
    std::array<std::uint16_t, most_locations> oldest{};

    void join(const View& other) noexcept;
};

/// The rules of C++20 (N4861, [intro.races] and [atomics.order]), executed one operation at a time, in the manner of
/// Kang and others, "A Promising Semantics for Relaxed-Memory Concurrency" (POPL 2017): a store is appended to its
/// location's history together with the view that an acquiring load of it gets; a load reads any store that its
/// thread's view does not exclude. README.md says where this is not all of C++20.
class Memory {
public:
    /// Forgets everything.
    void reset() noexcept;

    /// A location whose first value every thread sees.
    [[nodiscard]] std::size_t add_location(Word initial);

    /// The thread begins with what thread 0 has done.
    void start(std::size_t thread) noexcept;
    /// Thread 0 sees all that the others have done.
    void join_all() noexcept;
    /// The thread passes a full fence: what it, and whoever passed one before, has seen or made is what it reads from
    /// now on, or younger. It publishes nothing: for plain variables it does not count, as it does not for a race
    /// checker.
    void fence(std::size_t thread) noexcept;

    /// The oldest store that the thread may read; the youngest is last().
    [[nodiscard]] std::size_t oldest(std::size_t thread, std::size_t location, std::memory_order order) const noexcept;
    [[nodiscard]] std::size_t last(std::size_t location) const noexcept { return locations_[location].size() - 1; }
    [[nodiscard]] Word value(std::size_t location, std::size_t index) const noexcept {
        return locations_[location][index].value;
    }

    void read(std::size_t thread, std::size_t location, std::size_t index, std::memory_order order) noexcept;
    void write(std::size_t thread, std::size_t location, Word value, std::memory_order order);
    /// Reads the last store and writes behind it: nothing comes between the two.
    void update(std::size_t thread, std::size_t location, Word value, std::memory_order order);

    // A load that reads a store which is executed later: what a CPU does that executes a load late. The value is
    // promised, and some other thread has to store it.

    void promise(std::size_t thread, std::size_t location, Word value);
    /// False: the operation cannot come before the store that was promised, and so not here.
    [[nodiscard]] bool allowed(std::size_t thread, std::size_t location) const noexcept;
    [[nodiscard]] bool promises_kept() const noexcept;
    [[nodiscard]] bool promises_kept_by(std::size_t thread) const noexcept;

    // Vector clocks, for those who look for races.

    [[nodiscard]] Time now(std::size_t thread) const noexcept { return views_[thread].clock[thread]; }
    /// Whether what `other` did at that time happens before what `thread` does next.
    [[nodiscard]] bool sees(std::size_t thread, std::size_t other, Time time) const noexcept {
        return views_[thread].clock[other] >= time;
    }

private:
    struct Store {
        Word value;
        View released;
    };
    struct Promise {
        std::size_t thread;
        std::size_t location;
        Word value;
        Time time;
        bool kept;
    };

    void append(std::size_t thread, std::size_t location, Word value, std::memory_order order, View released);
    void keep_promises(std::size_t thread, std::size_t location);
    void tick(std::size_t thread) noexcept { ++views_[thread].clock[thread]; }

    std::array<View, most_threads> views_{};
    std::array<std::vector<Store>, most_locations> locations_;        // The modification orders.
    std::array<std::uint16_t, most_locations> oldest_for_seq_cst_{};  // What sequentially consistent loads may read.
    std::size_t used_ = 0;
    std::vector<Promise> promises_;
};

}  // namespace spargio::model_checker
