// SPDX-License-Identifier: MIT
// AsioPending: a handler of Asio's while it waits, with all that belongs to it by Asio's rules.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "spargio/detail/asio_library.hpp"
#include "spargio/detail/asio_wait.hpp"

namespace spargio::detail {

/// In the cancellation slot. Any type of cancellation: none of them can do less than to give the wait up.
template <class Waited>
class AsioCancel {
public:
    explicit AsioCancel(AsioWaitRef<Waited> wait) noexcept : wait_(std::move(wait)) {}

    void operator()(asio_library::cancellation_type type) const noexcept {
        if (type != asio_library::cancellation_type::none) {
            wait_->leave();
        }
    }

private:
    AsioWaitRef<Waited> wait_;
};

/// Lives in memory of the handler's associated allocator, and keeps work outstanding on its associated executor. The
/// memory goes back before the handler is called, so that the next operation can have it.
template <class Handler, class Waited>
class AsioPending final : public AsioCompletion {
public:
    using Executor = typename asio_library::associated_executor<Handler>::type;
    using TimerExecutor = std::conditional_t<asio_has_context<Executor>, Executor, asio_library::system_executor>;
    using Timer =
        asio_library::basic_waitable_timer<std::chrono::steady_clock,
                                           asio_library::wait_traits<std::chrono::steady_clock>, TimerExecutor>;

    struct Discard {
        void operator()(AsioPending* pending) const noexcept { pending->discard(); }
    };
    using Ptr = std::unique_ptr<AsioPending, Discard>;

    [[nodiscard]] static Ptr make(Handler&& handler, AsioWaitRef<Waited> wait) {
        Allocator allocator(asio_library::get_associated_allocator(handler));
        const Free free{allocator};
        std::unique_ptr<AsioPending, Free> memory(Traits::allocate(allocator, 1), free);
        Ptr made(::new (static_cast<void*>(memory.get())) AsioPending(std::move(handler), std::move(wait)));
        static_cast<void>(memory.release());
        return made;
    }

    /// Lets the handler's cancellation slot, if it has one, give the wait up.
    void listen_to_slot() {
        auto slot = asio_library::get_associated_cancellation_slot(handler_);
        if (slot.is_connected()) {
            slot.assign(AsioCancel<Waited>(wait_));
        }
    }

    /// Has a timer give the wait up, of the executor's context, or the system's if it has none.
    void leave_after(std::chrono::nanoseconds limit) {
        if constexpr (asio_has_context<Executor>) {
            timer_.emplace(work_.get_executor(), limit);
        } else {
            timer_.emplace(TimerExecutor(), limit);
        }
        timer_->async_wait([wait = wait_](const AsioErrorCode& error) {
            if (!error) {
                wait->leave();
            }
        });
    }

    void post() noexcept override {
        if constexpr (asio_can_post<Executor>) {
            // By value: as soon as it is posted, this may be gone.
            const auto executor = work_.get_executor();
            asio_library::post(executor, Posted(Ptr(this)));
        } else {
            asio_library::post(asio_library::system_executor(), Posted(Ptr(this)));
        }
    }

    void discard() noexcept override { destroy(); }

private:
    using Allocator = typename std::allocator_traits<
        typename asio_library::associated_allocator<Handler>::type>::template rebind_alloc<AsioPending>;
    using Traits = std::allocator_traits<Allocator>;
    using Work = asio_library::executor_work_guard<Executor>;

    struct Free {
        Allocator allocator;
        void operator()(AsioPending* memory) noexcept { Traits::deallocate(allocator, memory, 1); }
    };

    /// What the executor runs, or destroys with its context.
    class Posted {
    public:
        using allocator_type = typename asio_library::associated_allocator<Handler>::type;

        explicit Posted(Ptr pending) noexcept : pending_(std::move(pending)) {}
        Posted(Posted&&) noexcept = default;
        Posted(const Posted&) = delete;
        Posted& operator=(const Posted&) = delete;
        Posted& operator=(Posted&&) = delete;
        ~Posted() {
            if (pending_ != nullptr) {
                pending_->wait_->drop_result();
            }
        }

        [[nodiscard]] allocator_type get_allocator() const noexcept {
            return asio_library::get_associated_allocator(pending_->handler_);
        }
        void operator()() { complete(std::move(pending_)); }

    private:
        Ptr pending_;
    };

    AsioPending(Handler&& handler, AsioWaitRef<Waited> wait)
        : handler_(std::move(handler)),
          work_(asio_library::get_associated_executor(handler_)),
          wait_(std::move(wait)) {}
    ~AsioPending() = default;

    static void complete(Ptr pending) {
        auto result = pending->wait_->take_result();
        Handler handler(std::move(pending->handler_));
        const Work work(std::move(pending->work_));
        pending.release()->free_for(handler);
        std::apply([&handler](auto&... parts) { std::move(handler)(std::move(parts)...); }, result);
    }

    void destroy() noexcept {
        Handler handler(std::move(handler_));  // It may own the memory.
        free_for(handler);
    }
    void free_for(const Handler& handler) noexcept {
        Allocator allocator(asio_library::get_associated_allocator(handler));
        this->~AsioPending();
        Traits::deallocate(allocator, this, 1);
    }

    Handler handler_;
    Work work_;
    AsioWaitRef<Waited> wait_;
    std::optional<Timer> timer_;
};

}  // namespace spargio::detail
