// SPDX-License-Identifier: MIT
// What the tasks and threads of a World do.
#include "shutdown_world.hpp"

#include <chrono>
#include <exception>
#include <stdexcept>
#include <system_error>

#include <gtest/gtest.h>

namespace spargio::test {

using std::chrono::microseconds;

namespace {

struct TestFailure : std::runtime_error {
    TestFailure() : std::runtime_error("thrown by a test's task") {}
};

}  // namespace

World::World(BackendKind backend, std::uint64_t seed) : random_(seed) {
    for (unsigned which = 0; which < 2; ++which) {
        RuntimeBuilder builder;
        builder.backend(backend)
            .shards(1 + random_.below(which == 0 ? 3 : 2))
            .thread_prefix(which == 0 ? "A" : "B")
            .blocking_threads(2)
            .ring_entries(random_.one_in(2) ? 8 : 64)
            .stealable_queue_capacity(random_.one_in(3) ? 4 : 1024)
            .on_unhandled_exception([](const std::exception_ptr&) {});
        if (random_.one_in(2)) {
            builder.idle_spin(microseconds(0));
        }
        owners_[which] = std::make_shared<Runtime>(builder.build());
        handles_.push_back(owners_[which]->handle());
    }
}

Task<int> World::node(World& world, TaskRecord& self, Token token, FrameGuard* parent, std::uint64_t seed, int depth) {
    const Token kept = std::move(token);
    FrameGuard guard(self, parent);
    Random random(seed);
    // Some never end by themselves.
    const unsigned steps = random.one_in(12) ? 1'000'000'000 : random.below(10);
    for (unsigned step = 0; step < steps; ++step) {
        co_await act(world, guard, random, depth);
        self.check_here();
    }
    if (random.one_in(6)) {
        throw TestFailure();
    }
    co_return 1;
}

Task<> World::act(World& world, FrameGuard& guard, Random& random, int depth) {
    switch (random.below(9)) {
    case 0:
    case 1:
        if (TaskRecord* child = depth > 0 ? world.ledger_.open() : nullptr) {
            child->runtime = guard.record().runtime;
            child->shard = guard.record().shard;
            child->stays = guard.record().stays;
            child->root = guard.record().root;
            Task<int> task = node(world, *child, Token(*child), &guard, random.next(), depth - 1);
            try {
                static_cast<void>(co_await std::move(task));
            } catch (const TestFailure&) {}
        }
        break;
    case 2:
    case 3:
    case 4:
        co_await join_child(world, guard, random, depth);
        break;
    case 5:
        co_await join_shared(world, guard, random);
        break;
    case 6:
        world.stop_some(random);
        break;
    default:
        co_await wait_in_some_way(random);
        break;
    }
}

Task<> World::wait_in_some_way(Random& random) {
    switch (random.below(6)) {
    case 0:
        if (random.one_in(4)) {
            static_cast<void>(co_await sleep_for(std::chrono::hours(1)));
        }
        break;
    case 1:
        static_cast<void>(co_await sleep_for(microseconds(random.below(200))));
        break;
    case 2:
        static_cast<void>(co_await resume_on(static_cast<ShardId>(random.below(3))));
        break;
    case 3: {
        const std::stop_token token = co_await this_task::stop_token();
        if (token.stop_requested()) {
            co_await yield();
        }
        break;
    }
    default:
        co_await yield();
        break;
    }
}

Task<> World::join_child(World& world, FrameGuard& guard, Random& random, int depth) {
    const auto runtime = random.one_in(3) ? random.below(2) : static_cast<std::uint32_t>(guard.record().runtime);
    const bool same = static_cast<int>(runtime) == guard.record().runtime;
    TaskRecord* child = nullptr;
    auto spawned = same && random.one_in(3) ? world.spawn_local(random, runtime, depth - 1, child)
                                            : world.spawn(random, runtime, depth - 1, child);
    if (!spawned) {
        co_return;
    }
    JoinHandle<int> handle = std::move(*spawned);
    if (random.one_in(3)) {
        world.part_with(random, std::move(handle), *child);
        co_return;
    }
    if (random.one_in(4)) {
        co_await wait_in_some_way(random);
    }
    if (random.one_in(4)) {
        child->stop_requested = true;
        handle.request_stop();
    }
    std::optional<JoinScope> scope;
    if (same) {
        scope.emplace(guard.record(), *child);
    }
    try {
        if (random.one_in(2)) {
            static_cast<void>(co_await std::move(handle));
        } else {
            const Result<int> result = co_await handle.join();
            static_cast<void>(result);
        }
    } catch (const TestFailure&) {
    } catch (const std::system_error&) {  // Refused, destroyed by a shutdown, or we were stopped.
    }
    if (scope) {
        scope->returned();
    }
}

/// Joins a task of the other runtime only: within one runtime, joins of tasks that are not one's own could form a ring.
Task<> World::join_shared(World& world, FrameGuard& guard, Random& random) {
    const std::shared_ptr<SharedHandle> shared = world.some_shared(random);
    if (shared == nullptr || shared->record.runtime == guard.record().runtime || shared->claimed.exchange(true)) {
        co_return;
    }
    if (shared->taken) {
        shared->claimed = false;
        co_return;
    }
    try {
        const Result<int> result = co_await shared->handle.join();
        shared->taken = result.has_value();
        shared->claimed = false;
    } catch (const TestFailure&) {
        shared->taken = true;
    }
}

std::optional<JoinHandle<int>> World::spawn(Random& random, unsigned runtime, int depth, TaskRecord*& record) {
    record = ledger_.open();
    if (record == nullptr) {
        return std::nullopt;
    }
    const RuntimeHandle& handle = handles_[runtime];
    record->runtime = static_cast<int>(runtime);
    if (random.one_in(10)) {
        return spawn_blocking(random, runtime, *record);
    }
    auto placement = TaskPlacement::round_robin();
    switch (random.below(5)) {
    case 0: {
        const auto shard = static_cast<ShardId>(random.below(static_cast<std::uint32_t>(handle.shard_count())));
        record->shard = shard;
        placement = TaskPlacement::pinned(shard);
        break;
    }
    case 1:
        placement = TaskPlacement::sticky(random.next());
        break;
    case 2:
        record->stays = false;
        placement = TaskPlacement::stealable();
        break;
    case 3:
        record->stays = false;
        placement = TaskPlacement::stealable_preferred(
            static_cast<ShardId>(random.below(static_cast<std::uint32_t>(handle.shard_count()))));
        break;
    default:
        break;
    }
    const std::uint64_t seed = random.next();
    const auto launch = [&](auto&& spawnable) {
        auto spawned = handle.spawn_with_placement(placement, std::forward<decltype(spawnable)>(spawnable));
        record->refused = static_cast<bool>(spawned.spawn_error());
        return spawned;
    };
    TaskRecord& self = *record;
    switch (random.below(3)) {
    case 0:
        return launch(node(*this, self, Token(self), nullptr, seed, depth));
    case 1: {
        auto plain = [&self, token = Token(self)] {
            const FrameGuard guard(self, nullptr);
            return 1;
        };
        return launch(std::move(plain));
    }
    default: {
        auto coroutine = [this, &self, token = Token(self), seed, depth]() mutable {
            return node(*this, self, std::move(token), nullptr, seed, depth);
        };
        return launch(std::move(coroutine));
    }
    }
}

JoinHandle<int> World::spawn_blocking(Random& random, unsigned runtime, TaskRecord& record) {
    record.on_shard = false;
    const auto span = microseconds(random.below(100));
    auto job = [&record, token = Token(record), span] {
        const FrameGuard guard(record, nullptr);
        spin_for(span);
        if (span.count() % 5 == 0) {
            throw TestFailure();
        }
        return 2;
    };
    auto handle = handles_[runtime].spawn_blocking(std::move(job));
    record.refused = static_cast<bool>(handle.spawn_error());
    return handle;
}

std::optional<JoinHandle<int>> World::spawn_local(Random& random, unsigned runtime, int depth, TaskRecord*& record) {
    record = ledger_.open();
    if (record == nullptr) {
        return std::nullopt;
    }
    ShardCtx* here = ShardCtx::current();
    record->runtime = static_cast<int>(runtime);
    record->shard = here->shard_id();
    auto handle = here->spawn_local(node(*this, *record, Token(*record), nullptr, random.next(), depth));
    record->refused = static_cast<bool>(handle.spawn_error());
    return handle;
}

void World::share(JoinHandle<int> handle, TaskRecord& record) {
    auto shared = std::make_shared<SharedHandle>(std::move(handle), record);
    const std::lock_guard lock(mutex_);
    shared_.push_back(std::move(shared));
}

std::shared_ptr<SharedHandle> World::some_shared(Random& random) {
    const std::lock_guard lock(mutex_);
    return shared_.empty() ? nullptr : shared_[random.below(static_cast<std::uint32_t>(shared_.size()))];
}

void World::stop_some(Random& random) {
    if (const std::shared_ptr<SharedHandle> shared = some_shared(random)) {
        shared->record.stop_requested = true;
        shared->handle.request_stop();
        static_cast<void>(shared->handle.done());
    }
}

void World::part_with(Random& random, JoinHandle<int> handle, TaskRecord& record) {
    switch (random.below(4)) {
    case 0:
        handle.detach();
        break;
    case 1:
        break;
    default:
        share(std::move(handle), record);
        break;
    }
}

void World::resolve(JoinHandle<int>& handle) {
    try {
        const int value = handle.get();
        EXPECT_TRUE(value == 1 || value == 2) << value;
    } catch (const TestFailure&) {
    } catch (const std::system_error& error) {
        const std::error_code code = error.code();
        EXPECT_TRUE(code == JoinError::Canceled || code == RuntimeError::Closed || code == RuntimeError::Overloaded ||
                    code == std::errc::operation_canceled)
            << error.what();
    }
}

void World::foreign_thread(std::uint64_t seed) {
    Random random(seed);
    std::vector<JoinHandle<int>> own;
    bool closed[2] = {false, false};
    while (!closed[0] || !closed[1]) {
        const auto runtime = random.below(2);
        TaskRecord* record = nullptr;
        if (auto handle = spawn(random, runtime, 2, record)) {
            if (handle->spawn_error() == RuntimeError::Closed) {
                closed[runtime] = true;
            }
            switch (random.below(4)) {
            case 0:
                own.push_back(std::move(*handle));
                break;
            case 1:
                if (handle->wait_for(microseconds(random.below(50)))) {
                    resolve(*handle);
                }
                break;
            default:
                part_with(random, std::move(*handle), *record);
                break;
            }
        } else {
            break;
        }
        if (random.one_in(3)) {
            stop_some(random);
        }
        if (const auto shared = random.one_in(4) ? some_shared(random) : nullptr) {
            if (!shared->taken && !shared->claimed.exchange(true)) {
                static_cast<void>(shared->handle.wait_for(microseconds(random.below(20))));
                shared->claimed = false;
            }
        }
        if (random.one_in(4)) {
            spin_for(microseconds(random.below(30)));
        }
    }
    for (auto& handle : own) {
        resolve(handle);
    }
}

/// From here or from somewhere else, A first or B first or both at once.
void World::shut_down(std::vector<std::thread>& helpers) {
    const auto from_a_task_of = [this](unsigned which, const std::shared_ptr<Runtime>& target) {
        auto step = [target] { target->shutdown(); };
        handles_[which].spawn_stealable(std::move(step)).detach();
    };
    switch (random_.below(6)) {
    case 0:
        owners_[0]->shutdown();
        owners_[1]->shutdown();
        break;
    case 1:
        owners_[1]->shutdown();
        owners_[0]->shutdown();
        break;
    case 2:
        for (const auto& owner : owners_) {
            helpers.emplace_back([owner] { owner->shutdown(); });
        }
        break;
    case 3:
        from_a_task_of(0, owners_[0]);
        owners_[1]->shutdown();
        break;
    case 4:
        from_a_task_of(1, owners_[0]);
        break;
    default: {
        // The last owner goes away with a task of its own runtime.
        auto last = [owner = std::exchange(owners_[0], nullptr)] { static_cast<void>(owner); };
        handles_[0].spawn_round_robin(std::move(last)).detach();
        break;
    }
    }
    for (auto& owner : owners_) {
        if (owner != nullptr) {
            owner->shutdown();
        }
    }
}

void World::run() {
    std::vector<std::thread> threads;
    const auto seed = random_.next();
    for (unsigned i = 0; i < 2; ++i) {
        threads.emplace_back([this, seed, i] { foreign_thread(seed + i); });
    }
    for (unsigned i = 0; i < 4; ++i) {
        TaskRecord* record = nullptr;
        if (auto handle = spawn(random_, random_.below(2), 3, record)) {
            part_with(random_, std::move(*handle), *record);
        }
    }
    spin_for(microseconds(random_.one_in(4) ? random_.below(2000) : random_.below(200)));
    shut_down(threads);
    for (auto& thread : threads) {
        thread.join();
    }
    const bool awaited = owners_[0] != nullptr;
    // Where the last owner went with a task, nobody but the tasks' ends tells that A has ended.
    while (!awaited && !ledger_.quiet()) {
        std::this_thread::yield();
    }
    for (const auto& shared : shared_) {
        EXPECT_TRUE(shared->handle.wait_for(std::chrono::seconds(awaited ? 0 : 30)));
        EXPECT_TRUE(shared->handle.done());
        if (!shared->taken) {
            resolve(shared->handle);
        }
    }
    shared_.clear();
    for (const auto& handle : handles_) {
        EXPECT_EQ(handle.spawn_round_robin([] {}).spawn_error(), RuntimeError::Closed);
        const RuntimeStats stats = handle.stats_snapshot();
        EXPECT_EQ(stats.late_wakes, 0U) << to_string(stats);
        if (awaited) {
            EXPECT_EQ(stats.tasks_live, 0U) << to_string(stats);
        }
    }
}

}  // namespace spargio::test
