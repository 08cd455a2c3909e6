// SPDX-License-Identifier: MIT
#include "memory.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace spargio::model_checker {

void View::join(const View& other) noexcept {
    for (std::size_t i = 0; i < most_threads; ++i) {
        clock[i] = std::max(clock[i], other.clock[i]);
    }
    for (std::size_t i = 0; i < most_locations; ++i) {
        oldest[i] = std::max(oldest[i], other.oldest[i]);
    }
}

void Memory::reset() noexcept {
    views_ = {};
    for (std::size_t i = 0; i < most_threads; ++i) {
        views_[i].clock[i] = 1;
    }
    for (std::size_t i = 0; i < used_; ++i) {
        locations_[i].clear();
    }
    oldest_for_seq_cst_ = {};
    used_ = 0;
    promises_.clear();
}

std::size_t Memory::add_location(Word initial) {
    if (used_ == most_locations) {
        std::fputs("error: raise most_locations\n", stderr);
        std::abort();
    }
    locations_[used_].push_back({initial, {}});
    return used_++;
}

void Memory::start(std::size_t thread) noexcept {
    const auto own = now(thread);
    views_[thread] = views_[0];
    views_[thread].clock[thread] = own;
    tick(0);
}

void Memory::join_all() noexcept {
    for (std::size_t i = 1; i < most_threads; ++i) {
        views_[0].join(views_[i]);
    }
    tick(0);
}

void Memory::fence(std::size_t thread) noexcept {
    auto& oldest = views_[thread].oldest;
    for (std::size_t i = 0; i < used_; ++i) {
        oldest[i] = oldest_for_seq_cst_[i] = std::max(oldest[i], oldest_for_seq_cst_[i]);
    }
}

std::size_t Memory::oldest(std::size_t thread, std::size_t location, std::memory_order order) const noexcept {
    const auto seen = views_[thread].oldest[location];
    return order == std::memory_order_seq_cst ? std::max(seen, oldest_for_seq_cst_[location]) : seen;
}

void Memory::read(std::size_t thread, std::size_t location, std::size_t index, std::memory_order order) noexcept {
    auto& view = views_[thread];
    if (acquires(order)) {
        view.join(locations_[location][index].released);
    }
    view.oldest[location] = std::max(view.oldest[location], static_cast<std::uint16_t>(index));
    if (order == std::memory_order_seq_cst) {
        // Whoever is later in the single order reads this store or a later one.
        oldest_for_seq_cst_[location] = std::max(oldest_for_seq_cst_[location], static_cast<std::uint16_t>(index));
    }
    tick(thread);
}

void Memory::write(std::size_t thread, std::size_t location, Word value, std::memory_order order) {
    append(thread, location, value, order, {});
}

void Memory::update(std::size_t thread, std::size_t location, Word value, std::memory_order order) {
    // Also a relaxed update continues the release sequence of what it reads.
    const View released = locations_[location].back().released;
    if (acquires(order)) {
        views_[thread].join(released);
    }
    append(thread, location, value, order, released);
}

void Memory::append(std::size_t thread, std::size_t location, Word value, std::memory_order order, View released) {
    auto& view = views_[thread];
    const auto index = static_cast<std::uint16_t>(locations_[location].size());
    view.oldest[location] = index;
    if (releases(order)) {
        released.join(view);
    }
    locations_[location].push_back({value, released});
    if (order == std::memory_order_seq_cst) {
        oldest_for_seq_cst_[location] = index;
    }
    keep_promises(thread, location);
    tick(thread);
}

void Memory::promise(std::size_t thread, std::size_t location, Word value) {
    promises_.push_back({thread, location, value, now(thread), false});
    tick(thread);
}

bool Memory::allowed(std::size_t thread, std::size_t location) const noexcept {
    // What comes after the load, in its thread or by happens-before, reads and writes behind the promised store.
    return std::none_of(promises_.begin(), promises_.end(), [&](const Promise& promise) {
        return !promise.kept && promise.location == location && sees(thread, promise.thread, promise.time);
    });
}

bool Memory::promises_kept() const noexcept {
    return std::all_of(promises_.begin(), promises_.end(), [](const Promise& promise) { return promise.kept; });
}

bool Memory::promises_kept_by(std::size_t thread) const noexcept {
    return std::all_of(promises_.begin(), promises_.end(),
                       [thread](const Promise& promise) { return promise.kept || promise.thread != thread; });
}

/// The last store of the location may be one that was promised.
void Memory::keep_promises(std::size_t thread, std::size_t location) {
    const auto index = static_cast<std::uint16_t>(last(location));
    for (auto& promise : promises_) {
        if (promise.kept || promise.location != location || promise.value != locations_[location].back().value ||
            sees(thread, promise.thread, promise.time)) {
            continue;
        }
        promise.kept = true;
        const auto after_the_load = [&](View& view) {
            if (view.clock[promise.thread] >= promise.time) {
                view.oldest[location] = std::max(view.oldest[location], index);
            }
        };
        std::for_each(views_.begin(), views_.end(), after_the_load);
        for (std::size_t i = 0; i < used_; ++i) {
            for (auto& store : locations_[i]) {
                after_the_load(store.released);
            }
        }
    }
}

}  // namespace spargio::model_checker
