// SPDX-License-Identifier: MIT
// spargio/asio.hpp with Boost.Asio: compiled, not run.
#include "spargio/asio.hpp"

#include <chrono>
#include <exception>
#include <system_error>
#include <type_traits>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/error_code.hpp>

namespace spargio::test {

boost::asio::awaitable<int> call(boost::asio::io_context& io, const boundary::Client<int, int>& client,
                                 const RuntimeHandle& handle) {
    const auto limit = std::chrono::seconds(1);
    int sum = co_await async_call(client, 1, boost::asio::use_awaitable);
    sum += co_await async_call_with_timeout(client, 1, limit, boost::asio::use_awaitable);
    sum += co_await async_call(client, 1, boost::asio::deferred)(boost::asio::use_awaitable);
    auto give = [] { return 1; };
    sum += co_await async_spawn(handle, TaskPlacement::stealable(), std::move(give), boost::asio::use_awaitable);
    async_call(client, 1, boost::asio::detached);
    auto future = async_call_with_timeout(client, 1, limit, boost::asio::use_future);
    sum += future.get();
    auto handler = [](const boost::system::error_code& error, int) {
        static_cast<void>(error == make_error_code(BoundaryError::Canceled));
    };
    async_call(client, 1, boost::asio::bind_executor(io, handler));
    auto spawned = [](const std::exception_ptr&) {};
    async_spawn(
        handle, TaskPlacement::stealable(), [] {}, boost::asio::bind_executor(io, spawned));
    co_return sum;
}

}  // namespace spargio::test
