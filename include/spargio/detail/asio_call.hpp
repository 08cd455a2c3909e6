// SPDX-License-Identifier: MIT
// A boundary call whose end goes to a handler of Asio's.
#pragma once

#include <chrono>
#include <memory>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

#include "spargio/boundary.hpp"
#include "spargio/detail/asio_library.hpp"
#include "spargio/detail/asio_pending.hpp"
#include "spargio/detail/asio_wait.hpp"
#include "spargio/detail/boundary_call.hpp"
#include "spargio/detail/boundary_operations.hpp"

namespace spargio::detail {

struct ClientAccess {
    template <class Req, class Rep>
    [[nodiscard]] static const ClientEnd& end_of(const boundary::Client<Req, Rep>& client) noexcept {
        return client.end_;
    }
};

template <class Rep>
class AsioCall final : public AsioWait, public CallWaiter {
public:
    explicit AsioCall(std::shared_ptr<AsioWaits> waits) noexcept
        : AsioWait(std::move(waits)), CallWaiter(&notify_end) {}

    void set_call(CallRef<Rep> call) noexcept { call_ = std::move(call); }
    void set_error(std::error_code error) noexcept { error_ = error; }

    [[nodiscard]] std::tuple<AsioErrorCode, Rep> take_result() {
        if (!error_ && call_) {
            auto reply = reply_of(*call_);
            if (reply.has_value()) {
                call_->reply.reset();  // The call's memory may stay, with a slot's handler.
                return {AsioErrorCode(), std::move(*reply)};
            }
            error_ = reply.error();
        }
        return {asio_error(error_), Rep()};
    }

private:
    bool enter() noexcept override {
        if (!call_) {
            return false;
        }
        add_owner();  // Whoever ends the call.
        if (enter_waiter(*call_, *this)) {
            return true;
        }
        release();
        return false;
    }
    bool take_back() noexcept override { return call_ && leave_call(*call_); }

    static void notify_end(CallWaiter& waiter) noexcept { static_cast<AsioCall&>(waiter).end(); }

    CallRef<Rep> call_;
    std::error_code error_;
};

/// What async_call() does when the token wants it begun.
template <class Req, class Rep>
struct StartAsioCall {
    template <class Handler>
    void operator()(Handler&& given, ClientEnd client, Req request, std::chrono::nanoseconds limit) const {
        using Waited = AsioCall<Rep>;
        using HandlerType = std::decay_t<Handler>;
        using Pending = AsioPending<HandlerType, Waited>;

        const bool is_limited = limit != std::chrono::nanoseconds::max();
        const auto deadline = is_limited ? deadline_in(limit) : CallHeader::no_deadline;
        HandlerType handler(std::forward<Handler>(given));
        AsioWaitRef<Waited> wait(new Waited(asio_waits_of(asio_library::get_associated_executor(handler))));
        auto pending = Pending::make(std::move(handler), wait);
        // What may throw comes first: a call that has begun is left by nobody else. It is remembered who leaves too
        // early.
        pending->listen_to_slot();
        if (deadline != CallHeader::no_deadline) {
            pending->leave_after(limit);
        }
        auto begun = begin_call<Req, Rep>(*client, std::move(request), deadline, true);
        if (begun.has_value()) {
            wait->set_call(std::move(*begun));
        } else {
            wait->set_error(begun.error());
        }
        wait->begin(*pending.release());
    }
};

template <class Req, class Rep, class Token>
auto begin_asio_call(const boundary::Client<Req, Rep>& client, Req&& request, std::chrono::nanoseconds limit,
                     Token&& token) {
    static_assert(std::is_default_constructible_v<Rep>,
                  "the handler gets a Rep with an error, too: it must be default constructible (std::optional is)");
    return asio_library::async_initiate<Token, void(AsioErrorCode, Rep)>(
        StartAsioCall<Req, Rep>(), token, ClientAccess::end_of(client), std::move(request), limit);
}

}  // namespace spargio::detail
