// SPDX-License-Identifier: MIT
// A spawned task whose end goes to a handler of Asio's.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "spargio/detail/asio_library.hpp"
#include "spargio/detail/asio_pending.hpp"
#include "spargio/detail/asio_wait.hpp"
#include "spargio/detail/atomic.hpp"
#include "spargio/detail/core_ref.hpp"
#include "spargio/detail/join.hpp"
#include "spargio/detail/local_fork.hpp"
#include "spargio/detail/task_header.hpp"
#include "spargio/error.hpp"
#include "spargio/join_handle.hpp"
#include "spargio/placement.hpp"
#include "spargio/runtime_handle.hpp"
#include "spargio/spawnable.hpp"
#include "spargio/task.hpp"

namespace spargio::detail {

/// Takes the place of a JoinHandle whose task has ended: the handler takes the result, or, if it is gone, its
/// exception goes to the runtime's hook, as that of a task whose handle is dropped.
template <class T>
class AsioSpawn final : public AsioWait {
public:
    using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
    using AsioWait::AsioWait;
    using AsioWait::end;

    // The task's, before its end.
    void set_value(Value&& value) { value_.emplace(std::move(value)); }
    void set_exception(std::exception_ptr exception, CoreRef runtime) noexcept {
        exception_ = std::move(exception);
        runtime_ = std::move(runtime);
    }

    // The initiating function's, before begin().
    void set_task(JoinHandle<> task) noexcept { task_ = std::move(task); }

    [[nodiscard]] auto take_result() {
        if (!exception_ && !value_.has_value()) {
            const auto refusal = task_.spawn_error();
            exception_ =
                std::make_exception_ptr(std::system_error(refusal ? refusal : make_error_code(JoinError::Canceled)));
        }
        if constexpr (std::is_void_v<T>) {
            return std::tuple<std::exception_ptr>(give_exception());
        } else {
            if (!value_.has_value()) {
                return std::tuple<std::exception_ptr, T>(give_exception(), T());
            }
            std::tuple<std::exception_ptr, T> result(nullptr, std::move(*value_));
            value_.reset();
            return result;
        }
    }

    void drop_result() noexcept override {
        value_.reset();
        if (exception_ && !(stopped_.load(std::memory_order_relaxed) && is_operation_canceled(exception_))) {
            const CoreRef runtime = runtime_;
            report_untaken(*runtime, give_exception());
        }
    }

private:
    bool enter() noexcept override { return true; }
    /// A stop is a request: the end comes by itself.
    bool take_back() noexcept override {
        stopped_.store(true, std::memory_order_relaxed);
        task_.request_stop();
        return false;
    }
    [[nodiscard]] std::exception_ptr give_exception() noexcept {
        runtime_ = CoreRef();  // This may stay, with a slot's handler.
        return std::exchange(exception_, nullptr);
    }

    JoinHandle<> task_;
    // Writer: who asks for the stop, before. Reader: who drops the result, which a stop has ordered if it is its
    // effect.
    atomic<bool> stopped_{false};
    std::exception_ptr exception_;  // The task's: with its runtime, which has the hook.
    CoreRef runtime_;
    std::optional<Value> value_;
};

/// Lives in the frame of the task that runs the user's: whatever destroys that frame ends the wait. The user's task is
/// gone before, with all that it holds.
template <class T>
class AsioSpawned {
public:
    AsioSpawned(AsioWaitRef<AsioSpawn<T>> wait, Task<T> made) noexcept : end_(std::move(wait)), task(std::move(made)) {}
    AsioSpawned(AsioSpawned&&) noexcept = default;

    [[nodiscard]] AsioSpawn<T>& wait() const noexcept { return *end_.wait; }

private:
    struct End {
        explicit End(AsioWaitRef<AsioSpawn<T>> of) noexcept : wait(std::move(of)) { wait->add_owner(); }
        End(End&& other) noexcept : wait(std::move(other.wait)), is_due(std::exchange(other.is_due, false)) {}
        ~End() {
            if (is_due) {
                wait->end();
            }
        }

        AsioWaitRef<AsioSpawn<T>> wait;
        bool is_due = true;
    };

    End end_;

public:
    Task<T> task;  // Behind the end, so destroyed before it.
};

/// Awaitable -> CoreRef: the runtime that the task runs on. Does not suspend.
class RuntimeOfTask {
public:
    [[nodiscard]] static bool await_ready() noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> frame) noexcept {
        core_ = header_of(frame)->root()->owner.executor->core;
        return false;
    }
    [[nodiscard]] CoreRef await_resume() const noexcept { return CoreRef(core_); }

private:
    RuntimeCore* core_ = nullptr;
};

template <class T>
Task<> run_for_asio(AsioSpawned<T> spawned) {
    std::exception_ptr thrown;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(spawned.task);
            spawned.wait().set_value({});
        } else {
            T value = co_await std::move(spawned.task);
            spawned.wait().set_value(std::move(value));
        }
    } catch (...) {
        thrown = std::current_exception();
    }
    if (thrown) {
        CoreRef runtime = co_await RuntimeOfTask();
        spawned.wait().set_exception(std::move(thrown), std::move(runtime));
    }
}

template <class T>
struct AsioSpawnSignature {
    using type = void(std::exception_ptr, T);
};
template <>
struct AsioSpawnSignature<void> {
    using type = void(std::exception_ptr);
};

/// What async_spawn() does when the token wants it begun.
struct StartAsioSpawn {
    template <class Handler, class F>
    void operator()(Handler&& given, const RuntimeHandle& runtime, TaskPlacement placement, F spawnable) const {
        using T = SpawnValue<F>;
        using Waited = AsioSpawn<T>;
        using HandlerType = std::decay_t<Handler>;
        using Pending = AsioPending<HandlerType, Waited>;

        HandlerType handler(std::forward<Handler>(given));
        AsioWaitRef<Waited> wait(new Waited(asio_waits_of(asio_library::get_associated_executor(handler))));
        auto pending = Pending::make(std::move(handler), wait);
        pending->listen_to_slot();
        AsioSpawned<T> spawned(wait, make_task(std::move(spawnable)));
        wait->set_task(runtime.spawn_with_placement(placement, run_for_asio<T>(std::move(spawned))));
        wait->begin(*pending.release());
    }
};

}  // namespace spargio::detail
