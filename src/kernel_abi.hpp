// SPDX-License-Identifier: MIT
// Kernel constants newer than liburing 2.3, each with the version that brought it.
#pragma once

#include <cstdint>

namespace spargio::detail::abi {

inline constexpr unsigned setup_no_sqarray = 1U << 16U;  // IORING_SETUP_NO_SQARRAY, 6.6
inline constexpr unsigned register_send_msg_ring = 31;   // IORING_REGISTER_SEND_MSG_RING, 6.13
inline constexpr std::uint64_t msg_data = 0;             // IORING_MSG_DATA, 5.18

}  // namespace spargio::detail::abi
