// SPDX-License-Identifier: MIT
#include "process_fork.hpp"

#include <new>

#include <pthread.h>

#include "cpu_count.hpp"
#include "scheduler.hpp"
#include "shard.hpp"

namespace spargio::detail {

namespace {

constinit atomic<std::uint64_t> last_id{0};
constinit atomic<bool> watched{false};  // Orders nothing: who does not see it registers once more.

/// What the shard of a task that has forked has in the child, where its ring is not mapped: nothing.
class NoDriver final : public Driver {
public:
    void poll() noexcept override { refuse(); }
    [[nodiscard]] bool has_completions() const noexcept override { return refuse(); }
    void wait(clock::time_point) noexcept override { refuse(); }
    void ring(Shard&) noexcept override { refuse(); }
    void wake_from_outside() noexcept override { refuse(); }
    [[nodiscard]] bool bell_heard() const noexcept override { return refuse(); }
    void expect_bell() noexcept override { refuse(); }
    void settle() noexcept override { refuse(); }
    [[nodiscard]] bool quiet() noexcept override { return refuse(); }
    void begin(Operation&) noexcept override { refuse(); }
    void cancel(Operation&) noexcept override { refuse(); }

private:
    static bool refuse() noexcept {
        refuse_after_fork(0);
        return false;
    }
};
constinit NoDriver no_driver;

/// In the child, which has the thread that forked and no other.
void forked() noexcept {
    last_id_of_parent.store(last_id.load(std::memory_order_relaxed), std::memory_order_relaxed);
    forget_quota();
    if (Shard* here = current_shard()) {
        // A task has forked: its step goes on, and may end the child; nothing comes after it.
        here->stopping.store(true, std::memory_order_relaxed);
        static_cast<void>(here->driver.release());
        here->driver.reset(&no_driver);  // Never destroyed: the threads in the parent hold the runtime.
    }
}

}  // namespace

std::uint64_t next_runtime_id() {
    if (!watched.exchange(true, std::memory_order_relaxed) && pthread_atfork(nullptr, nullptr, &forked) != 0) {
        watched.store(false, std::memory_order_relaxed);
        throw std::bad_alloc();
    }
    return last_id.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace spargio::detail
