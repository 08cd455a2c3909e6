# SPDX-License-Identifier: MIT
# The files of the library: spargio_sources, spargio_headers (public, verified alone, installed) and
# spargio_opt_in_headers (public too, but each needs another library, so the umbrella leaves them out).
# scripts/check_layers.py fails when one is missing here.

set(spargio_sources
    src/blocking_pool.cpp
    src/capabilities.cpp
    src/cpu_count.cpp
    src/error.cpp
    src/fork.cpp
    src/frame_pool.cpp
    src/idle.cpp
    src/join.cpp
    src/mailbox.cpp
    src/message.cpp
    src/queue_driver.cpp
    src/receipts.cpp
    src/runtime.cpp
    src/runtime_builder.cpp
    src/runtime_core.cpp
    src/runtime_options.cpp
    src/scheduler.cpp
    src/send.cpp
    src/shard.cpp
    src/shard_wait.cpp
    src/shutdown.cpp
    src/sleep.cpp
    src/stats.cpp
    src/steal.cpp
    src/stop_link.cpp
    src/task_header.cpp
    src/task_step.cpp
    src/uring.cpp
    src/uring_driver.cpp
    src/uring_setup.cpp
    src/worker_loop.cpp)

set(spargio_headers
    include/spargio/backend.hpp
    include/spargio/capabilities.hpp
    include/spargio/config.hpp
    include/spargio/detail/atomic.hpp
    include/spargio/detail/core_ref.hpp
    include/spargio/detail/event_wait.hpp
    include/spargio/detail/fork.hpp
    include/spargio/detail/frame_pool.hpp
    include/spargio/detail/inbox.hpp
    include/spargio/detail/join.hpp
    include/spargio/detail/park_state.hpp
    include/spargio/detail/result_slot.hpp
    include/spargio/detail/result_storage.hpp
    include/spargio/detail/seams.hpp
    include/spargio/detail/send.hpp
    include/spargio/detail/shard_wait.hpp
    include/spargio/detail/sleep_wait.hpp
    include/spargio/detail/stop_link.hpp
    include/spargio/detail/submit.hpp
    include/spargio/detail/task_header.hpp
    include/spargio/detail/ticket_wait.hpp
    include/spargio/detail/timer_queue.hpp
    include/spargio/detail/work_item.hpp
    include/spargio/error.hpp
    include/spargio/event.hpp
    include/spargio/fork_join.hpp
    include/spargio/join_handle.hpp
    include/spargio/message.hpp
    include/spargio/native_lane.hpp
    include/spargio/placement.hpp
    include/spargio/result.hpp
    include/spargio/run.hpp
    include/spargio/runtime.hpp
    include/spargio/runtime_builder.hpp
    include/spargio/runtime_handle.hpp
    include/spargio/shard_ctx.hpp
    include/spargio/shard_id.hpp
    include/spargio/spargio.hpp
    include/spargio/spawnable.hpp
    include/spargio/stats.hpp
    include/spargio/task.hpp
    include/spargio/this_task.hpp
    include/spargio/time.hpp
    include/spargio/version.hpp)

set(spargio_opt_in_headers include/spargio/fmt.hpp)
