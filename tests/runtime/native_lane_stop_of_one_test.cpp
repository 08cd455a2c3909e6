// SPDX-License-Identifier: MIT
// A stop ends the operation that it is for and no other, though addresses, which name operations, are used again.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <sys/ioctl.h>
#include <unistd.h>

#include "support/files.hpp"
#include "support/lane_tasks.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

class NativeLaneStopOfOne : public UringTest {
protected:
    Watchdog watchdog_{"a stop of one operation"};
    Runtime runtime_ = builder(2).build();
    RuntimeHandle handle_ = runtime_.handle();
    Pipe pipe_;
};

/// Nobody has stopped the second one, which waits for the same at the same ring, or lives where the first one did.
TEST_F(NativeLaneStopOfOne, EndsNoOtherOperation) {
    Random random(stress_seed());
    Runtime narrow = builder(2).ring_entries(1).build();
    const unsigned rounds = scaled(3'000, 2'000);
    for (unsigned round = 0; round < rounds; ++round) {
        const auto handle = random.one_in(2) ? narrow.handle() : handle_;
        const auto lane = handle.native_lane(0).value();
        const auto begin = [&] {
            return handle.spawn_pinned(ShardId(random.below(2)), read_one(lane, pipe_.reader.get()));
        };
        auto stopped = begin();
        std::optional<JoinHandle<std::error_code>> other;
        if (random.one_in(2)) {
            other = begin();
        }
        if (random.one_in(2)) {
            wait_until_pending(handle, other ? 2 : 1);
        }
        const bool meets_bytes = random.one_in(2);
        if (meets_bytes) {  // The stop and the end of the read come together.
            ASSERT_EQ(write(pipe_.writer.get(), "ab", 2), 2);
        }
        stopped.request_stop();
        if (!other) {
            ASSERT_TRUE(stopped.wait_for(std::chrono::hours(1)));
            stopped = {};
            other = begin();
        }
        if (!meets_bytes) {
            ASSERT_EQ(write(pipe_.writer.get(), "ab", 2), 2);
        }
        ASSERT_FALSE(other->get()) << "round " << round;
        if (stopped.valid()) {
            ASSERT_TRUE(stopped.wait_for(std::chrono::hours(1)));
        }
        int left = 0;
        ASSERT_EQ(ioctl(pipe_.reader.get(), FIONREAD, &left), 0);
        ASSERT_LE(left, 1);
        char rest = 0;
        ASSERT_EQ(read(pipe_.reader.get(), &rest, static_cast<std::size_t>(left)), left);
        if (round % 1'000 == 0) {
            watchdog_.progress(std::to_string(round) + " rounds");
        }
    }
}

/// Begins reads of three pipes, and stops them: none ends before its own stop, or its byte. Gives how many stops were
/// right, up to the first thing that was not.
Task<unsigned> begin_and_stop(NativeLane lane, std::uint64_t seed, unsigned stops, Watchdog& watchdog) {
    struct Reader {
        Pipe pipe;
        JoinHandle<std::error_code> reading;
    };
    std::array<Reader, 3> readers;
    Random random(seed);
    unsigned right = 0;
    for (unsigned stopped = 0; stopped < stops;) {
        Reader& one = readers[random.below(3)];
        if (!one.reading.valid()) {
            one.reading = ShardCtx::current()->spawn_local(read_one(lane, one.pipe.reader.get()));
            if (random.one_in(2)) {
                co_await yield();  // Else the stop may come before it.
            }
            continue;
        }
        const bool alive = !one.reading.done();
        const bool stops_it = !random.one_in(16);
        if (stops_it) {
            one.reading.request_stop();
            ++stopped;
        } else if (::write(one.pipe.writer.get(), "x", 1) != 1) {
            co_return right;
        }
        const std::error_code error = co_await std::move(one.reading);
        one.reading = {};
        if (!alive || (stops_it ? error != std::errc::operation_canceled : static_cast<bool>(error))) {
            co_return right;
        }
        right += stops_it ? 1 : 0;
        if (right % 10'000 == 0) {
            watchdog.progress(std::to_string(right) + " stops");
        }
    }
    for (Reader& one : readers) {
        if (one.reading.valid()) {
            one.reading.request_stop();
            static_cast<void>(co_await std::move(one.reading));
        }
    }
    co_return right;
}

TEST_F(NativeLaneStopOfOne, InARingOfTwoEntries) {
    const unsigned stops = scaled(50'000, SPARGIO_TSAN != 0 ? 8'000 : 24'000);
    const Runtime narrow = builder(1).ring_entries(2).build();
    const auto lane = narrow.handle().native_lane(0).value();
    EXPECT_EQ(narrow.handle().spawn_pinned(0, begin_and_stop(lane, stress_seed(), stops, watchdog_)).get(), stops);
}

}  // namespace
}  // namespace spargio::test
