// SPDX-License-Identifier: MIT
// One client's connection. All of Asio: what it knows of spargio is one awaited call.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

#include <asio/awaitable.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>

#include "protocol.hpp"
#include "work.hpp"

namespace mixed_mode_service {

/// Reads ahead a little, and answers one line after the other: so answers come in order, and a client that does not
/// read its answers is not read from any more. All of it runs on the strand that the socket was made with.
class Connection : public std::enable_shared_from_this<Connection> {
public:
    using Strand = asio::strand<asio::thread_pool::executor_type>;
    using Socket = asio::basic_stream_socket<asio::ip::tcp, Strand>;
    using Timer =
        asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Strand>;

    Connection(Socket socket, Client client, std::chrono::milliseconds timeout);

    /// Ends when the client has gone or is answered. Keeps the connection alive.
    asio::awaitable<void, Strand> run();

    /// Answers what was read, and ends. Any thread.
    void drain();
    /// Ends now. Any thread.
    void close();

private:
    using Done = asio::awaitable<void, Strand>;

    Done read_ahead();
    Done answer_lines();
    Done say_goodbye();
    void begin_watch();
    Done watch();
    asio::awaitable<Answer, Strand> answer(Question question);
    void lose_client();
    void close_here();

    Socket socket_;
    Client client_;
    const std::chrono::milliseconds timeout_;
    Lines lines_;
    Timer input_;     // Cancelled when there is more to answer, or no more will come.
    Timer room_;      // Cancelled when there is room to read.
    Timer patience_;  // While the connection ends; and with a byte out of band that nobody reads.
    asio::cancellation_signal stop_reading_;
    asio::cancellation_signal stop_call_;
    bool input_ended_ = false;   // Nothing more is read,
    bool client_ended_ = false;  // and all has been: the last line is whole, also without its end.
    bool is_watched_ = false;
    bool says_goodbye_ = false;
    bool is_lost_ = false;
};

}  // namespace mixed_mode_service
