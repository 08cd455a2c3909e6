// SPDX-License-Identifier: MIT
// A counted reference to a runtime's shared core.
#pragma once

#include <cstdint>
#include <utility>

#include "spargio/config.hpp"

namespace spargio::detail {

class RuntimeCore;

/// Adds or drops one reference; the last one frees the core's memory. Any thread. Its threads and rings end in
/// shutdown(), not here.
void core_acquire(RuntimeCore* core) noexcept;
void core_release(RuntimeCore* core) noexcept;
/// Unlike its address, never used again by a later runtime of this process.
[[nodiscard]] std::uint64_t core_id(const RuntimeCore* core) noexcept;

class CoreRef {
public:
    CoreRef() noexcept = default;
    explicit CoreRef(RuntimeCore* core) noexcept : core_(core) {
        if (core_ != nullptr) {
            core_acquire(core_);
        }
    }
    CoreRef(const CoreRef& other) noexcept : CoreRef(other.core_) {}
    CoreRef(CoreRef&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
    CoreRef& operator=(CoreRef other) noexcept {
        std::swap(core_, other.core_);
        return *this;
    }
    ~CoreRef() {
        if (core_ != nullptr) {
            core_release(core_);
        }
    }

    [[nodiscard]] RuntimeCore* get() const noexcept { return core_; }
    RuntimeCore& operator*() const noexcept { return *operator->(); }
    RuntimeCore* operator->() const noexcept {
        SPARGIO_CHECK(
            core_ != nullptr,
            "a Runtime, RuntimeHandle, RemoteShard, SendTicket or NativeLane was used after it was moved from");
        return core_;
    }
    explicit operator bool() const noexcept { return core_ != nullptr; }

private:
    RuntimeCore* core_ = nullptr;
};

}  // namespace spargio::detail
