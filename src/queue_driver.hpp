// SPDX-License-Identifier: MIT
// The fallback where the kernel refuses io_uring: a shard sleeps on its park word.
#pragma once

#include "driver.hpp"

namespace spargio::detail {

/// The park word is the futex, so a bell cannot be lost or late: the kernel does not let a sleep begin once the word
/// has left Parked.
class QueueDriver final : public Driver {
public:
    explicit QueueDriver(Shard& shard) noexcept : shard_(shard) {}

    void poll() noexcept override {}
    [[nodiscard]] bool has_completions() const noexcept override { return false; }
    void wait(clock::time_point deadline) noexcept override;
    void ring(Shard& target) noexcept override;
    void wake_from_outside() noexcept override;
    [[nodiscard]] bool bell_heard() const noexcept override;
    void expect_bell() noexcept override {}
    void settle() noexcept override {}
    void begin(Operation& operation) noexcept override;
    void cancel(Operation&) noexcept override {}
    [[nodiscard]] bool quiet() noexcept override { return true; }

private:
    Shard& shard_;
};

}  // namespace spargio::detail
