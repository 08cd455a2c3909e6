// SPDX-License-Identifier: MIT
// A stealable task that yields on a shard which is busy after that must not wait there while another one is idle.
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/stalled_shard.hpp"

namespace spargio::test {
namespace {

class BusyShardYield : public BackendTest {};
SPARGIO_ON_BOTH_BACKENDS(BusyShardYield);

TEST_P(BusyShardYield, ATaskThatYieldsIsTakenFromAShardThatBecameBusy) {
    auto two_shards = runtime(2);
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < 20; ++round) {
        std::atomic<bool> blocked{false};
        Event seen;
        auto yielder = handle.spawn_stealable([&]() -> Task<> {
            static_cast<void>(co_await resume_on(0));
            auto blocker = ShardCtx::current()->spawn_local([&] {
                blocked.store(true);
                seen.wait();
            });
            while (!blocked.load()) {
                co_await yield();
            }
            EXPECT_EQ(shard_here(), 1);
            seen.set();
            co_await std::move(blocker);
        });
        yielder.get();
    }
}

// Alone, it wakes nobody, since it runs next. What comes from outside between its step and the next must not run before
// it: that may take long. `before` moves all this to another place in the shard's turn.
TEST_P(BusyShardYield, ATaskThatYieldsAloneRunsBeforeWhatHasJustArrived) {
    auto two_shards = builder(2).idle_spin(std::chrono::microseconds(0)).build();
    const auto handle = two_shards.handle();
    const NoLateWakes all_woken(handle);
    for (int round = 0; round < 10; ++round) {
        for (int before = 0; before < 8; ++before) {
            std::atomic<ShardId> began{};
            Event in_first_step;
            Event arrived;
            Event went_on;
            const auto yielder = [&]() -> Task<> {
                began = shard_here();
                in_first_step.set();
                arrived.wait();
                co_await yield();
                went_on.set();
            };
            std::vector<JoinHandle<void>> tasks;
            {
                const StalledShard stalled(handle, 0);
                for (int i = 0; i < before; ++i) {
                    tasks.push_back(handle.spawn_pinned(0, [] {}));
                }
                // The newest of the deque: it runs as soon as this step has ended, unless the other shard takes it.
                tasks.push_back(handle.spawn_pinned(0, [&] { handle.spawn_stealable(yielder).detach(); }));
            }
            in_first_step.wait();
            if (began == 0) {
                finish_step(handle, 1);  // It sleeps again soon.
            }
            tasks.push_back(handle.spawn_pinned(0, [&] { went_on.wait(); }));
            arrived.set();
            for (auto& task : tasks) {
                task.get();
            }
        }
    }
}

}  // namespace
}  // namespace spargio::test
