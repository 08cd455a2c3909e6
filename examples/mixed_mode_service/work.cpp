// SPDX-License-Identifier: MIT
// Stealable tasks count, sticky tasks know what was counted before, the ring or the blocking pool reads.
#include "work.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <liburing.h>
#include <poll.h>

#include "counter.hpp"
#include "files.hpp"

namespace mixed_mode_service {
namespace {

using namespace std::chrono_literals;
using spargio::Result;
using spargio::RuntimeHandle;
using spargio::ShardCtx;
using spargio::Task;
using Request = spargio::boundary::Request<Question, Answer>;

constexpr std::size_t chunk_bytes = 128 * 1024;

/// One question in progress: a place of the capacity.
class Place {
public:
    explicit Place(std::shared_ptr<std::atomic<std::size_t>> taken) : taken_(std::move(taken)) { ++*taken_; }
    Place(Place&&) noexcept = default;
    Place& operator=(Place&&) = delete;
    ~Place() {
        if (taken_ != nullptr) {
            --*taken_;
        }
    }

private:
    std::shared_ptr<std::atomic<std::size_t>> taken_;
};

/// What was counted, in how many bytes.
struct Counted {
    std::uint64_t count = 0;
    std::uint64_t bytes = 0;
};

/// On the ring of whichever shard the task is on; that shard does other work meanwhile.
Task<Result<Counted>> count_on_ring(RuntimeHandle runtime, std::shared_ptr<File> file, std::string word) {
    Counter counter(std::move(word));
    std::vector<std::byte> buffer(chunk_bytes);
    bool may_read = file->version().has_value();
    for (;;) {
        // Asked each time: the task may have moved.
        const auto lane = runtime.native_lane(ShardCtx::current()->shard_id());
        if (!lane) {
            co_return lane.error();
        }
        if (!may_read) {
            // A pipe that nobody has opened for writing yet would be at its end.
            auto poll = [descriptor = file->descriptor()](io_uring_sqe* entry) {
                io_uring_prep_poll_add(entry, descriptor, POLLIN);
            };
            const auto ready = co_await lane->submit(std::move(poll));
            if (!ready) {
                co_return ready.error();
            }
            may_read = true;
            continue;
        }
        const auto count = co_await lane->read_at(file->descriptor(), spargio::NativeLane::current_position, buffer);
        if (!count) {
            co_return count.error();
        }
        if (*count == 0) {
            const Counted counted{counter.count(), counter.bytes()};
            co_return counted;
        }
        counter.add(std::span(buffer).first(*count));
    }
}

/// A file that the blocking pool's threads read. Shared, because a job runs on when its task is stopped.
struct Reading {
    std::shared_ptr<File> file;
    Counter counter;
    std::vector<std::byte> buffer;
};

enum class Progress { None, Some, End };

/// A MiB at most, and never waits for a writer.
Result<Progress> read_some(Reading& reading) {
    constexpr int chunks = 8;
    for (int i = 0; i < chunks; ++i) {
        const auto count = reading.file->read(reading.buffer);
        if (!count) {
            return count.error();
        }
        if (!count->has_value()) {
            return i == 0 ? Progress::None : Progress::Some;
        }
        if (**count == 0) {
            return Progress::End;
        }
        reading.counter.add(std::span(reading.buffer).first(**count));
    }
    return Progress::Some;
}

/// Where there is no ring: on the threads of the blocking pool, in many small jobs. All questions share these few
/// threads, for opening files too. So a pipe in which nothing is has none of them: it is looked at now and then from
/// here. And a large file gives its thread back again and again.
Task<Result<Counted>> count_on_threads(RuntimeHandle runtime, std::shared_ptr<File> file, std::string word) {
    constexpr std::chrono::nanoseconds shortest = 1ms;
    constexpr std::chrono::nanoseconds longest = 50ms;
    auto pause = shortest;
    const auto reading = std::make_shared<Reading>(Reading{
        .file = std::move(file), .counter = Counter(std::move(word)), .buffer = std::vector<std::byte>(chunk_bytes)});
    for (;;) {
        Progress progress = Progress::None;
        if (reading->file->has_input()) {
            auto job = [reading] { return read_some(*reading); };
            auto running = runtime.spawn_blocking(std::move(job));
            const Result<Progress> done = co_await std::move(running);
            if (!done) {
                co_return done.error();
            }
            progress = *done;
        }
        if (progress == Progress::End) {
            const Counted counted{reading->counter.count(), reading->counter.bytes()};
            co_return counted;
        }
        if (progress == Progress::Some) {
            pause = shortest;
            continue;
        }
        const auto slept = co_await spargio::sleep_for(pause);
        if (!slept) {
            co_return slept.error();
        }
        pause = std::min(2 * pause, longest);
    }
}

/// One file. `key` is what the cache knows the answer by.
Task<Result<std::uint64_t>> count_file(RuntimeHandle runtime, Caches& caches, std::string path, std::string word) {
    // Opening may wait for a disk. The jobs below own what they use: they run on when this task is stopped.
    auto opening = runtime.spawn_blocking([path] { return File::open(path); });
    auto opened = co_await std::move(opening);
    if (!opened) {
        co_return opened.error();
    }
    const auto file = std::make_shared<File>(std::move(*opened));
    const auto version = file->version();

    // The path chooses the shard, so one cache has all answers about it, and no other shard touches that cache.
    const std::uint64_t shard_key = std::hash<std::string>()(path);
    const std::string key = word + '\0' + path;
    if (version) {
        auto look = [&caches, key, version] { return caches.of(ShardCtx::current()->shard_id()).find(key, *version); };
        auto looking = runtime.spawn_sticky(shard_key, std::move(look));
        const std::optional<std::uint64_t> known = co_await std::move(looking);
        if (known) {
            co_return *known;
        }
    }
    const bool is_settled = version && version->is_settled();
    const bool has_ring = runtime.backend() == spargio::BackendKind::IoUring;
    auto counting = has_ring ? count_on_ring(runtime, file, word) : count_on_threads(runtime, file, word);
    const auto counted = co_await std::move(counting);
    if (!counted) {
        co_return counted.error();
    }
    // Files in /proc and /sys change, and their times and sizes do not. They do not have as many bytes as they say.
    const bool tells_size = version && version->size > 0 && static_cast<std::uint64_t>(version->size) == counted->bytes;
    if (is_settled && tells_size && file->current_version() == version) {
        auto keep = [&caches, key, version, value = counted->count] {
            caches.of(ShardCtx::current()->shard_id()).insert(key, *version, value);
        };
        auto keeping = runtime.spawn_sticky(shard_key, std::move(keep));
        co_await std::move(keeping);
    }
    co_return counted->count;
}

/// Every `files_at_a_time`th file from `first` on, one after the other.
Task<Answer> count_some(RuntimeHandle runtime, Caches& caches, const Question& question, std::size_t first,
                        std::uint64_t& sum) {
    for (std::size_t i = first; i < question.paths.size(); i += files_at_a_time) {
        const auto count = co_await count_file(runtime, caches, question.paths[i], question.word);
        if (!count) {
            co_return Answer::error(question.paths[i] + ": " + count.error().message());
        }
        sum += *count;
    }
    co_return Answer();
}

/// Fans out over all shards, and adds up. The answer is the first error in the order of the children, if there is one.
Task<Answer> answer(RuntimeHandle runtime, Caches& caches, const Question& question) {
    const auto children = std::min(files_at_a_time, question.paths.size());
    std::vector<std::uint64_t> sums(children);
    auto child = [&](std::size_t i) { return count_some(runtime, caches, question, i, sums[i]); };
    const std::vector<Answer> errors = co_await spargio::spawn_many(children, std::move(child));
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < children; ++i) {
        if (!errors[i].line().empty()) {
            co_return errors[i];
        }
        total += sums[i];
    }
    co_return Answer::number(total);
}

/// Ends when nobody wants the answer any more. A request tells that only to who looks.
Task<> until_unwanted(const Request& request) {
    constexpr std::chrono::nanoseconds interval = 20ms;
    const auto deadline = request.deadline().value_or(std::chrono::steady_clock::time_point::max());
    while (!request.canceled()) {
        const auto left = deadline - std::chrono::steady_clock::now();
        if (left <= 0ms) {
            co_return;
        }
        if (!co_await spargio::sleep_for(std::min(interval, left))) {
            co_return;  // Stopped: the answer is there.
        }
    }
}

/// An answer that comes too late, or that nobody wants any more, is not given: the caller has been told.
Task<> handle(RuntimeHandle runtime, Caches& caches, Request request, Place place) {
    Answer result;
    try {
        auto first = co_await spargio::when_any(answer(runtime, caches, request.request()), until_unwanted(request));
        if (first.index != 0) {
            co_return;
        }
        result = std::move(std::get<0>(first.value));
    } catch (const std::exception& error) {
        result = Answer::error(error.what());
    }
    {
        const Place done = std::move(place);  // Before the client knows: it may ask again at once.
    }
    static_cast<void>(request.respond(std::move(result)));
}

}  // namespace

Task<> serve(RuntimeHandle runtime, Server server, std::size_t capacity, Caches& caches) {
    const auto taken = std::make_shared<std::atomic<std::size_t>>(0);
    const auto take_questions = [&](spargio::TaskGroup& questions) -> Task<> {
        while (auto request = co_await server.recv()) {
            if (taken->load() >= capacity) {
                static_cast<void>(request->respond(Answer::busy()));
                continue;
            }
            auto task = handle(runtime, caches, std::move(*request), Place(taken));
            questions.spawn(spargio::TaskPlacement::stealable(), std::move(task));
        }
    };
    // Not before all have ended, each with its answer.
    co_await spargio::with_group(take_questions);
}

}  // namespace mixed_mode_service
