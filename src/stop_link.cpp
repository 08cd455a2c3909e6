// SPDX-License-Identifier: MIT
// Stop requests: the parts that run once per request or per token.
#include "stop_link.hpp"

#include <memory>
#include <utility>

namespace spargio::detail {

namespace {

StopLink::StopState* state_of(std::uintptr_t own, std::uintptr_t tag) noexcept {
    return reinterpret_cast<StopLink::StopState*>(own & ~tag);
}

constinit thread_local HeldWaits* held = nullptr;

}  // namespace

HeldWaits* held_waits() noexcept {
    return held;
}

HeldWaits* exchange_held_waits(HeldWaits* list) noexcept {
    return std::exchange(held, list);
}

void StopLink::destroy_shared() noexcept {
    delete state_of(word_.load(std::memory_order_acquire), kShared);
}

atomic<std::uintptr_t>& StopLink::shared_word(std::uintptr_t own) noexcept {
    return state_of(own, kShared)->word;
}

Wait* StopLink::request() noexcept {
    for (;;) {
        auto own = word_.load(std::memory_order_acquire);
        auto* link = &word_;
        if ((own & kShared) != 0) {
            auto* state = state_of(own, kShared);
            HeldWaits* const of_groups = exchange_held_waits(nullptr);
            state->source.request_stop();  // Callbacks run here; a second request finds it done.
            exchange_held_waits(of_groups);
            link = &state->word;
            own = link->load(std::memory_order_acquire);
        }
        if ((own & kStopped) != 0) {
            return nullptr;
        }
        // From Idle to Missed, or from Armed to Held. A failure means that the task or a completer moved: look again.
        const auto stopped = own == kIdle ? kMissed : own | kStopped;
        if (link->compare_exchange_weak(own, stopped, std::memory_order_acq_rel, std::memory_order_relaxed)) {
            return reinterpret_cast<Wait*>(own & kPointer);
        }
    }
}

StopLink::StopState* StopLink::shared_state() {
    auto own = word_.load(std::memory_order_acquire);
    if ((own & kShared) != 0) {
        return state_of(own, kShared);
    }
    auto state = std::make_unique<StopState>();
    // The task runs, so the word is Idle or Stopped; it becomes Stopped at most once.
    for (;;) {
        if ((own & kStopped) != 0) {
            state->source.request_stop();
            state->word.store(kStopped, std::memory_order_relaxed);
        }
        if (word_.compare_exchange_strong(own, reinterpret_cast<std::uintptr_t>(state.get()) | kShared,
                                          std::memory_order_acq_rel, std::memory_order_acquire)) {
            return state.release();
        }
    }
}

}  // namespace spargio::detail
