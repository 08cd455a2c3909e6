// SPDX-License-Identifier: MIT
// Which Asio: the standalone one, or Boost's where SPARGIO_USE_BOOST_ASIO is defined or no other is there.
#pragma once

#include <system_error>

#if defined(SPARGIO_USE_BOOST_ASIO) || !__has_include(<asio/version.hpp>)

#if !__has_include(<boost/asio/version.hpp>)
#error "spargio/asio.hpp needs the headers of Asio: standalone 1.22 or later, or Boost 1.81 or later"
#endif
#include <boost/version.hpp>
#if BOOST_VERSION < 108100
#error "spargio/asio.hpp needs Boost 1.81 or later, or the standalone Asio 1.22 or later"
#endif
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/system/error_code.hpp>

namespace spargio::detail {

namespace asio_library = ::boost::asio;
using AsioErrorCode = ::boost::system::error_code;

}  // namespace spargio::detail

#else

#include <asio/version.hpp>
#if ASIO_VERSION < 102200
#error "spargio/asio.hpp needs Asio 1.22 or later"
#endif
#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/basic_waitable_timer.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/error_code.hpp>
#include <asio/execution/blocking.hpp>
#include <asio/execution/context.hpp>
#include <asio/execution/executor.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/query.hpp>
#include <asio/require.hpp>
#include <asio/system_executor.hpp>

namespace spargio::detail {

namespace asio_library = ::asio;
using AsioErrorCode = ::asio::error_code;

}  // namespace spargio::detail

#endif

namespace spargio::detail {

/// The same error for Asio. Boost's code keeps the std one, and compares with spargio's enums as that does.
[[nodiscard]] inline AsioErrorCode asio_error(const std::error_code& error) noexcept {
    return error ? AsioErrorCode(error) : AsioErrorCode();
}

}  // namespace spargio::detail
