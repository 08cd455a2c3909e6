// SPDX-License-Identifier: MIT
// What StressCancel stops: a task for each kind of wait, and what they read, write, receive and count.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "support/files.hpp"
#include "support/stress.hpp"
#include "support/uring_test.hpp"

namespace spargio::test {

/// Those of the native lane are the last ones.
enum class WaitKind : std::uint8_t {
    Sleep,
    Event,
    Join,
    Call,
    Receive,
    Timeout,
    WhenAny,
    WhenAll,
    Group,
    Read,
    ReadBytes,
    ReadExact,
    Write,
    WriteBytes,
    WriteAll,
    Sync,
};
inline constexpr std::size_t wait_kinds = 16;
inline constexpr std::size_t wait_kinds_without_lanes = static_cast<std::size_t>(WaitKind::Read);

[[nodiscard]] inline const char* name_of(std::size_t kind) {
    static constexpr const char* names[wait_kinds] = {"sleep",
                                                      "event",
                                                      "join",
                                                      "call",
                                                      "receive",
                                                      "timeout",
                                                      "when_any",
                                                      "when_all",
                                                      "group",
                                                      "read",
                                                      "read into a vector",
                                                      "read_exact",
                                                      "write",
                                                      "write of a vector",
                                                      "write_all",
                                                      "fsync"};
    return names[kind];
}

/// What a write_all() is given: several times what its pipe holds, so that it is stopped between its parts.
inline constexpr std::size_t long_text = 20'000;
/// What a read_exact() waits for.
inline constexpr std::size_t exact_bytes = 8;

/// A pipe that the main thread writes, and where it takes what nobody has read.
class FedPipe {
public:
    [[nodiscard]] int reader() const noexcept { return pipe_.reader.get(); }

    void feed(std::size_t count) {
        const std::string text(count, 'i');
        ASSERT_EQ(::write(pipe_.writer.get(), text.data(), count), static_cast<ssize_t>(count));
        fed_ += count;
    }
    void take_the_rest() {
        char bytes[4096];
        for (ssize_t count = sizeof bytes; count == sizeof bytes;) {
            count = ::read(without_waiting_.get(), bytes, sizeof bytes);
            taken_ += count > 0 ? static_cast<std::uint64_t>(count) : 0;
        }
    }
    /// By tasks, when nothing is left.
    [[nodiscard]] std::uint64_t read() const noexcept { return fed_ - taken_; }

private:
    Pipe pipe_;
    Descriptor without_waiting_{
        open(("/proc/self/fd/" + std::to_string(reader())).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    std::uint64_t fed_ = 0;
    std::uint64_t taken_ = 0;
};

/// What the tasks use, and what they count. Outlives the runtime.
struct WaitWorld {
    WaitWorld() { fcntl(out.writer.get(), F_SETPIPE_SZ, 4096); }

    /// Waited for by a poll, or in the write itself.
    [[nodiscard]] int a_writer(bool blocking) const noexcept {
        return blocking ? blocking_writer.get() : out.writer.get();
    }

    FedPipe in;
    FedPipe exact;
    Pipe out{O_NONBLOCK};  // The main thread fills it and drains it; while it is full, writers wait.
    Descriptor blocking_writer{
        open(("/proc/self/fd/" + std::to_string(out.writer.get())).c_str(), O_WRONLY | O_CLOEXEC)};
    Descriptor memory{memfd_create("stress_cancel", MFD_CLOEXEC)};  // Whose fsync() costs no time.
    // The main thread answers the ones, and makes the others.
    std::pair<boundary::Client<int, int>, boundary::Server<int, int>> calls = boundary::channel<int, int>(2);
    std::pair<boundary::Client<int, int>, boundary::Server<int, int>> requests = boundary::channel<int, int>(64);

    std::atomic<std::uint64_t> read = 0;
    std::atomic<std::uint64_t> exact_read = 0;
    std::atomic<std::uint64_t> exact_parts = 0;  // Bytes, of those that were stopped.
    std::atomic<std::uint64_t> written = 0;
    std::atomic<std::uint64_t> long_begun = 0;
    std::atomic<std::uint64_t> long_written = 0;
    std::atomic<std::uint64_t> events = 0;
    std::atomic<std::uint64_t> replies = 0;
};

/// One task's, chosen by the main thread.
struct WaitChoice {
    WaitKind kind;
    std::vector<NativeLane> lane;  // One, or none where there is no lane.
    std::chrono::nanoseconds limit;
    bool sleeps_on;
    bool blocking;
};

/// A wait ends with what was waited for, or by the stop; with nothing else.
inline bool has_come(const std::error_code& error) {
    EXPECT_TRUE(!error || error == std::errc::operation_canceled) << error.message();
    return !error;
}

inline Task<bool> sleep_some(std::chrono::nanoseconds span) {
    const auto slept = co_await sleep_for(span);
    co_return has_come(slept.error());
}

inline Task<bool> wait_for_event(WaitWorld& world) {
    try {
        static_cast<void>(co_await ShardCtx::current()->next_event());
    } catch (const std::system_error& error) {
        co_return has_come(error.code());
    }
    ++world.events;
    co_return true;
}

inline Task<bool> call_out(WaitWorld& world) {
    const auto reply = co_await world.calls.first.call(1);
    if (reply) {
        EXPECT_EQ(*reply, 2);
        ++world.replies;
    }
    co_return has_come(reply.error());
}

inline Task<bool> serve_one(WaitWorld& world) {
    auto request = co_await world.requests.second.recv();
    if (request) {
        const int number = request->take();
        EXPECT_TRUE(request->respond(number + 1).has_value()) << "its caller waits";
    }
    co_return has_come(request.error());
}

/// The kernel has given it back: what would still come would be seen.
inline Task<> expect_untouched(std::span<std::byte> room) {
    std::fill(room.begin(), room.end(), std::byte{'c'});
    for (int i = 0; i < 2; ++i) {
        co_await yield();
    }
    EXPECT_EQ(std::count(room.begin(), room.end(), std::byte{'c'}), std::ssize(room)) << "a stopped read went on";
}

inline Task<bool> read_some(WaitWorld& world, NativeLane lane) {
    std::byte room[8];
    const auto count = co_await lane.read_at(world.in.reader(), current_position, std::span(room));
    if (!count) {
        co_await expect_untouched(room);
    }
    world.read += count.value_or(0);
    co_return has_come(count.error());
}

inline Task<bool> read_bytes(WaitWorld& world, NativeLane lane) {
    const auto bytes = co_await lane.read_at(world.in.reader(), current_position, std::size_t{8});
    world.read += bytes ? bytes->size() : 0;
    co_return has_come(bytes.error());
}

inline Task<bool> read_exact(WaitWorld& world, NativeLane lane) {
    std::byte room[exact_bytes]{};
    const auto all = co_await lane.read_exact_at(world.exact.reader(), current_position, std::span(room));
    if (all) {
        ++world.exact_read;
    } else {
        world.exact_parts += static_cast<std::uint64_t>(std::count(std::begin(room), std::end(room), std::byte{'i'}));
        co_await expect_untouched(room);
    }
    co_return has_come(all.error());
}

inline Task<bool> write_some(WaitWorld& world, NativeLane lane, bool blocking) {
    const auto count = co_await lane.write_at(world.a_writer(blocking), current_position, bytes_of("wwwwwwww"));
    world.written += count.value_or(0);
    co_return has_come(count.error());
}

inline Task<bool> write_bytes(WaitWorld& world, NativeLane lane, bool blocking) {
    std::vector<std::byte> bytes(100, std::byte{'w'});
    const auto count = co_await lane.write_at(world.a_writer(blocking), current_position, std::move(bytes));
    world.written += count.value_or(0);
    co_return has_come(count.error());
}

inline Task<bool> write_long_text(WaitWorld& world, NativeLane lane, bool blocking) {
    ++world.long_begun;
    std::string text(long_text, 'l');
    const auto all = co_await lane.write_all_at(world.a_writer(blocking), current_position, bytes_of(text));
    std::fill(text.begin(), text.end(), 'z');  // What the kernel would still take would be found in the pipe.
    co_await yield();
    world.long_written += all ? 1 : 0;
    co_return has_come(all.error());
}

inline Task<bool> sync_file(WaitWorld& world, NativeLane lane) {
    const auto synced = co_await lane.fsync(world.memory.get());
    co_return has_come(synced.error());
}

/// What the structures are made of: something that the kernel does, where it can.
inline Task<bool> something(WaitWorld& world, const WaitChoice& choice) {
    return choice.lane.empty() ? call_out(world) : read_some(world, choice.lane[0]);
}
inline Task<bool> something_else(WaitWorld& world, const WaitChoice& choice) {
    return choice.lane.empty() ? serve_one(world) : write_some(world, choice.lane[0], choice.blocking);
}

inline Task<bool> await_handle(JoinHandle<bool> child) {
    co_return co_await std::move(child);
}

inline Task<bool> join_a_child(WaitWorld& world, WaitChoice choice) {
    auto child = ShardCtx::current()->spawn_local(something(world, choice));
    const auto joined = co_await child.join();
    if (joined) {
        co_return *joined;
    }
    child.request_stop();
    auto end = await_handle(std::move(child));
    static_cast<void>(co_await without_stop(std::move(end)));
    co_return has_come(joined.error());
}

inline Task<bool> within_limit(WaitWorld& world, WaitChoice choice) {
    auto inner = something(world, choice);
    const auto ended = co_await timeout(choice.limit, std::move(inner));
    EXPECT_TRUE(ended || ended.error() == std::errc::timed_out);
    co_return ended.value_or(true);  // The limit, too, is what it waits for.
}

inline Task<bool> whichever_is_first(WaitWorld& world, WaitChoice choice) {
    auto inner = something(world, choice);
    auto sleeping = sleep_some(choice.limit);
    const auto first = co_await when_any(std::move(inner), std::move(sleeping));
    co_return first.index == 0 ? std::get<0>(first.value) : std::get<1>(first.value);
}

inline Task<bool> all_of_them(WaitWorld& world, WaitChoice choice) {
    auto one = something(world, choice);
    auto other = something_else(world, choice);
    auto sleeping = sleep_some(choice.limit);
    const auto all = co_await when_all(std::move(one), std::move(other), std::move(sleeping));
    co_return std::get<0>(all) && std::get<1>(all) && std::get<2>(all);
}

inline Task<bool> a_group(WaitWorld& world, WaitChoice choice) {
    auto body = [&world, &choice](TaskGroup& group) -> Task<bool> {
        group.spawn(TaskPlacement::stealable(), something(world, choice));
        group.spawn(TaskPlacement::pinned(1), something_else(world, choice));
        group.spawn(TaskPlacement::pinned(0), wait_for_event(world));
        co_return co_await sleep_some(choice.limit);
    };
    co_return co_await with_group(body);
}

/// A task that gives whether it ended as it would have without a stop.
inline Task<bool> task_of(WaitWorld& world, const WaitChoice& choice) {
    switch (choice.kind) {
    case WaitKind::Sleep:
        return sleep_some(choice.sleeps_on ? std::chrono::hours(1) : choice.limit);
    case WaitKind::Event:
        return wait_for_event(world);
    case WaitKind::Join:
        return join_a_child(world, choice);
    case WaitKind::Call:
        return call_out(world);
    case WaitKind::Receive:
        return serve_one(world);
    case WaitKind::Timeout:
        return within_limit(world, choice);
    case WaitKind::WhenAny:
        return whichever_is_first(world, choice);
    case WaitKind::WhenAll:
        return all_of_them(world, choice);
    case WaitKind::Group:
        return a_group(world, choice);
    case WaitKind::Read:
        return read_some(world, choice.lane.at(0));
    case WaitKind::ReadBytes:
        return read_bytes(world, choice.lane.at(0));
    case WaitKind::ReadExact:
        return read_exact(world, choice.lane.at(0));
    case WaitKind::Write:
        return write_some(world, choice.lane.at(0), choice.blocking);
    case WaitKind::WriteBytes:
        return write_bytes(world, choice.lane.at(0), choice.blocking);
    case WaitKind::WriteAll:
        return write_long_text(world, choice.lane.at(0), choice.blocking);
    case WaitKind::Sync:
        break;
    }
    return sync_file(world, choice.lane.at(0));
}

}  // namespace spargio::test
