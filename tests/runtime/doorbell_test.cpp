// SPDX-License-Identifier: MIT
// How many bells messages ring: one for a shard that sleeps, none for one that is awake.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "support/backend_test.hpp"
#include "support/event.hpp"
#include "support/files.hpp"
#include "support/ring_entries.hpp"
#include "support/stalled_shard.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

/// Returns when `shard` sleeps. No other shard may fall asleep meanwhile.
void put_to_sleep(const RuntimeHandle& runtime, ShardId shard) {
    std::atomic<std::uint64_t> parks{0};
    Event ran;
    Event rung;
    auto step = runtime.spawn_pinned(shard, [&, runtime] {
        parks = runtime.stats_snapshot().parks;
        ran.set();
        rung.wait();  // Else the bell for this step may come later, and end the sleep.
    });
    rung.set();
    ran.wait();
    step.detach();
    while (runtime.stats_snapshot().parks == parks) {
        std::this_thread::yield();
    }
}

std::uint64_t bells(const RuntimeHandle& runtime) {
    return runtime.stats_snapshot().doorbells_rung;
}

class Doorbells : public BackendTest {
protected:
    static Runtime sleepy(std::size_t shards) {
        return builder(shards).idle_spin(std::chrono::microseconds(0)).build();
    }

    Watchdog watchdog_{"doorbells"};
};
SPARGIO_ON_BOTH_BACKENDS(Doorbells);

TEST_P(Doorbells, AMessageOfAForeignThreadToASleepingShardRingsOne) {
    auto one = sleepy(1);
    const RemoteShard target = *one.handle().remote(0);
    for (int round = 0; round < 100; ++round) {
        put_to_sleep(one.handle(), 0);
        const auto before = bells(one.handle());
        const auto ticket = target.send_raw(1, 1);
        EXPECT_EQ(bells(one.handle()), before + 1);
        EXPECT_TRUE(ticket->get().has_value());
        EXPECT_EQ(bells(one.handle()), before + 1);
    }
}

TEST_P(Doorbells, AMessageOfAShardToASleepingOneRingsOneWhenItIsFlushed) {
    auto two = sleepy(2);
    const RemoteShard target = *two.handle().remote(1);
    const auto step = [&, handle = two.handle()] {
        for (int round = 0; round < 100; ++round) {
            put_to_sleep(handle, 1);
            const auto before = bells(handle);
            EXPECT_TRUE(target.send_raw_nowait(1, 1).has_value());
            EXPECT_EQ(bells(handle), before) << "not yet published";
            target.flush();
            EXPECT_EQ(bells(handle), before + 1);
            target.flush();
            EXPECT_EQ(bells(handle), before + 1);
        }
    };
    two.handle().spawn_pinned(0, step).get();
}

TEST_P(Doorbells, AStepThatSendsToASleepingShardRingsOneWhenItEnds) {
    auto two = sleepy(2);
    const RemoteShard target = *two.handle().remote(1);
    for (const std::uint32_t messages : {1U, 5U, 63U}) {
        const auto task = [target, messages, handle = two.handle()]() -> Task<> {
            for (int round = 0; round < 50; ++round) {
                put_to_sleep(handle, 1);
                const auto before = bells(handle);
                for (std::uint32_t i = 0; i < messages; ++i) {
                    EXPECT_TRUE(target.send_raw_nowait(1, i).has_value());
                }
                EXPECT_EQ(bells(handle), before);
                co_await yield();
                EXPECT_EQ(bells(handle), before + 1) << messages << " messages";
                while (handle.stats_snapshot().ring_msgs_completed != handle.stats_snapshot().ring_msgs_submitted) {
                    std::this_thread::yield();
                }
            }
        };
        two.handle().spawn_pinned(0, task).get();
        const auto drain = [] {
            while (ShardCtx::current()->try_next_event()) {}
        };
        two.handle().spawn_pinned(1, drain).get();
    }
}

TEST_P(Doorbells, AThousandMessagesOfOneStepRingAFewAndOfOneSendOne) {
    auto two = sleepy(2);
    const RemoteShard target = *two.handle().remote(1);
    const auto step = [&, handle = two.handle()] {
        put_to_sleep(handle, 1);
        auto before = bells(handle);
        for (std::uint32_t i = 0; i < 1000; ++i) {
            EXPECT_TRUE(target.send_raw_nowait(1, i).has_value());
        }
        target.flush();
        EXPECT_GE(bells(handle), before + 1);
        EXPECT_LE(bells(handle), before + 16) << "one for each 64, if the target falls asleep between them";
        put_to_sleep(handle, 1);
        before = bells(handle);
        const auto sent = target.send_many_raw_nowait(std::vector<RawMsg>(1000, RawMsg{1, 1}));
        EXPECT_TRUE(sent.has_value() && *sent == 1000U);
        target.flush();
        EXPECT_EQ(bells(handle), before + 1);
    };
    two.handle().spawn_pinned(0, step).get();
}

TEST_P(Doorbells, MessagesToAShardThatIsAwakeRingNone) {
    auto two = sleepy(2);
    const RuntimeHandle handle = two.handle();
    StalledShard stalled(handle, 1);
    const auto step = [handle] {
        const auto before = bells(handle);
        for (const ShardId target : {ShardId{1}, ShardId{0}}) {
            for (std::uint32_t i = 0; i < 200; ++i) {
                EXPECT_TRUE(handle.remote(target)->send_raw_nowait(1, i).has_value());
                handle.remote(target)->flush();
            }
            std::thread([&] { EXPECT_TRUE(handle.remote(target)->send_raw_nowait(1, 1).has_value()); }).join();
        }
        EXPECT_EQ(bells(handle), before);
    };
    handle.spawn_pinned(0, step).get();
    stalled.release();
    const NoLateWakes check(handle);
    EXPECT_TRUE(handle.remote(1)->send_raw(1, 1)->get().has_value());
    const auto stats = handle.stats_snapshot();
    EXPECT_EQ(stats.ring_msgs_submitted, 403U);
}

class OwnBells : public UringTest {};

/// Several operations that end together wake a shard that is marked as asleep until it has looked at them all.
TEST_F(OwnBells, AShardRingsNoneForItself) {
    const Runtime runtime = builder(1).idle_spin(std::chrono::microseconds(0)).build();
    const auto handle = runtime.handle();
    const auto lane = handle.native_lane(0).value();
    const Pipe pipe;
    for (int round = 0; round < 20; ++round) {
        std::vector<JoinHandle<bool>> readers;
        for (int i = 0; i < 16; ++i) {
            readers.push_back(handle.spawn_stealable([&]() -> Task<bool> {
                const auto read = co_await lane.read_at(pipe.reader.get(), NativeLane::current_position, 1);
                co_return read.has_value();
            }));
        }
        while (handle.stats_snapshot().pending_native_ops != readers.size()) {
            std::this_thread::yield();
        }
        const auto before = handle.stats_snapshot().doorbells_rung;
        EXPECT_EQ(write(pipe.writer.get(), "0123456789abcdef", 16), 16);
        for (auto& reader : readers) {
            EXPECT_TRUE(reader.get());
        }
        EXPECT_EQ(handle.stats_snapshot().doorbells_rung, before);
    }
}

/// Lets every bell through, and counts them where they are rung.
class CountedBells final : public detail::UringFaults {
public:
    int on_bell() noexcept override {
        ++rung_;
        return 0;
    }
    [[nodiscard]] std::uint64_t rung() const noexcept { return rung_; }

private:
    std::atomic<std::uint64_t> rung_{0};
};

class UringBells : public UringTest {
protected:
    /// A send to shard 1, which sleeps, rings one bell and counts one; while it runs, none.
    static void expect_as_many_as_are_counted() {
        CountedBells kernel;
        const InstalledFaults installed(kernel);
        const Runtime two = builder(2).idle_spin(std::chrono::microseconds(0)).build();
        const auto handle = two.handle();
        const auto send = [&](std::uint64_t expected) {
            const auto counted = bells(handle);
            const auto rung = kernel.rung();
            EXPECT_TRUE(handle.remote(1)->send_raw_nowait(1, 1).has_value());
            handle.remote(1)->flush();
            EXPECT_EQ(bells(handle) - counted, expected);
            EXPECT_EQ(kernel.rung() - rung, expected);
        };
        const auto send_to_sleeper = [&] {
            for (int round = 0; round < 50; ++round) {
                put_to_sleep(handle, 1);
                send(1);
            }
        };
        handle.spawn_pinned(0, send_to_sleeper).get();
        {
            const StalledShard awake(handle, 0);
            send_to_sleeper();
        }
        const StalledShard awake(handle, 1);
        handle.spawn_pinned(0, [&] { send(0); }).get();
        const StalledShard other(handle, 0);
        send(0);
    }

    Watchdog watchdog_{"doorbells of rings"};
};

TEST_F(UringBells, AreAsManyAsAreCounted) {
    expect_as_many_as_are_counted();
}

TEST_F(UringBells, AreAsManyAsAreCountedWhereTheEventfdRings) {
    const Environment mask("SPARGIO_URING_DISABLE", "msg_ring,send_msg_ring");
    expect_as_many_as_are_counted();
}

TEST_F(UringBells, OfAShardAreAnEntryEach) {
    const Runtime two = builder(2).idle_spin(std::chrono::microseconds(0)).build();
    const auto handle = two.handle();
    if (!handle.capabilities().msg_ring || !entries_submitted()) {
        GTEST_SKIP() << "IORING_OP_MSG_RING or the ring's state in /proc/self/fdinfo is not available";
    }
    const auto step = [handle] {
        for (int round = 0; round < 50; ++round) {
            put_to_sleep(handle, 1);
            const auto counted = bells(handle);
            const auto entries = entries_submitted();
            EXPECT_TRUE(handle.remote(1)->send_raw_nowait(1, 1).has_value());
            handle.remote(1)->flush();
            EXPECT_EQ(bells(handle), counted + 1);
            EXPECT_EQ(entries_submitted(), *entries + 1);
        }
    };
    handle.spawn_pinned(0, step).get();
    const StalledShard awake(handle, 1);
    const auto to_one_that_runs = [handle] {
        const auto entries = entries_submitted();
        for (std::uint32_t i = 0; i < 200; ++i) {
            EXPECT_TRUE(handle.remote(1)->send_raw_nowait(1, i).has_value());
            handle.remote(1)->flush();
        }
        EXPECT_EQ(entries_submitted(), entries);
    };
    handle.spawn_pinned(0, to_one_that_runs).get();
}

}  // namespace
}  // namespace spargio::test
