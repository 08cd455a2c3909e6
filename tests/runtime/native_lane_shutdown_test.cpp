// SPDX-License-Identifier: MIT
// Shutdowns that meet operations: nothing is freed while the kernel may write to it, whichever runtime goes first.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <sys/ioctl.h>
#include <unistd.h>

#include "support/files.hpp"
#include "support/lane_tasks.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

class NativeLaneStopByShutdown : public UringTest {
protected:
    Watchdog watchdog_{"a shutdown with operations"};
};

/// Writes a byte when it is destroyed.
class LastByte {
public:
    explicit LastByte(int fd) noexcept : fd_(fd) {}
    LastByte(const LastByte&) = delete;
    LastByte& operator=(const LastByte&) = delete;
    ~LastByte() { EXPECT_EQ(write(fd_, "x", 1), 1); }

private:
    const int fd_;
};

/// When the first frame is destroyed the kernel has none of the reads any more: else one of them takes what the frames
/// write, into a buffer that is freed.
TEST_F(NativeLaneStopByShutdown, AShutdownEndsAThousandReads) {
    const unsigned times = scaled(20, SPARGIO_TSAN != 0 ? 5 : 24);
    for (unsigned round = 0; round < times; ++round) {
        Pipe pipe;
        {
            // Without deferred task work a read goes on whenever its thread leaves the kernel.
            RuntimeBuilder rings = builder(2);
            if (round % 2 != 0) {
                rings.io_uring_defer_taskrun(false);
            }
            Runtime runtime = rings.build();
            const auto handle = runtime.handle();
            std::vector<std::unique_ptr<std::vector<std::byte>>> buffers;
            for (int i = 0; i < 1000; ++i) {
                buffers.push_back(std::make_unique<std::vector<std::byte>>(16));
                const auto lane = handle.native_lane(ShardId(i % 2)).value();
                auto reading = [lane, &pipe, buffer = buffers.back().get()]() -> Task<> {
                    const LastByte last(pipe.writer.get());
                    static_cast<void>(co_await lane.read_at(pipe.reader.get(), current_position, std::span(*buffer)));
                    ADD_FAILURE() << "no task is resumed by a shutdown";
                };
                handle.spawn_pinned(ShardId(i / 2 % 2), std::move(reading)).detach();
            }
            wait_until_pending(handle, 1000);
            runtime.shutdown();
            buffers.clear();
            EXPECT_EQ(handle.stats_snapshot().pending_native_ops, 0U);
            EXPECT_EQ(handle.stats_snapshot().tasks_live, 0U);
        }
        int left = 0;
        ASSERT_EQ(ioctl(pipe.reader.get(), FIONREAD, &left), 0);
        EXPECT_EQ(left, 1000);
        watchdog_.progress("shutdown " + std::to_string(round));
    }
}

TEST_F(NativeLaneStopByShutdown, ShutdownsAtAnyMomentOfReadsAndStops) {
    const unsigned rounds = scaled(300, 240);
    Random random(stress_seed() + 1);
    const auto descriptors = open_descriptors();
    for (unsigned round = 0; round < rounds; ++round) {
        Pipe pipe;
        std::optional<Runtime> runtime = builder(2).ring_entries(1 + random.below(8)).build();
        const auto handle = runtime->handle();
        std::vector<JoinHandle<std::error_code>> readers;
        for (int i = 0; i < 20; ++i) {
            const auto lane = handle.native_lane(ShardId(random.below(2))).value();
            readers.push_back(handle.spawn_with_placement(
                random.one_in(3) ? TaskPlacement::stealable() : TaskPlacement::pinned(ShardId(random.below(2))),
                read_one(lane, pipe.reader.get())));
        }
        std::thread stopper([&] {
            for (std::size_t i = 0; i < readers.size(); i += 2) {
                readers[i].request_stop();
            }
        });
        std::thread writer([&] { EXPECT_EQ(write(pipe.writer.get(), "123456", 6), 6); });
        spin_for(std::chrono::nanoseconds(random.below(100'000)));
        runtime.reset();
        stopper.join();
        writer.join();
        readers.clear();
        watchdog_.progress("shutdown " + std::to_string(round));
    }
    EXPECT_EQ(open_descriptors(), descriptors);
}

/// Whose runtime goes first: the task's, or that of the ring.
TEST_F(NativeLaneStopByShutdown, EitherRuntimeMayGoFirst) {
    const unsigned rounds = scaled(300, 60);
    Random random(stress_seed() + 2);
    for (unsigned round = 0; round < rounds; ++round) {
        Pipe pipe;
        std::optional<Runtime> ring = builder(1).build();
        std::optional<Runtime> tasks = builder(1).build();
        const auto lane = ring->handle().native_lane(0).value();
        std::vector<JoinHandle<std::error_code>> readers;
        for (int i = 0; i < 8; ++i) {
            readers.push_back(tasks->handle().spawn_pinned(0, read_one(lane, pipe.reader.get())));
        }
        // Stops that meet a ring whose runtime has just begun to close, among others.
        std::atomic<bool> closing = false;
        std::thread stopper([&, moment = random.below(40'000)] {
            while (!closing) {}
            for (auto& reader : readers) {
                spin_for(std::chrono::nanoseconds(moment / 8));
                reader.request_stop();
            }
        });
        spin_for(std::chrono::nanoseconds(random.below(100'000)));
        const bool ring_first = round % 2 == 0;
        closing = true;
        (ring_first ? ring : tasks).reset();
        if (ring_first) {
            for (auto& reader : readers) {
                EXPECT_TRUE(reader.get());  // Canceled, or closed.
            }
        }
        stopper.join();
        (ring_first ? tasks : ring).reset();
        watchdog_.progress("round " + std::to_string(round));
    }
}

}  // namespace
}  // namespace spargio::test
