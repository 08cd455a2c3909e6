// SPDX-License-Identifier: MIT
// Which backend a runtime got, which features of io_uring it uses, and why not the others.
#pragma once

#include "spargio/backend.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace spargio {

/// A plain report, taken with RuntimeHandle::capabilities(): what holds for every shard. It does not change while the
/// runtime lives. On the queue backend everything about rings is 0 or false.
struct Capabilities {
    /// The backend in use: IoUring or Queue, never Auto once a runtime has been built.
    BackendKind backend = BackendKind::Auto;

    /// Why Auto took the queue backend, with the remedy. Empty when the backend is the one that was asked for, or when
    /// Auto got its io_uring.
    std::string fallback_reason;

    /// Submission entries of the smallest ring; fewer than asked for when locked memory was short.
    std::uint32_t ring_entries = 0;
    /// Completion entries of the smallest ring.
    std::uint32_t cq_entries = 0;

    /// IORING_SETUP_SINGLE_ISSUER (kernel 6.0): the kernel skips locks, since only the shard's thread submits.
    bool single_issuer = false;
    /// IORING_SETUP_DEFER_TASKRUN (kernel 6.1): completions are made when the shard asks, not by interrupting it.
    bool defer_taskrun = false;
    /// IORING_SETUP_COOP_TASKRUN (kernel 5.19): the step below defer_taskrun.
    bool coop_taskrun = false;
    /// IORING_SETUP_TASKRUN_FLAG (kernel 5.19): the ring tells in shared memory that completions wait.
    bool taskrun_flag = false;
    /// IORING_SETUP_NO_SQARRAY (kernel 6.6): no index array between the shard and its submission entries.
    bool no_sqarray = false;
    /// IORING_SETUP_SQPOLL: a kernel thread submits; only when asked for.
    bool sqpoll = false;
    /// The ring's descriptor is registered (kernel 5.18), which saves a look-up at each entry into the kernel.
    bool registered_ring_fd = false;
    /// IORING_OP_MSG_RING (used from kernel 6.2 on): a shard wakes another through its own ring. Without it: an
    /// eventfd.
    bool msg_ring = false;
    /// IORING_REGISTER_SEND_MSG_RING (kernel 6.13): a foreign thread wakes a shard without a ring. Without it: an
    /// eventfd.
    bool send_msg_ring = false;
    /// IORING_ENTER_EXT_ARG (kernel 5.11): a wait carries its own timeout. Without it: a timeout entry per wait.
    bool ext_arg = false;

    /// One sentence for each feature that is not in use: what it is and why not. Among them membarrier(2)
    /// (kernel 4.14), without which several shards order what they fork by full fences.
    std::vector<std::string> notes;

    [[nodiscard]] bool operator==(const Capabilities&) const = default;

    /// For people: a line for the backend, then one for each group of features and for each note; no newline at the
    /// end.
    [[nodiscard]] std::string to_string() const;
};

}  // namespace spargio
