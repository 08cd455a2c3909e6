// SPDX-License-Identifier: MIT
#include "search.hpp"

#include <bit>

namespace spargio::model_checker {
namespace {

/// Whether the order of the two makes a difference. Two sequentially consistent loads of one location: the later one
/// may not read an older store. A barrier concerns all locations.
bool dependent(const Pending& one, const Pending& other) noexcept {
    using Access = Pending::Access;
    if (one.access == Access::Barrier || other.access == Access::Barrier) {
        return true;
    }
    return one.location == other.location && (one.access == Access::Write || other.access == Access::Write ||
                                              (one.access == Access::LoadSeqCst && other.access == one.access));
}

constexpr unsigned set_of(std::size_t thread) noexcept {
    return 1U << thread;
}

std::size_t first_of(unsigned threads) noexcept {
    return static_cast<std::size_t>(std::countr_zero(threads));
}

}  // namespace

void Search::begin() noexcept {
    depth_ = 0;
    asleep_ = 0;
    preemptions_ = 0;
}

std::size_t Search::pick_thread(unsigned able, unsigned alive, std::size_t current, const PendingOfAll& pending) {
    const bool could_go_on = (alive & set_of(current)) != 0;
    if (depth_ == path_.size()) {
        if (could_go_on && preemptions_ == most_preemptions_) {
            able &= set_of(current);
        }
        const auto awake = able & ~asleep_;
        if (awake == 0) {
            return 0;
        }
        const auto first = (awake & set_of(current)) != 0 ? current : first_of(awake);
        path_.push_back({first, 0, able, asleep_});
    }
    const auto& choice = path_[depth_++];
    const auto thread = choice.taken;
    preemptions_ += could_go_on && thread != current ? 1 : 0;
    asleep_ = 0;
    if (most_preemptions_ == unlimited) {
        for (auto rest = (choice.asleep | choice.done) & ~set_of(thread); rest != 0; rest &= rest - 1) {
            const auto other = first_of(rest);
            asleep_ |= dependent(pending[thread], pending[other]) ? 0 : set_of(other);
        }
    }
    return thread;
}

std::size_t Search::pick_option(std::size_t options) {
    if (options == 1) {
        return 0;
    }
    if (depth_ == path_.size()) {
        path_.push_back({0, options});
    }
    return path_[depth_++].taken;
}

bool Search::next() {
    for (; !path_.empty(); path_.pop_back()) {
        auto& last = path_.back();
        if (last.options != 0) {
            if (++last.taken < last.options) {
                return true;
            }
            continue;
        }
        last.done |= set_of(last.taken);
        const auto left = last.able & ~last.asleep & ~last.done;
        if (left != 0) {
            last.taken = first_of(left);
            return true;
        }
    }
    return false;
}

}  // namespace spargio::model_checker
