// SPDX-License-Identifier: MIT
// NativeLane: what its operations give, where they run, where the task that awaits them goes on.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/files.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {
namespace {

class NativeLaneTest : public UringTest {
protected:
    Runtime runtime_ = builder(2).build();
    RuntimeHandle handle_ = runtime_.handle();
    std::optional<NativeLane> lane_ = first_lane(handle_);
};

TEST_F(NativeLaneTest, ReadsWhatIsThereInItsThreeForms) {
    const auto file = file_of("0123456789");
    handle_
        .spawn_pinned(0,
                      [&]() -> Task<> {
                          const auto owned = co_await lane_->read_at(file.get(), 2, 4);
                          EXPECT_EQ(text_of(owned.value()), "2345");
                          const auto short_one = co_await lane_->read_at(file.get(), 8, 100);
                          EXPECT_EQ(text_of(short_one.value()), "89");
                          const auto at_end = co_await lane_->read_at(file.get(), 10, 100);
                          EXPECT_TRUE(at_end.value().empty());
                          const auto nothing = co_await lane_->read_at(file.get(), 0, 0);
                          EXPECT_TRUE(nothing.value().empty());

                          std::vector<std::byte> room(6);
                          const auto count = co_await lane_->read_at(file.get(), 7, room);
                          EXPECT_EQ(count.value(), 3U);
                          EXPECT_EQ(text_of(std::span(room).first(3)), "789");
                          const auto none = co_await lane_->read_at(file.get(), 11, room);
                          EXPECT_EQ(none.value(), 0U);

                          const auto exact = co_await lane_->read_exact_at(file.get(), 4, room);
                          EXPECT_TRUE(exact.has_value());
                          EXPECT_EQ(text_of(room), "456789");
                          const auto too_much = co_await lane_->read_exact_at(file.get(), 5, room);
                          EXPECT_EQ(too_much.error(), IoError::UnexpectedEof);
                          const auto no_room = co_await lane_->read_exact_at(file.get(), 100, std::span<std::byte>());
                          EXPECT_TRUE(no_room.has_value());
                      })
        .get();
}

/// All there is, whatever it is: not as much memory as the number says.
TEST_F(NativeLaneTest, AReadOfAnyLengthTakesTheRoomOfWhatIsThere) {
    constexpr std::size_t any = std::numeric_limits<std::size_t>::max();
    constexpr std::size_t most = std::size_t{2} << 20U;
    const std::string text(most + 5000, 'b');
    const auto small = file_of("0123456789");
    const auto big = file_of(text);
    lseek(big.get(), 3, SEEK_SET);
    const Pipe pipe;
    ASSERT_EQ(write(pipe.writer.get(), "abc", 3), 3);
    const Descriptor zeros(open("/dev/zero", O_RDONLY | O_CLOEXEC));
    handle_
        .spawn_pinned(0,
                      [&]() -> Task<> {
                          for (const std::size_t length : {most / 2, most, most + 1, most * 100, any}) {
                              const auto ten = co_await lane_->read_at(small.get(), 0, length);
                              EXPECT_EQ(text_of(ten.value()), "0123456789");
                              EXPECT_LT(ten.value().capacity(), 1000U) << length;
                          }
                          const auto none = co_await lane_->read_at(small.get(), 1U << 30U, any);
                          EXPECT_EQ(none.value().capacity(), 0U);
                          const auto piped = co_await lane_->read_at(pipe.reader.get(), current_position, any);
                          EXPECT_EQ(text_of(piped.value()), "abc");
                          EXPECT_LT(piped.value().capacity(), 1000U);
                          const auto read_zeros = co_await lane_->read_at(zeros.get(), 0, any);
                          EXPECT_GT(read_zeros.value().size(), 0U);
                          EXPECT_LE(read_zeros.value().capacity(), most);
                          const auto all = co_await lane_->read_at(big.get(), 0, any);
                          EXPECT_TRUE(text_of(all.value()) == text);
                          EXPECT_LT(all.value().capacity(), text.size() + 4096);
                          const auto rest = co_await lane_->read_at(big.get(), current_position, any);
                          EXPECT_EQ(rest.value().size(), text.size() - 3);
                          const auto bad = co_await lane_->read_at(-1, 0, any);
                          EXPECT_EQ(bad.error(), std::errc::bad_file_descriptor);
                      })
        .get();
}

TEST_F(NativeLaneTest, WritesBorrowedAndOwnedBytes) {
    const auto file = file_of();
    handle_
        .spawn_pinned(0,
                      [&]() -> Task<> {
                          const auto borrowed = co_await lane_->write_at(file.get(), 0, bytes_of("hello "));
                          EXPECT_EQ(borrowed.value(), 6U);
                          const auto world = bytes_of("world");
                          std::vector<std::byte> owned(world.begin(), world.end());
                          const auto kept = co_await lane_->write_at(file.get(), 6, std::move(owned));
                          EXPECT_EQ(kept.value(), 5U);
                          const auto all = co_await lane_->write_all_at(file.get(), 11, bytes_of("!"));
                          EXPECT_TRUE(all.has_value());
                          const auto synced = co_await lane_->fsync(file.get());
                          EXPECT_TRUE(synced.has_value());
                          const auto data_synced = co_await lane_->fdatasync(file.get());
                          EXPECT_TRUE(data_synced.has_value());
                      })
        .get();
    EXPECT_EQ(content_of(file), "hello world!");
}

TEST_F(NativeLaneTest, CurrentPositionIsTheDescriptorsOwn) {
    const auto file = file_of("abcdef");
    lseek(file.get(), 1, SEEK_SET);
    const Pipe pipe;
    handle_
        .spawn_pinned(
            0,
            [&]() -> Task<> {
                std::vector<std::byte> room(2);
                EXPECT_TRUE((co_await lane_->read_exact_at(file.get(), current_position, room)).has_value());
                EXPECT_EQ(text_of(room), "bc");
                EXPECT_TRUE((co_await lane_->read_exact_at(file.get(), current_position, room)).has_value());
                EXPECT_EQ(text_of(room), "de");
                EXPECT_TRUE(
                    (co_await lane_->write_all_at(pipe.writer.get(), current_position, bytes_of("xy"))).has_value());
                EXPECT_TRUE((co_await lane_->read_exact_at(pipe.reader.get(), current_position, room)).has_value());
                EXPECT_EQ(text_of(room), "xy");
            })
        .get();
}

TEST_F(NativeLaneTest, WholeTransfersOfAPipeGoOnAfterShortOnes) {
    const Pipe pipe;
    const std::string sent(1 << 20, 's');  // Many times what a pipe holds.
    std::string received(sent.size(), '\0');
    auto writing = handle_.spawn_pinned(0, [&]() -> Task<bool> {
        const auto written = co_await lane_->write_all_at(pipe.writer.get(), current_position, bytes_of(sent));
        co_return written.has_value();
    });
    auto reading = handle_.spawn_pinned(1, [&]() -> Task<bool> {
        const auto room = std::as_writable_bytes(std::span(received));
        const auto read = co_await lane_->read_exact_at(pipe.reader.get(), current_position, room);
        co_return read.has_value();
    });
    EXPECT_TRUE(writing.get());
    EXPECT_TRUE(reading.get());
    EXPECT_TRUE(received == sent);
}

TEST_F(NativeLaneTest, ErrorsAreErrnoValues) {
    handle_
        .spawn_pinned(0,
                      [&]() -> Task<> {
                          std::vector<std::byte> room(1);
                          const auto bad = co_await lane_->read_at(-1, 0, room);
                          EXPECT_EQ(bad.error(), std::errc::bad_file_descriptor);
                          EXPECT_EQ(bad.error().category(), std::system_category());
                          const auto owned = co_await lane_->read_at(-1, 0, 1);
                          EXPECT_EQ(owned.error(), std::errc::bad_file_descriptor);
                          const Pipe pipe;
                          const auto seek = co_await lane_->read_at(pipe.writer.get(), 0, room);
                          EXPECT_EQ(seek.error(), std::errc::bad_file_descriptor) << "the writing end";
                          const auto sync = co_await lane_->fsync(pipe.reader.get());
                          EXPECT_EQ(sync.error(), std::errc::invalid_argument);
                          Pipe broken;
                          broken.reader.close();
                          const auto written =
                              co_await lane_->write_all_at(broken.writer.get(), current_position, bytes_of("x"));
                          EXPECT_EQ(written.error(), std::errc::broken_pipe) << "and no SIGPIPE, which shards block";
                          const auto huge = co_await lane_->read_at(0, std::uint64_t{1} << 63U, room);
                          EXPECT_EQ(huge.error(), std::errc::invalid_argument);
                      })
        .get();
}

TEST_F(NativeLaneTest, ANonBlockingDescriptorIsWaitedFor) {
    const Pipe pipe(O_NONBLOCK);
    auto reading = handle_.spawn_pinned(0, [&]() -> Task<std::string> {
        auto read = co_await lane_->read_at(pipe.reader.get(), current_position, 10);
        co_return text_of(read.value());
    });
    while (handle_.stats_snapshot().pending_native_ops == 0) {}
    ASSERT_EQ(write(pipe.writer.get(), "now", 3), 3);
    EXPECT_EQ(reading.get(), "now");
}

TEST_F(NativeLaneTest, TheTaskGoesOnOnItsOwnShardWhoeverOwnsTheRing) {
    const auto file = file_of("x");
    const auto other = handle_.native_lane(1).value();
    EXPECT_EQ(other.shard(), 1);
    for (const ShardId shard : {ShardId{0}, ShardId{1}}) {
        handle_
            .spawn_pinned(shard,
                          [&, shard]() -> Task<> {
                              for (int i = 0; i < 100; ++i) {
                                  const auto here = co_await lane_->read_at(file.get(), 0, 1);
                                  EXPECT_EQ(here.value().size(), 1U);
                                  EXPECT_EQ(ShardCtx::current()->shard_id(), shard);
                                  const auto there = co_await other.read_at(file.get(), 0, 1);
                                  EXPECT_EQ(there.value().size(), 1U);
                                  EXPECT_EQ(ShardCtx::current()->shard_id(), shard);
                              }
                          })
            .get();
    }
    const auto stats = handle_.stats_snapshot();
    EXPECT_EQ(stats.native_affinity_violations, 0U);
    EXPECT_EQ(stats.pending_native_ops, 0U);
}

TEST_F(NativeLaneTest, AStealableTaskAwaitsEachLaneInTurn) {
    const auto file = file_of("x");
    const auto other = handle_.native_lane(1).value();
    std::vector<JoinHandle<int>> tasks;
    for (int i = 0; i < 50; ++i) {
        tasks.push_back(handle_.spawn_stealable([&]() -> Task<int> {
            int read = 0;
            for (int round = 0; round < 20; ++round) {
                const auto first = co_await lane_->read_at(file.get(), 0, 1);
                const auto second = co_await other.read_at(file.get(), 0, 1);
                read += static_cast<int>(first.value().size() + second.value().size());
            }
            co_return read;
        }));
    }
    for (auto& task : tasks) {
        EXPECT_EQ(task.get(), 40);
    }
}

TEST_F(NativeLaneTest, ATaskOfAnotherRuntimeMayAwaitIt) {
    const auto file = file_of("shared");
    Runtime other = builder(1).build();
    const auto text = other.block_on([&]() -> Task<std::string> {
        const auto read = co_await lane_->read_at(file.get(), 0, 6);
        co_return text_of(read.value());
    });
    EXPECT_EQ(text, "shared");
}

TEST_F(NativeLaneTest, AShutDownRuntimesLaneSaysClosed) {
    const auto file = file_of("x");
    runtime_.shutdown();
    EXPECT_EQ(handle_.native_lane(0).error(), RuntimeError::Closed);
    Runtime other = builder(1).build();
    const auto error = other.block_on([&]() -> Task<std::error_code> {
        const auto read = co_await lane_->read_at(file.get(), 0, 1);
        co_return read.error();
    });
    EXPECT_EQ(error, RuntimeError::Closed);
}

TEST_F(NativeLaneTest, AnOperationOfOnesOwn) {
    const auto file = file_of("12345");
    handle_
        .spawn_pinned(1,
                      [&]() -> Task<> {
                          struct statx status {};
                          const int fd = file.get();
                          auto statx_it = [&status, fd](io_uring_sqe* sqe) {
                              io_uring_prep_statx(sqe, fd, "", AT_EMPTY_PATH, STATX_SIZE, &status);
                          };
                          const auto done = co_await lane_->submit(statx_it);
                          EXPECT_EQ(done.value(), 0);
                          EXPECT_EQ(status.stx_size, 5U);
                          auto open_nothing = [](io_uring_sqe* sqe) {
                              io_uring_prep_openat(sqe, AT_FDCWD, "/no/such/file", 0, 0);
                          };
                          const auto failed = co_await lane_->submit(open_nothing);
                          EXPECT_EQ(failed.error(), std::errc::no_such_file_or_directory);
                          auto never_told = [](io_uring_sqe* sqe) {
                              io_uring_prep_nop(sqe);
                              sqe->flags |= IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK | IOSQE_IO_HARDLINK |
                                            IOSQE_IO_DRAIN | IOSQE_BUFFER_SELECT;
                          };
                          auto owns = [buffer = std::make_unique<std::byte[]>(4), fd](io_uring_sqe* sqe) {
                              io_uring_prep_read(sqe, fd, buffer.get(), 4, 0);
                          };
                          auto&& reading = lane_->submit(std::move(owns));
                          const auto owned = co_await reading;
                          EXPECT_EQ(owned.value(), 4);
                          const auto told = co_await lane_->submit(never_told);
                          EXPECT_EQ(told.value(), 0);
                      })
        .get();
}

TEST_F(NativeLaneTest, AnAwaitableMayBeMadeEarlierAndOutliveItsLane) {
    const auto file = file_of("kept");
    handle_
        .spawn_pinned(0,
                      [&]() -> Task<> {
                          auto copy = std::make_unique<NativeLane>(*lane_);
                          auto&& reading = copy->read_at(file.get(), 0, 4);
                          copy.reset();
                          auto read = co_await reading;
                          EXPECT_EQ(text_of(read.value()), "kept");
                      })
        .get();
}

/// A length has 32 bits in the kernel.
TEST_F(NativeLaneTest, ALengthBeyondWhatTheKernelTakesIsCut) {
    constexpr std::size_t length = (std::size_t{4} << 30U) + 8;
    void* room = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(room, MAP_FAILED);
    const auto file = file_of("ten bytes!");
    handle_
        .spawn_pinned(0,
                      [&]() -> Task<> {
                          const std::span all(static_cast<std::byte*>(room), length);
                          const auto read = co_await lane_->read_at(file.get(), 0, all);
                          EXPECT_EQ(read.value(), 10U);
                          const auto exact = co_await lane_->read_exact_at(file.get(), 0, all);
                          EXPECT_EQ(exact.error(), IoError::UnexpectedEof);
                      })
        .get();
    munmap(room, length);
}

TEST_F(NativeLaneTest, MoreOperationsThanTheRingHasRoomFor) {
    constexpr int operations = 1000;
    Runtime narrow = builder(1).ring_entries(2).build();
    const auto handle = narrow.handle();
    const auto lane = handle.native_lane(0).value();
    const Pipe pipe;
    std::vector<JoinHandle<bool>> readers;
    for (int i = 0; i < operations; ++i) {
        readers.push_back(handle.spawn_pinned(0, [&]() -> Task<bool> {
            std::byte one{};
            const auto read = co_await lane.read_exact_at(pipe.reader.get(), current_position, std::span(&one, 1));
            co_return read.has_value();
        }));
    }
    finish_step(handle, 0);
    EXPECT_EQ(handle.stats_snapshot().pending_native_ops, std::uint64_t{operations});
    const std::string all(operations, 'a');
    ASSERT_EQ(write(pipe.writer.get(), all.data(), all.size()), operations);
    for (auto& reader : readers) {
        EXPECT_TRUE(reader.get());
    }
    EXPECT_EQ(handle.stats_snapshot().pending_native_ops, 0U);
}

/// The kernel waits for what can be waited for without a thread.
TEST_F(NativeLaneTest, AThousandPendingReadsTakeNoThread) {
    const auto threads = thread_count();
    for (const int flags : {0, O_NONBLOCK}) {
        const Pipe pipe(flags);
        constexpr std::size_t operations = 1'000;
        std::vector<JoinHandle<bool>> readers;
        for (std::size_t i = 0; i < operations; ++i) {
            readers.push_back(handle_.spawn_pinned(0, [&]() -> Task<bool> {
                std::byte one{};
                const auto read = co_await lane_->read_at(pipe.reader.get(), current_position, std::span(&one, 1));
                co_return read.has_value();
            }));
        }
        finish_step(handle_, 0);
        finish_step(handle_, 0);
        EXPECT_EQ(handle_.stats_snapshot().pending_native_ops, operations);
        EXPECT_LE(thread_count(), threads);
        const std::string all(operations, 'a');
        ASSERT_EQ(write(pipe.writer.get(), all.data(), all.size()), static_cast<ssize_t>(operations));
        for (auto& reader : readers) {
            EXPECT_TRUE(reader.get());
        }
    }
}

TEST_F(NativeLaneTest, ACompletionQueueThatOverflowsLosesNothing) {
    constexpr int operations = 2000;
    Runtime narrow = builder(1).ring_entries(2).build();
    const auto handle = narrow.handle();
    const auto lane = handle.native_lane(0).value();
    const Pipe pipe;
    std::atomic<int> done = 0;
    std::vector<JoinHandle<void>> readers;
    for (int i = 0; i < operations; ++i) {
        readers.push_back(handle.spawn_pinned(0, [&]() -> Task<> {
            std::byte one{};
            const auto read = co_await lane.read_at(pipe.reader.get(), current_position, std::span(&one, 1));
            done += static_cast<int>(read.value_or(0));
        }));
    }
    finish_step(handle, 0);
    // The shard is kept from its completions while the pipe wakes all of them.
    handle
        .spawn_pinned(0,
                      [&] {
                          const std::string all(operations, 'a');
                          EXPECT_EQ(write(pipe.writer.get(), all.data(), all.size()), operations);
                      })
        .get();
    for (auto& reader : readers) {
        reader.get();
    }
    EXPECT_EQ(done, operations);
    EXPECT_GT(handle.stats_snapshot().cq_overflows, 0U);
}

TEST(NativeLaneOnTheQueueBackend, IsUnsupported) {
    const Runtime runtime = RuntimeBuilder().shards(1).backend(BackendKind::Queue).build();
    EXPECT_EQ(runtime.handle().native_lane(0).error(), RuntimeError::UnsupportedBackend);
    EXPECT_EQ(runtime.handle().native_lane(1).error(), RuntimeError::InvalidShard);
}

}  // namespace
}  // namespace spargio::test
