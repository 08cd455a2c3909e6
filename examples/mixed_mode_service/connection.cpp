// SPDX-License-Identifier: MIT
// A coroutine that reads, a coroutine that answers.
#include "connection.hpp"

#include <array>
#include <exception>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <spargio/asio.hpp>

#include <poll.h>

namespace mixed_mode_service {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t read_ahead_bytes = 64 * 1024;
constexpr auto goodbye = 1s;
constexpr auto watch_pause = 100ms;

/// Errors as values.
constexpr auto awaited = asio::experimental::as_tuple(asio::use_awaitable_t<Connection::Strand>());

}  // namespace

Connection::Connection(Socket socket, Client client, std::chrono::milliseconds timeout)
    : socket_(std::move(socket)),
      client_(std::move(client)),
      timeout_(timeout),
      input_(socket_.get_executor(), Timer::time_point::max()),
      room_(socket_.get_executor(), Timer::time_point::max()),
      patience_(socket_.get_executor()) {}

void Connection::drain() {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
        self->input_ended_ = true;
        self->stop_reading_.emit(asio::cancellation_type::terminal);
        self->input_.cancel();
        self->room_.cancel();
        self->begin_watch();
    });
}

void Connection::close() {
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->lose_client(); });
}

void Connection::lose_client() {
    is_lost_ = true;
    stop_call_.emit(asio::cancellation_type::terminal);
    close_here();
}

void Connection::close_here() {
    std::error_code ignored;
    socket_.close(ignored);
    input_ended_ = true;
    input_.cancel();
    room_.cancel();
    patience_.cancel();
}

Connection::Done Connection::run() {
    const auto self = shared_from_this();
    // Without memory this client is let go, and no other.
    auto reading = [self]() -> Done {
        try {
            co_await self->read_ahead();
        } catch (const std::exception&) {
            self->lose_client();
        }
    };
    try {
        asio::co_spawn(socket_.get_executor(), std::move(reading), asio::detached);
        co_await answer_lines();
        if (!is_lost_) {
            co_await say_goodbye();
        }
    } catch (const std::exception&) {
        is_lost_ = true;
    }
    close_here();
}

Connection::Done Connection::read_ahead() {
    std::array<char, 16 * 1024> chunk{};
    while (!input_ended_) {
        if (lines_.size() >= read_ahead_bytes) {
            begin_watch();
            co_await room_.async_wait(awaited);
            continue;
        }
        const auto [error, count] = co_await socket_.async_read_some(
            asio::buffer(chunk), asio::bind_cancellation_slot(stop_reading_.slot(), awaited));
        lines_.add(std::string_view(chunk.data(), count));
        input_.cancel();
        if (error == asio::error::eof) {
            client_ended_ = true;  // Also when a drain has come first.
            input_ended_ = true;
            begin_watch();
        } else if (error && !input_ended_) {
            lose_client();
        }
    }
}

void Connection::begin_watch() {
    if (std::exchange(is_watched_, true)) {
        return;
    }
    try {
        auto watching = [self = shared_from_this()]() -> Done { co_await self->watch(); };
        asio::co_spawn(socket_.get_executor(), std::move(watching), asio::detached);
    } catch (const std::exception&) {
        // Without memory: a client that is gone is then noticed when it is answered.
    }
}

/// While nothing is read, a client that is gone shows by a reset. One that has closed its end may be gone, too, or may
/// wait for its answers, as `nc -N` does: that shows only when something is sent to it. So its question goes on, and
/// the answer of one that is gone brings the reset.
Connection::Done Connection::watch() {
    while (socket_.is_open() && !says_goodbye_) {
        const auto [closed] = co_await socket_.async_wait(Socket::wait_error, awaited);
        if (closed || says_goodbye_) {
            co_return;
        }
        pollfd state{.fd = socket_.native_handle(), .events = 0, .revents = 0};
        if (::poll(&state, 1, 0) > 0) {
            lose_client();
            co_return;
        }
        // A byte out of band, which ends each wait until all before it has been read.
        patience_.expires_after(watch_pause);
        co_await patience_.async_wait(awaited);
    }
}

Connection::Done Connection::answer_lines() {
    while (!is_lost_) {
        auto line = lines_.next(client_ended_);
        room_.cancel();  // Without a line, too: what is skipped of one that is too long makes room.
        if (!line) {
            if (input_ended_) {
                co_return;
            }
            co_await input_.async_wait(awaited);
            continue;
        }
        Command command = line->is_too_long ? Command(Answer::error("the line is too long")) : parse(line->text);
        if (std::holds_alternative<Quit>(command)) {
            co_return;
        }
        Answer reply;
        if (auto* question = std::get_if<Question>(&command)) {
            reply = co_await answer(std::move(*question));
        } else {
            reply = std::get<Answer>(command);
        }
        if (is_lost_) {
            co_return;
        }
        const std::string text = reply.line() + '\n';
        const auto [error, count] = co_await asio::async_write(socket_, asio::buffer(text), awaited);
        if (error) {
            lose_client();
        }
    }
}

/// Over the boundary, with a deadline. Whichever shard answers, this goes on on the strand.
asio::awaitable<Answer, Connection::Strand> Connection::answer(Question question) {
    auto [error, reply] = co_await spargio::async_call_with_timeout(
        client_, std::move(question), timeout_, asio::bind_cancellation_slot(stop_call_.slot(), awaited));
    if (error == spargio::BoundaryError::Timeout) {
        co_return Answer::timeout();
    }
    if (error) {
        co_return Answer::error(error.message());
    }
    co_return std::move(reply);
}

/// To close a socket with bytes unread would take the last answers back. So the client closes first, or has had time.
Connection::Done Connection::say_goodbye() {
    says_goodbye_ = true;  // With both ends closed, the socket looks as after a reset.
    input_ended_ = true;
    stop_reading_.emit(asio::cancellation_type::terminal);
    std::error_code failed;
    socket_.shutdown(Socket::shutdown_send, failed);
    patience_.expires_after(goodbye);
    patience_.async_wait([self = shared_from_this()](std::error_code interrupted) {
        if (!interrupted) {
            self->close_here();
        }
    });
    std::array<char, 4096> ignored{};
    while (!failed) {
        const auto [error, count] = co_await socket_.async_read_some(asio::buffer(ignored), awaited);
        failed = error;
    }
}

}  // namespace mixed_mode_service
