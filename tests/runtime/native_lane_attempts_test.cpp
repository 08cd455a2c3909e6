// SPDX-License-Identifier: MIT
// Transfers of several attempts, of which any may be answered with EINTR or EAGAIN: each byte is transferred once.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <liburing.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "support/files.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

bool moves_bytes(unsigned opcode) {
    return opcode == IORING_OP_READ || opcode == IORING_OP_WRITE;
}

/// Attempts that take `piece` bytes at most, but for some in a row that take none and are answered with errors.
class FailingAttempts final : public detail::UringFaults {
public:
    /// For the next operation: its attempts from this one on, the first being 0, fail, each with an error of its own.
    void fail(int from, std::vector<int> errors) {
        from_ = from;
        errors_ = std::move(errors);
        attempts_ = 0;
        polls_ = 0;
        failed_ = 0;
    }
    void on_prepare(io_uring_sqe& entry) noexcept override {
        polls_ += entry.opcode == IORING_OP_POLL_ADD ? 1 : 0;
        if (moves_bytes(entry.opcode)) {
            const int number = attempts_++;
            const bool fails = number >= from_ && number < from_ + static_cast<int>(errors_.size());
            entry.len = fails ? 0 : std::min(entry.len, piece);
        }
    }
    int on_result(unsigned opcode, int result) noexcept override {
        return moves_bytes(opcode) && result == 0 && failed_ < errors_.size() ? -errors_[failed_++] : result;
    }

    static constexpr unsigned piece = 5;

    [[nodiscard]] int attempts() const noexcept { return attempts_; }
    [[nodiscard]] int polls() const noexcept { return polls_; }

private:
    // Of the shard that has the ring, which other threads wait for.
    int from_ = 0;
    std::vector<int> errors_;
    int attempts_ = 0;
    int polls_ = 0;
    std::size_t failed_ = 0;
};

constexpr std::string_view whole_text = "none of it lost, none of it twice";
constexpr int pieces_of_text = 7;

class NativeLaneAttempts : public UringTest {
protected:
    /// Writes the text and reads it back, each with these failures.
    Task<> there_and_back(const NativeLane& lane, int to, int from, std::uint64_t offset, int first,
                          const std::vector<int>& errors) {
        const auto expect_all_attempts = [&] {
            EXPECT_EQ(faults_.attempts(), pieces_of_text + static_cast<int>(errors.size()));
            EXPECT_EQ(faults_.polls(), std::count(errors.begin(), errors.end(), EAGAIN));
        };
        faults_.fail(first, errors);
        const auto written = co_await lane.write_all_at(to, offset, bytes_of(whole_text));
        EXPECT_TRUE(written.has_value());
        expect_all_attempts();
        if (to == from && offset == current_position) {
            EXPECT_EQ(lseek(to, 0, SEEK_CUR), static_cast<off_t>(whole_text.size()));
            lseek(to, 0, SEEK_SET);
        }
        std::string back(whole_text.size(), '\0');
        const auto room = std::as_writable_bytes(std::span(back));
        faults_.fail(first, errors);
        const auto read = co_await lane.read_exact_at(from, offset, room);
        EXPECT_TRUE(read.has_value());
        expect_all_attempts();
        EXPECT_EQ(back, whole_text);
    }

    FailingAttempts faults_;
};

TEST_F(NativeLaneAttempts, ThatFailAfterAPartLoseAndDoubleNothing) {
    const InstalledFaults installed(faults_);
    const Watchdog watchdog("attempts that fail");
    Runtime runtime = builder(2).build();
    const auto lane = runtime.handle().native_lane(0).value();
    const std::vector<std::vector<int>> all_errors = {
        {EINTR}, {EAGAIN}, {EINTR, EINTR, EINTR}, {EAGAIN, EAGAIN, EAGAIN}, {EINTR, EAGAIN, EAGAIN, EINTR}};
    for (const ShardId shard : {ShardId{0}, ShardId{1}}) {
        for (const auto& errors : all_errors) {
            for (int first = 0; first < pieces_of_text; ++first) {
                const auto body = [&]() -> Task<> {
                    const auto file = file_of("abc");
                    co_await there_and_back(lane, file.get(), file.get(), 3, first, errors);
                    EXPECT_EQ(content_of(file), "abc" + std::string(whole_text));
                    const auto positioned = file_of();
                    co_await there_and_back(lane, positioned.get(), positioned.get(), current_position, first, errors);
                    EXPECT_EQ(content_of(positioned), whole_text);
                    const Pipe pipe(O_NONBLOCK);
                    co_await there_and_back(lane, pipe.writer.get(), pipe.reader.get(), current_position, first,
                                            errors);
                    int left = 0;
                    EXPECT_EQ(ioctl(pipe.reader.get(), FIONREAD, &left), 0);
                    EXPECT_EQ(left, 0);
                };
                runtime.handle().spawn_pinned(shard, body).get();
                ASSERT_FALSE(HasFailure()) << "from attempt " << first << " on " << errors.size() << " errors, "
                                           << errors.back() << " the last, on shard " << shard;
            }
        }
    }
}

TEST_F(NativeLaneAttempts, AnErrorBehindThemEndsItAndWhatIsNotTransferredIsStillThere) {
    const InstalledFaults installed(faults_);
    const Watchdog watchdog("an error behind attempts that fail");
    Runtime runtime = builder(1).build();
    const auto lane = runtime.handle().native_lane(0).value();
    const std::size_t part = 2 * FailingAttempts::piece;
    runtime.block_on([&]() -> Task<> {
        const Pipe pipe;
        faults_.fail(2, {EINTR, EAGAIN, EINTR, EIO});
        const auto written = co_await lane.write_all_at(pipe.writer.get(), current_position, bytes_of(whole_text));
        EXPECT_EQ(written.error(), std::errc::io_error);
        std::string back(whole_text.size(), '\0');
        EXPECT_EQ(::read(pipe.reader.get(), back.data(), back.size()), static_cast<ssize_t>(part));
        EXPECT_EQ(back.substr(0, part), whole_text.substr(0, part));

        EXPECT_EQ(::write(pipe.writer.get(), whole_text.data(), whole_text.size()),
                  static_cast<ssize_t>(whole_text.size()));
        back.assign(whole_text.size(), '\0');
        const auto room = std::as_writable_bytes(std::span(back));
        faults_.fail(2, {EAGAIN, EINTR, EAGAIN, EIO});
        const auto read = co_await lane.read_exact_at(pipe.reader.get(), current_position, room);
        EXPECT_EQ(read.error(), std::errc::io_error);
        EXPECT_EQ(back.substr(0, part), whole_text.substr(0, part));
        back.assign(whole_text.size(), '\0');
        EXPECT_EQ(::read(pipe.reader.get(), back.data(), back.size()), static_cast<ssize_t>(whole_text.size() - part));
        EXPECT_EQ(back.substr(0, whole_text.size() - part), whole_text.substr(part));
    });
}

/// Any attempt of many operations at a time.
class RandomAttempts final : public detail::UringFaults {
public:
    void on_prepare(io_uring_sqe& entry) noexcept override {
        if (moves_bytes(entry.opcode)) {
            Random random(seed_ + calls_.fetch_add(1));
            entry.len = random.one_in(3) ? 0 : std::min(entry.len, 1 + random.below(20));
        }
    }
    int on_result(unsigned opcode, int result) noexcept override {
        if (!moves_bytes(opcode) || result != 0) {
            return result;
        }
        return failed_.fetch_add(1) % 2 == 0 ? -EINTR : -EAGAIN;
    }
    [[nodiscard]] std::uint64_t failed() const noexcept { return failed_; }

private:
    const std::uint64_t seed_ = stress_seed();
    std::atomic<std::uint64_t> calls_{0};
    std::atomic<std::uint64_t> failed_{0};
};

TEST_F(NativeLaneAttempts, ThatFailAtRandomInManyStreamsLoseAndDoubleNothing) {
    RandomAttempts faults;
    const InstalledFaults installed(faults);
    const Watchdog watchdog("streams whose attempts fail");
    const Runtime runtime = builder(2).build();
    const auto handle = runtime.handle();
    const std::size_t bytes = scaled(20'000, 4'000);
    const auto letter = [](std::size_t at) { return static_cast<char>('a' + at % 23); };
    std::vector<Pipe> pipes;
    std::vector<JoinHandle<void>> tasks;
    for (ShardId i = 0; i < 8; ++i) {
        pipes.emplace_back(i % 2 == 0 ? O_NONBLOCK : 0);  // One is ready after a poll, the other when it completes.
        const int to = pipes.back().writer.get();
        const int from = pipes.back().reader.get();
        const auto lane = handle.native_lane(i / 2 % 2).value();
        const std::uint64_t seed = stress_seed() + i;
        tasks.push_back(handle.spawn_pinned(i / 4, [=]() -> Task<> {
            Random random(seed);
            for (std::size_t at = 0; at < bytes;) {
                std::string part(std::min<std::size_t>(bytes - at, 1 + random.below(200)), '\0');
                std::generate(part.begin(), part.end(), [&] { return letter(at++); });
                const auto written = co_await lane.write_all_at(to, current_position, bytes_of(part));
                EXPECT_TRUE(written.has_value());
            }
        }));
        tasks.push_back(handle.spawn_pinned(i % 2, [=]() -> Task<> {
            Random random(seed + 100);
            bool right = true;
            for (std::size_t at = 0; at < bytes;) {
                std::string part(std::min<std::size_t>(bytes - at, 1 + random.below(200)), '\0');
                const auto room = std::as_writable_bytes(std::span(part));
                const auto read = co_await lane.read_exact_at(from, current_position, room);
                EXPECT_TRUE(read.has_value());
                right = right && std::all_of(part.begin(), part.end(), [&](char c) { return c == letter(at++); });
            }
            EXPECT_TRUE(right);
        }));
    }
    for (auto& task : tasks) {
        task.get();
    }
    for (const auto& pipe : pipes) {
        int left = 0;
        EXPECT_EQ(ioctl(pipe.reader.get(), FIONREAD, &left), 0);
        EXPECT_EQ(left, 0);
    }
    EXPECT_GT(faults.failed(), 1'000U);
    EXPECT_EQ(handle.stats_snapshot().pending_native_ops, 0U);
}

}  // namespace
}  // namespace spargio::test
