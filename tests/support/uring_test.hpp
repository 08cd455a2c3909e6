// SPDX-License-Identifier: MIT
// The fixture of tests that are about io_uring itself, and the library's seams that they use.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "spargio/spargio.hpp"
#include "support/backend_test.hpp"
#include "uring_faults.hpp"

namespace spargio::test {

inline constexpr auto current_position = NativeLane::current_position;

class UringTest : public ::testing::Test {
protected:
    void SetUp() override {
        const auto reason = backend_unavailable(BackendKind::IoUring);
        if (reason.empty()) {
            return;
        }
        if (io_uring_required()) {
            FAIL() << "io_uring is required here, and not available: " << reason;
        }
        GTEST_SKIP() << "io_uring is not available: " << reason;
    }

    [[nodiscard]] static RuntimeBuilder builder(std::size_t shards, BackendKind kind = BackendKind::IoUring) {
        RuntimeBuilder builder;
        builder.shards(shards).backend(backend_until_skipped(kind));
        return builder;
    }

    /// That of shard 0; none in a test that will be skipped.
    [[nodiscard]] static std::optional<NativeLane> first_lane(const RuntimeHandle& runtime) {
        const auto lane = runtime.native_lane(0);
        return lane.has_value() ? std::optional<NativeLane>(*lane) : std::nullopt;
    }
};

/// The failure of a build that must fail.
struct BuildError {
    std::error_code code;
    std::string what;
};

[[nodiscard]] inline BuildError build_error(const RuntimeBuilder& builder) {
    try {
        const Runtime runtime = builder.build();
        return {std::error_code(), "the build succeeded"};
    } catch (const std::system_error& error) {
        return {error.code(), error.what()};
    }
}

/// Puts faults into the ring's system calls while it lives.
class InstalledFaults {
public:
    explicit InstalledFaults(detail::UringFaults& faults) noexcept { detail::uring_faults.store(&faults); }
    InstalledFaults(const InstalledFaults&) = delete;
    InstalledFaults& operator=(const InstalledFaults&) = delete;
    ~InstalledFaults() { detail::uring_faults.store(nullptr); }
};

/// While it is closed the kernel takes nothing.
class Gate final : public detail::UringFaults {
public:
    int on_enter() noexcept override { return closed_ ? -EBUSY : 0; }
    void close() noexcept { closed_ = true; }
    void open() noexcept { closed_ = false; }

private:
    std::atomic<bool> closed_{false};
};

enum class FailingCall { Bell, Enter, Both };

/// Once armed, every n-th call of a kind fails, with each of the errors in turn.
class EveryNth final : public detail::UringFaults {
public:
    EveryNth(FailingCall call, unsigned n, std::vector<int> errors) : call_(call), n_(n), errors_(std::move(errors)) {}

    int on_bell() noexcept override { return call_ != FailingCall::Enter ? next() : 0; }
    int on_enter() noexcept override { return call_ != FailingCall::Bell ? next() : 0; }

    void arm() noexcept { armed_ = true; }
    void disarm() noexcept { armed_ = false; }
    [[nodiscard]] std::uint64_t failed() const noexcept { return failed_; }

private:
    int next() noexcept {
        if (!armed_ || calls_.fetch_add(1) % n_ != 0) {
            return 0;
        }
        return -errors_[failed_.fetch_add(1) % errors_.size()];
    }

    const FailingCall call_;
    const unsigned n_;
    const std::vector<int> errors_;
    std::atomic<bool> armed_{false};
    std::atomic<std::uint64_t> calls_{0};
    std::atomic<std::uint64_t> failed_{0};
};

/// An environment variable while it lives. Other threads must not read the environment meanwhile.
class Environment {
public:
    Environment(std::string name, const std::string& value) : name_(std::move(name)) {
        setenv(name_.c_str(), value.c_str(), 1);
    }
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;
    ~Environment() { unsetenv(name_.c_str()); }

private:
    const std::string name_;
};

}  // namespace spargio::test
