// SPDX-License-Identifier: MIT
// mixed_mode_service's shards count what the ring reads, both of them for one question, and read nothing that the
// caches know or that nobody waits for.
#include "cache.hpp"
#include "checks.hpp"
#include "files.hpp"
#include "ring.hpp"
#include "work.hpp"

#include "uring_faults.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <functional>
#include <latch>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <liburing.h>

namespace {

using namespace mixed_mode_service;

/// Lets all happen, counts the reads, and notes when two shards read at the same time.
class ReadCounter final : public spargio::detail::UringFaults {
public:
    ReadCounter() { spargio::detail::uring_faults.store(this); }
    ReadCounter(const ReadCounter&) = delete;
    ReadCounter& operator=(const ReadCounter&) = delete;
    ~ReadCounter() override { spargio::detail::uring_faults.store(nullptr); }

    void on_prepare(io_uring_sqe& entry) noexcept override {
        if (entry.opcode == IORING_OP_READ) {
            const std::lock_guard lock(mutex_);
            ++reads_;
            ++under_way_[std::this_thread::get_id()];
            const auto reads = [](const auto& shard) { return shard.second > 0; };
            are_together_ = are_together_ || std::count_if(under_way_.begin(), under_way_.end(), reads) > 1;
        }
    }
    int on_result(unsigned opcode, int result) noexcept override {
        if (opcode == IORING_OP_READ) {
            const std::lock_guard lock(mutex_);
            --under_way_[std::this_thread::get_id()];  // Where it was begun: on the ring's own shard.
        }
        return result;
    }

    /// Since the last time.
    int take() {
        const std::lock_guard lock(mutex_);
        return std::exchange(reads_, 0);
    }
    [[nodiscard]] bool are_together() {
        const std::lock_guard lock(mutex_);
        return are_together_;
    }

private:
    std::mutex mutex_;
    int reads_ = 0;
    std::map<std::thread::id, int> under_way_;
    bool are_together_ = false;
};

/// The service without its connections: two shards, and a client of theirs.
class Shards {
public:
    static constexpr std::size_t capacity = 4;

    Shards() : runtime_(spargio::RuntimeBuilder().shards(2).backend(spargio::BackendKind::IoUring).build()) {
        auto [client, server] = spargio::boundary::channel<Question, Answer>(capacity);
        client_ = std::move(client);
        serving_ = runtime_.handle().spawn_stealable(serve(runtime_.handle(), std::move(server), capacity, caches_));
    }
    Shards(const Shards&) = delete;
    Shards& operator=(const Shards&) = delete;
    ~Shards() {
        client_.reset();
        serving_->get();
    }

    /// `reads`: whether the files must be read for it, or must not.
    void ask(const Question& question, bool reads, std::string_view expected, const char* what) {
        static_cast<void>(counter_.take());
        const auto answer = client_->call(question).get();
        const int count = counter_.take();
        const std::string line = answer ? answer->line() : answer.error().message();
        if (line != expected || (count > 0) != reads) {
            std::fprintf(stderr, "answered %s after %d reads\n", line.c_str(), count);
        }
        expect(line == expected, "the answer is right");
        expect((count > 0) == reads, what);
    }

    int take_reads() { return counter_.take(); }
    [[nodiscard]] bool read_together() { return counter_.are_together(); }

    /// Both shards are held, so that questions stay where they are queued.
    void with_shards_held(const std::function<void(const Client&)>& then) {
        std::latch held(2);
        std::latch go(1);
        std::vector<spargio::JoinHandle<void>> holders;
        for (spargio::ShardId shard = 0; shard < 2; ++shard) {
            auto hold = [&] {
                held.count_down();
                go.wait();
            };
            holders.push_back(runtime_.handle().spawn_pinned(shard, std::move(hold)));
        }
        held.wait();
        then(*client_);
        go.count_down();
        for (auto& holder : holders) {
            holder.get();
        }
    }

private:
    ReadCounter counter_;
    Caches caches_{2};
    spargio::Runtime runtime_;
    std::optional<Client> client_;
    std::optional<spargio::JoinHandle<void>> serving_;
};

std::string repeated(std::string_view text, std::size_t times) {
    std::string result;
    for (std::size_t i = 0; i < times; ++i) {
        result += text;
    }
    return result;
}

void write(const std::string& path, const std::string& content) {
    std::ofstream(path) << content;
}

/// From then on it may be remembered what is in the file.
void wait_until_settled(const std::string& path) {
    while (!File::open(path)->version()->is_settled()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

void one_file(Shards& shards, const std::string& path) {
    const Question find{.word = "ab", .paths = {path}};
    const Question sum{.word = "", .paths = {path}};
    write(path, repeated("ab", 100'000));  // Several chunks.
    wait_until_settled(path);
    shards.ask(find, true, "100000", "a file is read on the ring");
    shards.ask(find, false, "100000", "the same question is answered by the cache");
    shards.ask(sum, true, "200000", "another question is not");
    shards.ask(sum, false, "200000", "but when it comes again");
    shards.ask(find, false, "100000", "the first one is still known");
    write(path, repeated("xb", 100'000));
    wait_until_settled(path);
    shards.ask(find, true, "0", "a file that has changed is read again");
    shards.ask(find, false, "0", "and then it is known again");
}

/// Of all shards' paths, whichever shards ask.
void many_files(Shards& shards, const Folder& folder) {
    Question question;
    for (int i = 0; i < 32; ++i) {
        question.paths.push_back((folder.path / std::to_string(i)).string());
        write(question.paths.back(), "0123456789");
    }
    wait_until_settled(question.paths.back());
    shards.ask(question, true, "320", "all are read");
    for (int i = 0; i < 50; ++i) {
        shards.ask(question, false, "320", "each path's shard knows its count");
    }
}

/// The shards divide one question's files among them. That need not show each time.
void one_question_on_both_shards(Shards& shards, const Folder& folder) {
    expect(!shards.read_together(), "one file is not read by two at a time");
    Question question;
    for (int i = 0; i < 32; ++i) {
        question.paths.push_back((folder.path / ("part" + std::to_string(i))).string());
        write(question.paths.back(), repeated("ab", 200'000));
    }
    wait_until_settled(question.paths.back());
    constexpr auto limit = std::chrono::seconds(60);
    const auto end = std::chrono::steady_clock::now() + limit;
    std::size_t length = 0;
    while (!shards.read_together() && std::chrono::steady_clock::now() < end) {
        question.word = repeated("b", ++length);  // Not asked before.
        shards.ask(question, true, length == 1 ? "6400000" : "0", "all are read");
    }
    expect(shards.read_together(), "two shards work on one question");
}

/// Who leaves while the question is queued gives the place up, and no shard works on the question.
void leaving_the_queue(Shards& shards, const Folder& folder) {
    const auto question = [&folder](const std::string& name) {
        Question asked;
        asked.paths.push_back((folder.path / name).string());
        write(asked.paths.front(), "0123456789");
        return asked;
    };
    using Ticket = spargio::boundary::Ticket<Answer>;
    std::optional<Ticket> first;
    std::optional<Ticket> last;
    static_cast<void>(shards.take_reads());
    shards.with_shards_held([&](const Client& client) {
        first = client.try_call(question("first")).value();  // The server may have it already, as it waits for one.
        std::vector<Ticket> queued;
        auto ticket = client.try_call(question("left"));
        for (; ticket && queued.size() <= Shards::capacity; ticket = client.try_call(question("left"))) {
            queued.push_back(std::move(*ticket));
        }
        expect(!ticket && ticket.error() == spargio::BoundaryError::Overloaded, "the queue is full");
        queued.clear();
        ticket = client.try_call(question("last"));
        expect(ticket.has_value(), "and has room when they have left");
        if (ticket) {
            last = std::move(*ticket);
        }
    });
    for (auto* asked : {&first, &last}) {
        const bool is_answered = asked->has_value() && (*asked)->get().value_or(Answer()).line() == "10";
        expect(is_answered, "those that stay are answered");
    }
    expect(shards.take_reads() == 4, "their bytes and their ends are read, and nothing of those that left");
}

}  // namespace

int main() {
    if (const auto status = status_without_ring()) {
        return *status;
    }
    const Folder folder;
    Shards shards;
    one_file(shards, (folder.path / "file").string());
    one_question_on_both_shards(shards, folder);
    leaving_the_queue(shards, folder);
    many_files(shards, folder);
    return failures == 0 ? 0 : 1;
}
