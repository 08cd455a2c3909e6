// SPDX-License-Identifier: MIT
// AsioWait: something of spargio's that ends on any thread, and a handler of Asio's that wants to know.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "spargio/detail/asio_library.hpp"
#include "spargio/detail/atomic.hpp"
#include "spargio/detail/frame_pool.hpp"

namespace spargio::detail {

class AsioWait;

/// The handler's side of a wait: the block that the handler lives in.
class AsioCompletion {
public:
    AsioCompletion() = default;
    AsioCompletion(const AsioCompletion&) = delete;
    AsioCompletion& operator=(const AsioCompletion&) = delete;

    /// Has the handler called on its executor, which owns this then. Any thread.
    virtual void post() noexcept = 0;
    /// Destroys it, and the handler uncalled.
    virtual void discard() noexcept = 0;

protected:
    ~AsioCompletion() = default;
};

/// The waits whose handlers belong to one execution context. An executor does not keep its context alive, and what ends
/// a wait does not know when that goes: so the context takes its waits out when it is destroyed, and waits for the
/// threads that are just posting to it.
class AsioWaits {
public:
    /// The context is going away: destroys the handlers that wait, uncalled, and gives up what they wait for.
    void close() noexcept;

private:
    friend class AsioWait;

    void link(AsioWait& wait) noexcept;
    void unlink(AsioWait& wait) noexcept;

    std::mutex mutex_;
    std::condition_variable posted_;
    AsioWait* first_ = nullptr;
    std::size_t posting_ = 0;
    bool closed_ = false;
};

/// What is waited for, shared by all who may end it: the thread that brings the result, the cancellation slot's
/// handler, a timer, the context's end. Counted, since the first of these does not know when the others forget it. The
/// slot's handler stays in its slot when the operation is over, where it does nothing: it could not be taken out while
/// another thread emits, which parallel groups do.
///
/// The state is under the lock of its AsioWaits:
///
///     New       the initiating function is not through: an end or a request to leave is remembered, for begin() to do
///     Ended     the same, and it has ended
///     Waiting   in the list. end() -> Over, and posts; leave() -> Leaving; close() -> Over, and discards
///     Leaving   in the list; one thread is taking it back. It or end() -> Over, and posts; close() -> Over, discards
///     Over      whoever has made it this has the completion; nobody else touches that. end() after a discard drops the
///               result
class AsioWait {
public:
    explicit AsioWait(std::shared_ptr<AsioWaits> waits) noexcept : waits_(std::move(waits)) {}
    AsioWait(const AsioWait&) = delete;
    AsioWait& operator=(const AsioWait&) = delete;

    static void* operator new(std::size_t bytes) { return pool_allocate(bytes); }
    static void operator delete(void* block, std::size_t bytes) noexcept { pool_free(block, bytes); }
    static void* operator new(std::size_t bytes, std::align_val_t align) { return ::operator new(bytes, align); }
    static void operator delete(void* block, std::size_t, std::align_val_t align) noexcept {
        ::operator delete(block, align);
    }

    void add_owner() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

    /// The last step of the initiating function: from here on the completion may be posted at any moment. Takes it
    /// over.
    void begin(AsioCompletion& completion) noexcept {
        add_owner();
        const auto next = enter_list(completion);
        if (next == Next::Post) {
            post();
        } else if (next == Next::Leave) {
            leave();
        } else if (next == Next::Discard) {
            static_cast<void>(take_back());  // It never waited, so nobody would call end().
            completion.discard();
        } else if (next == Next::Drop) {
            completion.discard();
            drop_result();
        }
        release();
    }

    /// Gives it up, as a cancellation or a deadline wants it. Any thread; the caller is an owner.
    void leave() noexcept {
        {
            const std::lock_guard lock(waits_->mutex_);
            if (state_ == State::New || state_ == State::Ended) {
                leave_wanted_ = true;
                return;
            }
            if (state_ != State::Waiting) {
                return;
            }
            state_ = State::Leaving;
        }
        if (take_back()) {
            end();
        }
    }

    /// It has ended, and the handler is destroyed uncalled, perhaps just now: nobody is going to take what it should
    /// have got. Once, on the thread that knows both.
    virtual void drop_result() noexcept {}

protected:
    virtual ~AsioWait() = default;

    /// Under the lock, from New: false: it has ended already, and end() is not going to be called. What will call
    /// end() owns the wait.
    [[nodiscard]] virtual bool enter() noexcept = 0;
    /// From Waiting, or where the context is gone before; at most once. True: nobody else is going to call end(), which
    /// is the caller's to do. Called without the lock.
    [[nodiscard]] virtual bool take_back() noexcept = 0;

    /// It has ended; the caller's ownership ends, too. Any thread, once.
    void end() noexcept {
        const auto next = leave_list();
        if (next == Next::Post) {
            post();
        } else if (next == Next::Drop) {
            drop_result();
        }
        release();
    }

private:
    friend class AsioWaits;

    enum class State : std::uint8_t { New, Ended, Waiting, Leaving, Over };
    enum class Next : std::uint8_t { Wait, Post, Leave, Discard, Drop };

    [[nodiscard]] Next enter_list(AsioCompletion& completion) noexcept {
        const std::lock_guard lock(waits_->mutex_);
        completion_ = &completion;
        if (waits_->closed_) {
            const bool has_ended = state_ == State::Ended;
            state_ = State::Over;
            return has_ended ? Next::Drop : Next::Discard;
        }
        if (state_ == State::Ended || !enter()) {
            state_ = State::Over;
            ++waits_->posting_;
            return Next::Post;
        }
        state_ = State::Waiting;
        waits_->link(*this);
        return leave_wanted_ ? Next::Leave : Next::Wait;
    }

    /// Post: the completion is the caller's to post. Wait: begin() has not been there yet.
    [[nodiscard]] Next leave_list() noexcept {
        const std::lock_guard lock(waits_->mutex_);
        if (state_ == State::New) {
            state_ = State::Ended;
            return Next::Wait;
        }
        if (state_ == State::Over) {
            return Next::Drop;
        }
        waits_->unlink(*this);
        state_ = State::Over;
        ++waits_->posting_;
        return Next::Post;
    }

    /// Without the lock: an executor may destroy what it is given, and a handler's destructor may do anything.
    void post() noexcept {
        completion_->post();
        const std::lock_guard lock(waits_->mutex_);
        if (--waits_->posting_ == 0 && waits_->closed_) {
            waits_->posted_.notify_all();
        }
    }

    // Release: what the owner did. The last one acquires that.
    atomic<std::uint32_t> owners_{1};
    const std::shared_ptr<AsioWaits> waits_;
    // Under the lock of `waits_`.
    AsioWait* before_ = nullptr;
    AsioWait* after_ = nullptr;
    AsioCompletion* completion_ = nullptr;
    State state_ = State::New;
    bool leave_wanted_ = false;
};

inline void AsioWaits::link(AsioWait& wait) noexcept {
    wait.before_ = nullptr;
    wait.after_ = first_;
    if (first_ != nullptr) {
        first_->before_ = &wait;
    }
    first_ = &wait;
}

inline void AsioWaits::unlink(AsioWait& wait) noexcept {
    (wait.before_ != nullptr ? wait.before_->after_ : first_) = wait.after_;
    if (wait.after_ != nullptr) {
        wait.after_->before_ = wait.before_;
    }
}

inline void AsioWaits::close() noexcept {
    std::unique_lock lock(mutex_);
    closed_ = true;
    while (AsioWait* wait = first_) {
        unlink(*wait);
        const bool is_ours = wait->state_ == AsioWait::State::Waiting;
        wait->state_ = AsioWait::State::Over;
        wait->add_owner();
        lock.unlock();
        if (is_ours && wait->take_back()) {
            wait->release();
        }
        wait->completion_->discard();
        wait->release();
        lock.lock();
    }
    posted_.wait(lock, [this] { return posting_ == 0; });
}

/// An owner of a wait.
template <class Wait>
class AsioWaitRef {
public:
    /// Takes over the one owner that a new wait has.
    explicit AsioWaitRef(Wait* wait) noexcept : wait_(wait) {}
    AsioWaitRef(const AsioWaitRef& other) noexcept : wait_(other.wait_) {
        if (wait_ != nullptr) {
            wait_->add_owner();
        }
    }
    AsioWaitRef(AsioWaitRef&& other) noexcept : wait_(std::exchange(other.wait_, nullptr)) {}
    AsioWaitRef& operator=(AsioWaitRef other) noexcept {
        std::swap(wait_, other.wait_);
        return *this;
    }
    ~AsioWaitRef() {
        if (wait_ != nullptr) {
            wait_->release();
        }
    }

    Wait& operator*() const noexcept { return *wait_; }
    Wait* operator->() const noexcept { return wait_; }

private:
    Wait* wait_;
};

/// What tells a context's waits of its end.
class AsioService final : public asio_library::execution_context::service {
public:
    using key_type = AsioService;
    static inline asio_library::execution_context::id id;

    explicit AsioService(asio_library::execution_context& context)
        : asio_library::execution_context::service(context) {}

    [[nodiscard]] const std::shared_ptr<AsioWaits>& waits() const noexcept { return waits_; }

private:
    void shutdown() noexcept override { waits_->close(); }

    std::shared_ptr<AsioWaits> waits_ = std::make_shared<AsioWaits>();
};

/// Most have one. Not that of use_future, which goes through the system_executor, nor some that programs write.
template <class Executor>
inline constexpr bool asio_has_context =
    asio_library::can_query<const Executor&, asio_library::execution::context_t>::value;

/// An inline executor, which newer releases give to `detached`, calls whatever it gets then and there.
template <class Executor>
inline constexpr bool asio_can_post =
    !asio_library::execution::is_executor<Executor>::value ||
    asio_library::can_require<const Executor&, asio_library::execution::blocking_t::never_t>::value;

template <class Executor>
[[nodiscard]] std::shared_ptr<AsioWaits> asio_waits_of(const Executor& executor) {
    if constexpr (asio_has_context<Executor>) {
        asio_library::execution_context& context = asio_library::query(executor, asio_library::execution::context);
        return asio_library::use_service<AsioService>(context).waits();
    } else {
        static const auto* const waits = new auto(std::make_shared<AsioWaits>());  // Outlives what ends at exit.
        return *waits;
    }
}

}  // namespace spargio::detail
