// SPDX-License-Identifier: MIT
// The TCP server: accepts, and ends when it is asked to.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <asio/ip/tcp.hpp>
#include <asio/signal_set.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>

#include <spargio/runtime_handle.hpp>

#include "connection.hpp"
#include "options.hpp"
#include "work.hpp"

namespace mixed_mode_service {

/// Lives on `pool`, whose join() returns when SIGINT or SIGTERM has come and all that was read is answered. A second
/// signal ends it at once. SIGUSR1 writes the runtime's statistics to standard error.
class Service {
public:
    /// Listens. Throws std::system_error. `runtime` is the one that answers, for its statistics.
    Service(asio::thread_pool& pool, const Options& options, Client client, spargio::RuntimeHandle runtime);

    [[nodiscard]] std::string endpoint() const;
    void start();

private:
    using Strand = Connection::Strand;
    using Done = asio::awaitable<void, Strand>;

    Done accept();
    Done wait_for_signals();
    Done report();
    void end();
    [[nodiscard]] bool has_ended() const { return stops_ && live_ == 0; }
    void serve(Connection::Socket socket);
    void turn_away(Connection::Socket socket);
    template <class F>
    void for_each_connection(F f);

    asio::thread_pool& pool_;
    const std::chrono::milliseconds timeout_;
    const std::size_t most_connections_;
    Client client_;
    spargio::RuntimeHandle runtime_;
    // All on one strand.
    Strand strand_;
    asio::basic_socket_acceptor<asio::ip::tcp, Strand> acceptor_;
    asio::basic_signal_set<Strand> signals_;
    asio::basic_signal_set<Strand> report_signal_;
    Connection::Timer end_;
    std::vector<std::weak_ptr<Connection>> connections_;
    std::size_t live_ = 0;
    bool stops_ = false;
};

}  // namespace mixed_mode_service
