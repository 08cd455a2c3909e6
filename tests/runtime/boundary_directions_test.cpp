// SPDX-License-Identifier: MIT
// The end of one side resolves everybody who waits at the other, between tasks and threads in all four directions.
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "support/backend_test.hpp"
#include "support/boundary_names.hpp"
#include "support/event.hpp"
#include "support/process_gauges.hpp"
#include "support/stress.hpp"

namespace spargio::test {
namespace {

using namespace std::chrono_literals;

enum class Lives { InTasks, InThreads };
/// How what a task has is dropped: with its frame, at its end or by a shutdown.
enum class Goes { AtTheEnd, InAShutdown };

/// One end of a channel, which a task or a thread has until it is told to end.
template <class End>
class Holder {
public:
    Holder(Lives lives, Runtime runtime, End end) : runtime_(std::move(runtime)) {
        if (lives == Lives::InTasks) {
            task_ = runtime_->handle().spawn_pinned(
                0, [end = std::move(end), go = &go_]() -> Task<> { co_await go->async_wait(); });
            finish_step(runtime_->handle(), 0);
        } else {
            thread_ = std::thread([end = std::move(end), go = &go_] { go->wait(); });
        }
    }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    ~Holder() {
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    void drop(Goes goes) {
        if (goes == Goes::InAShutdown) {
            runtime_.reset();
        } else {
            go_.set();
        }
    }

private:
    Event go_;
    std::optional<Runtime> runtime_;
    JoinHandle<> task_;
    std::thread thread_;
};

/// What each of some tasks, or threads, was told.
class Waiters {
public:
    explicit Waiters(RuntimeHandle handle) : handle_(std::move(handle)) {}
    Waiters(const Waiters&) = delete;
    Waiters& operator=(const Waiters&) = delete;

    /// Waits for the operation; of a thread, returns when that sleeps.
    template <class Operation>
    void add(Lives live, Operation operation) {
        if (live == Lives::InTasks) {
            tasks_.push_back(
                handle_.spawn_pinned(0, [operation = std::move(operation)]() mutable -> Task<std::error_code> {
                    auto result = co_await operation;
                    co_return result.error();
                }));
            finish_step(handle_, 0);
            finish_step(handle_, 0);
            return;
        }
        std::atomic<pid_t> id = 0;
        threads_.emplace_back([this, &id, operation = std::move(operation)]() mutable {
            id = gettid();
            if (operation.get().error() == BoundaryError::Closed) {
                ++closed_;
            }
        });
        while (id == 0) {
            std::this_thread::yield();
        }
        wait_until_asleep(id);
    }

    [[nodiscard]] int closed() {
        for (auto& task : tasks_) {
            closed_ += task.get() == BoundaryError::Closed ? 1 : 0;
        }
        for (auto& thread : threads_) {
            thread.join();
        }
        return closed_;
    }

private:
    RuntimeHandle handle_;
    std::vector<JoinHandle<std::error_code>> tasks_;
    std::vector<std::thread> threads_;
    std::atomic<int> closed_ = 0;
};

struct Direction {
    Lives clients;
    Lives servers;
    Goes goes;  // Of the end that is dropped.
};

class BoundaryDirections : public BackendTest {
protected:
    /// All four; where the end that is dropped is a task's, twice.
    static std::vector<Direction> all(Lives Direction::*dropped) {
        std::vector<Direction> directions;
        for (const Lives clients : {Lives::InTasks, Lives::InThreads}) {
            for (const Lives servers : {Lives::InTasks, Lives::InThreads}) {
                const Direction direction{clients, servers, Goes::AtTheEnd};
                directions.push_back(direction);
                if (direction.*dropped == Lives::InTasks) {
                    directions.push_back({clients, servers, Goes::InAShutdown});
                }
            }
        }
        return directions;
    }
    static std::string text(const Direction& direction) {
        return std::string(direction.clients == Lives::InTasks ? "tasks" : "threads") + " call " +
               (direction.servers == Lives::InTasks ? "tasks" : "threads") +
               (direction.goes == Goes::InAShutdown ? ", a shutdown" : "");
    }

    Watchdog watchdog_{"the end of one side of a boundary"};
    Runtime one_ = runtime(1);
    const NoLateWakes all_woken_{one_.handle()};
};
SPARGIO_ON_BOTH_BACKENDS(BoundaryDirections);

TEST_P(BoundaryDirections, AServerThatGoesEndsAllCalls) {
    for (const Direction& direction : all(&Direction::servers)) {
        SCOPED_TRACE(text(direction));
        auto [client, server] = channel<int, int>(2);
        Holder<IntServer> holder(direction.servers, runtime(1), std::move(server));
        Waiters waiters(one_.handle());
        // Two that are queued, and two that wait for room.
        waiters.add(direction.clients, client.call(1));
        waiters.add(direction.clients, client.try_call(2).value());
        waiters.add(direction.clients, client.call(3));
        waiters.add(direction.clients, client.call_with_timeout(4, 1h));
        while (client.stats().depth != 4) {
            std::this_thread::yield();  // A thread may have slept for something else.
        }
        holder.drop(direction.goes);
        EXPECT_EQ(waiters.closed(), 4);
        EXPECT_EQ(client.try_call(5).error(), BoundaryError::Closed);
        EXPECT_EQ(client.stats().closed, 5U);
    }
}

TEST_P(BoundaryDirections, TheLastClientThatGoesEndsAllReceives) {
    for (const Direction& direction : all(&Direction::clients)) {
        SCOPED_TRACE(text(direction));
        auto [client, server] = channel<int, int>(1);
        Holder<IntClient> holder(direction.clients, runtime(1), std::move(client));
        Waiters waiters(one_.handle());
        for (int i = 0; i < 2; ++i) {
            waiters.add(direction.servers, server.recv());
            waiters.add(direction.servers, server.recv_timeout(1h));
        }
        holder.drop(direction.goes);
        EXPECT_EQ(waiters.closed(), 4);
        EXPECT_EQ(server.try_recv().error(), BoundaryError::Closed);
    }
}

}  // namespace
}  // namespace spargio::test
