// SPDX-License-Identifier: MIT
// Accepting, signals, draining.
#include "service.hpp"

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <limits>
#include <sstream>
#include <system_error>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/bind_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/socket_base.hpp>
#include <asio/use_awaitable.hpp>

#include <spargio/stats.hpp>

#include <sys/resource.h>

namespace mixed_mode_service {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;

constexpr auto awaited = asio::experimental::as_tuple(asio::use_awaitable_t<Connection::Strand>());

/// Half of the descriptors that this process may have: the other half is for the files.
std::size_t half_of_the_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return std::numeric_limits<std::size_t>::max();
    }
    return limit.rlim_cur / 2;
}

}  // namespace

Service::Service(asio::thread_pool& pool, const Options& options, Client client, spargio::RuntimeHandle runtime)
    : pool_(pool),
      timeout_(options.timeout),
      most_connections_(half_of_the_descriptors()),
      client_(std::move(client)),
      runtime_(std::move(runtime)),
      strand_(asio::make_strand(pool.get_executor())),
      acceptor_(strand_, tcp::endpoint(options.address, options.port.value_or(0))),
      signals_(strand_, SIGINT, SIGTERM),
      report_signal_(strand_, SIGUSR1),
      end_(strand_) {}

std::string Service::endpoint() const {
    std::ostringstream text;
    text << acceptor_.local_endpoint();
    return text.str();
}

void Service::start() {
    asio::co_spawn(strand_, accept(), asio::detached);
    asio::co_spawn(strand_, wait_for_signals(), asio::detached);
    asio::co_spawn(strand_, report(), asio::detached);
}

Service::Done Service::accept() {
    while (!stops_) {
        // Each connection has a strand of its own.
        auto [error, socket] = co_await acceptor_.async_accept(asio::make_strand(pool_.get_executor()), awaited);
        if (!error && !stops_) {
            if (live_ >= most_connections_) {
                turn_away(std::move(socket));
                continue;
            }
            try {
                serve(std::move(socket));
            } catch (const std::exception&) {
                // No memory for one more: it is closed, and others are accepted.
            }
        } else if (error && !stops_) {
            // Most likely no descriptor is left: some will be closed.
            Connection::Timer pause(strand_, 100ms);
            co_await pause.async_wait(awaited);
        }
    }
}

void Service::serve(Connection::Socket socket) {
    if (connections_.size() >= 2 * live_ + 16) {
        std::erase_if(connections_, [](const auto& connection) { return connection.expired(); });
    }
    std::error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);  // Answers are small, and several may be under way.
    socket.set_option(asio::socket_base::keep_alive(true), ignored);  // A machine that is gone sends no reset.
    auto strand = socket.get_executor();
    auto connection = std::make_shared<Connection>(std::move(socket), client_, timeout_);
    connections_.push_back(connection);
    auto ended = [this](const std::exception_ptr&) {
        --live_;
        if (has_ended()) {
            end();
        }
    };
    auto run = [connection = std::move(connection)]() -> Done { co_await connection->run(); };
    asio::co_spawn(strand, std::move(run), asio::bind_executor(strand_, std::move(ended)));
    ++live_;  // Before `ended` runs, which is on the strand that this is on.
}

/// What it has sent already, it never sees an answer to; and the reset for that may take the BUSY away again.
void Service::turn_away(Connection::Socket socket) {
    std::error_code ignored;
    socket.send(asio::buffer("BUSY\n", 5), 0, ignored);  // Fits into the socket's buffer.
    socket.close(ignored);
}

template <class F>
void Service::for_each_connection(F f) {
    for (const auto& weak : connections_) {
        if (const auto connection = weak.lock()) {
            f(*connection);
        }
    }
}

/// What is waited for yet, so that the pool has nothing left.
void Service::end() {
    end_.cancel();
    signals_.cancel();
    report_signal_.cancel();
}

Service::Done Service::report() {
    while (!has_ended()) {  // Else end() has cancelled what is not waited for yet.
        const auto [ended, signal] = co_await report_signal_.async_wait(awaited);
        if (!ended) {
            std::fprintf(stderr, "statistics: %s\n", to_string(runtime_.stats_snapshot()).c_str());
        }
    }
}

Service::Done Service::wait_for_signals() {
    co_await signals_.async_wait(awaited);
    stops_ = true;
    acceptor_.close();
    for_each_connection([](Connection& connection) { connection.drain(); });
    if (has_ended()) {
        end();
        co_return;
    }
    // Clients that do not read their answers get no more time than a request has.
    end_.expires_after(timeout_ + 2s);
    end_.async_wait([this](std::error_code interrupted) {
        if (!interrupted) {
            for_each_connection([](Connection& connection) { connection.close(); });
        }
    });
    const auto [ended, signal] = co_await signals_.async_wait(awaited);
    if (!ended) {
        for_each_connection([](Connection& connection) { connection.close(); });
    }
}

}  // namespace mixed_mode_service
