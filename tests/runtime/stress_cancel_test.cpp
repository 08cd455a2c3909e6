// SPDX-License-Identifier: MIT
// Stops at random moments of everything that a task can wait in, mixed: every wait ends, with what was waited for or
// by the stop, and every byte, message, request and reply is found again.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <unistd.h>

#include "stress_cancel_waits.hpp"
#include "support/backend_test.hpp"
#include "support/stress.hpp"
#include "support/suspend_delays.hpp"

namespace spargio::test {
namespace {

class StressCancel : public BackendTest {
protected:
    /// Of one kind of wait.
    struct Tally {
        std::uint64_t stops = 0;  // Of tasks that had not ended.
        std::uint64_t stopped = 0;
        std::uint64_t ended = 0;  // As without a stop.
    };

    [[nodiscard]] bool has_lanes() const { return handle_.backend() == BackendKind::IoUring; }
    [[nodiscard]] std::size_t kinds() const { return has_lanes() ? wait_kinds : wait_kinds_without_lanes; }

    WaitChoice any_choice(Random& random) {
        WaitChoice choice{static_cast<WaitKind>(random.below(static_cast<std::uint32_t>(kinds()))),
                          {},
                          std::chrono::nanoseconds(random.below(60'000)),
                          random.one_in(2),
                          random.one_in(2)};
        if (has_lanes()) {
            choice.lane.push_back(handle_.native_lane(ShardId(random.below(2))).value());
        }
        return choice;
    }

    /// Something comes that somebody may wait for.
    void feed(Random& random) {
        if (has_lanes() && random.one_in(2)) {
            world_.in.feed(5);
        }
        if (has_lanes() && random.one_in(2)) {
            world_.exact.feed(random.one_in(2) ? exact_bytes : 3);
        }
        for (ShardId shard = 0; shard < 2; ++shard) {
            if (random.one_in(4) && handle_.remote(shard)->send_raw_nowait(1, 2)) {
                ++sent_;
            }
        }
        if (random.one_in(2)) {
            answer_calls();
        }
        if (random.one_in(4)) {
            make_request();
        }
    }

    void answer_calls() {
        while (auto request = world_.calls.second.try_recv()) {
            answered_ += request->respond(request->request() + 1) ? 1 : 0;
        }
    }

    void make_request() {
        const int number = static_cast<int>(tickets_.size());
        if (auto ticket = world_.requests.first.try_call(number)) {
            tickets_.push_back(*std::move(ticket));
        } else {
            EXPECT_EQ(ticket.error(), BoundaryError::Overloaded);
        }
    }

    /// Those that no task has taken are answered here: then each has its reply.
    void take_requests() {
        while (auto request = world_.requests.second.try_recv()) {
            const int number = request->take();
            EXPECT_TRUE(request->respond(number + 1).has_value());
        }
        auto tickets = std::exchange(tickets_, {});
        for (std::size_t i = 0; i < tickets.size(); ++i) {
            ASSERT_EQ(tickets[i].get(), Result<int>(static_cast<int>(i) + 1)) << "a request was lost";
        }
    }

    /// So that whoever writes waits.
    void fill_out() {
        const std::string filling(4096, 'f');
        for (ssize_t count = 0; count >= 0; count = write(world_.out.writer.get(), filling.data(), filling.size())) {
            filled_ += static_cast<std::uint64_t>(count);
        }
    }

    void drain_out() {
        char bytes[4096];
        for (ssize_t count = 0; count >= 0; count = ::read(world_.out.reader.get(), bytes, sizeof bytes)) {
            for (ssize_t i = 0; i < count; ++i) {
                ++drained_[static_cast<unsigned char>(bytes[i])];
            }
        }
    }

    /// The messages that are left.
    void take_events() {
        for (ShardId shard = 0; shard < 2; ++shard) {
            auto take_all = [this] {
                while (ShardCtx::current()->try_next_event()) {
                    ++events_taken_;
                }
            };
            handle_.spawn_pinned(shard, std::move(take_all)).get();
        }
    }

    /// Else what was not taken in time would become more and more, and nobody would have to wait for anything.
    void take_the_rest() {
        world_.in.take_the_rest();
        world_.exact.take_the_rest();
        take_events();
        take_requests();
    }

    /// From outside, or in a step of either shard: each has its way to the wait.
    void stop(const JoinHandle<bool>& task, Random& random) {
        const auto where = random.below(4);
        if (where < 2) {
            handle_.spawn_pinned(ShardId(where), [&task] { task.request_stop(); }).get();
        } else {
            task.request_stop();
        }
    }

    /// Four tasks, and a stop of each.
    void run_round(Random& random) {
        if (has_lanes() && random.one_in(2)) {
            fill_out();
        }
        std::vector<std::pair<WaitKind, JoinHandle<bool>>> tasks;
        for (std::size_t i = 0; i < 4; ++i) {
            const auto placement =
                random.one_in(3) ? TaskPlacement::stealable() : TaskPlacement::pinned(ShardId(random.below(2)));
            const WaitChoice choice = any_choice(random);
            tasks.emplace_back(choice.kind, handle_.spawn_with_placement(placement, task_of(world_, choice)));
            feed(random);
        }
        for (auto& [kind, task] : tasks) {
            spin_for(std::chrono::nanoseconds(random.below(20'000)));
            if (random.one_in(4)) {
                drain_out();
            }
            tallies_[static_cast<std::size_t>(kind)].stops += task.done() ? 0 : 1;
            stop(task, random);
        }
        for (auto& [kind, task] : tasks) {
            Tally& tally = tallies_[static_cast<std::size_t>(kind)];
            ++(task.get() ? tally.ended : tally.stopped);
        }
        if (random.one_in(4)) {
            take_the_rest();
        }
    }

    [[nodiscard]] std::uint64_t stops() const {
        std::uint64_t sum = 0;
        for (const Tally& tally : tallies_) {
            sum += tally.stops;
        }
        return sum;
    }

    void expect_both_ends_of_each_kind() const {
        for (std::size_t kind = 0; kind < kinds(); ++kind) {
            const Tally& tally = tallies_[kind];
            const auto told = ::testing::Message()
                              << name_of(kind) << ": " << tally.stops << " stops; " << tally.stopped
                              << " ended by them, " << tally.ended << " otherwise";
            EXPECT_GT(tally.stops, 0U) << told;
            EXPECT_GT(tally.stopped, 0U) << told;
            EXPECT_GT(tally.ended, 0U) << told;
        }
    }

    void expect_every_byte() {
        drain_out();
        EXPECT_EQ(drained_['f'], filled_);
        EXPECT_EQ(drained_['w'], world_.written.load());
        EXPECT_EQ(world_.in.read(), world_.read.load());
        EXPECT_EQ(world_.exact.read(), world_.exact_read.load() * exact_bytes + world_.exact_parts.load());
        EXPECT_EQ(drained_['z'], 0U) << "the kernel took more of what it had given back";
        // How much of one that was stopped has been written is not told; of some it was a part.
        EXPECT_GE(drained_['l'], world_.long_written.load() * long_text);
        EXPECT_LE(drained_['l'], world_.long_begun.load() * long_text);
        if (has_lanes()) {
            EXPECT_GT(drained_['l'], world_.long_written.load() * long_text) << "none was stopped between its parts";
        }
    }

    const SuspendDelays delays_;
    Watchdog watchdog_{"stops at random moments"};
    WaitWorld world_;
    Runtime runtime_ = runtime(2);
    RuntimeHandle handle_ = runtime_.handle();
    std::array<Tally, wait_kinds> tallies_{};
    std::vector<boundary::Ticket<int>> tickets_;
    std::uint64_t sent_ = 0;
    std::uint64_t events_taken_ = 0;
    std::uint64_t answered_ = 0;
    std::uint64_t filled_ = 0;
    std::array<std::uint64_t, 256> drained_{};  // Of each character.
};
SPARGIO_ON_BOTH_BACKENDS(StressCancel);

// 20,000 stops on both backends together; the kinds of the native lane are nearly half of them.
TEST_P(StressCancel, EveryWaitEndsAndNothingIsLost) {
    const unsigned wanted = has_lanes() ? scaled(14'000, 14'000) : scaled(6'000, 6'000);
    Random random(stress_seed());
    for (std::uint64_t told = 0; stops() < wanted;) {
        run_round(random);
        if (stops() >= told + 1'000) {
            told = stops();
            watchdog_.progress(std::to_string(told) + " stops");
        }
    }
    expect_both_ends_of_each_kind();
    take_the_rest();
    expect_every_byte();
    EXPECT_EQ(world_.events.load() + events_taken_, sent_);
    EXPECT_EQ(world_.replies.load(), answered_) << "a reply that was accepted is the caller's";
    finish_step(handle_, 0);
    finish_step(handle_, 1);
    const auto stats = handle_.stats_snapshot();
    EXPECT_EQ(stats.tasks_live, 0U) << to_string(stats);
    EXPECT_EQ(stats.pending_native_ops, 0U) << to_string(stats);
    EXPECT_EQ(stats.late_wakes, 0U) << to_string(stats);
}

}  // namespace
}  // namespace spargio::test
