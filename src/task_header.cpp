// SPDX-License-Identifier: MIT
// Making and freeing task blocks and frames.
#include "spargio/detail/task_header.hpp"

#include <coroutine>
#include <new>

#include "frame_cache.hpp"
#include "spargio/detail/core_ref.hpp"
#include "spargio/detail/result_slot.hpp"

namespace spargio::detail {

namespace {

std::exception_ptr* exception_slot(TaskHeader* task) noexcept {
    return std::launder(static_cast<std::exception_ptr*>(task->result()));
}

void* make_header(void* block, std::uint16_t result_bytes, WorkItem::RunFn run) noexcept {
    auto* task = ::new (static_cast<std::byte*>(block) + result_bytes) TaskHeader(run, result_bytes);
    return task->frame();
}

// Apart, so that the short ways below need no stack of their own.
[[gnu::noinline, gnu::cold]] void* allocate_task_slow(std::size_t block_bytes, std::uint16_t result_bytes,
                                                      WorkItem::RunFn run) {
    return make_header(frame_cache::allocate(block_bytes), result_bytes, run);
}

[[gnu::noinline, gnu::cold]] void free_block_slow(TaskHeader* task, std::size_t block_bytes) noexcept {
    void* block = task->result();
    task->~TaskHeader();
    frame_cache::free(block, block_bytes);
}

}  // namespace

void* allocate_task(std::size_t block_bytes, std::uint16_t result_bytes, WorkItem::RunFn run) {
    if (void* block = frame_cache::take(block_bytes)) [[likely]] {
        return make_header(block, result_bytes, run);
    }
    return allocate_task_slow(block_bytes, result_bytes, run);
}

void free_block(TaskHeader* task, std::size_t block_bytes) noexcept {
    if (task->stop.is_shared()) [[unlikely]] {
        free_block_slow(task, block_bytes);
        return;
    }
    frame_cache::free(task->result(), block_bytes);  // Nothing else in the header has a destructor that does anything.
}

void destroy_frame(TaskHeader* task) noexcept {
    if (task->framed) {
        std::coroutine_handle<>::from_address(task->frame()).destroy();
    }
}

void destroy_chain(TaskHeader* root) noexcept {
    if (!root->framed) {
        return;
    }
    auto* task = TaskHeader::of_frame(root->link.leaf);
    while (task != root) {
        // Its block belongs to the awaiter in the parent's frame, which goes next.
        void* parent = task->link.parent;
        destroy_frame(task);
        task = TaskHeader::of_frame(parent);
    }
    destroy_frame(root);
}

void free_task(TaskHeader* task) noexcept {
    if (task->outcome == Outcome::Value) {
        if (task->drops) {
            task->run(task, nullptr);
        }
    } else if (task->outcome == Outcome::Exception) [[unlikely]] {
        static_cast<void>(take_exception(task));
    }
    free_block(task, task->link.block_bytes);
}

void end_task(TaskHeader* task) noexcept {
    destroy_frame(task);
    free_task(task);
}

void end_taken(TaskHeader* task) noexcept {
    task->owned = false;
    std::coroutine_handle<>::from_address(task->frame()).destroy();
}

void store_exception(TaskHeader* task, std::exception_ptr error) noexcept {
    // A value that return_value() stored before a destructor threw on the way out gives way.
    if (task->outcome == Outcome::Value && task->drops) {
        task->run(task, nullptr);
    }
    ::new (task->result()) std::exception_ptr(std::move(error));
    task->outcome = Outcome::Exception;
}

std::exception_ptr take_exception(TaskHeader* task) noexcept {
    auto* slot = exception_slot(task);
    std::exception_ptr error = std::move(*slot);
    slot->~exception_ptr();
    task->outcome = Outcome::Taken;
    if (task->kind != TaskKind::Awaited && task->live.core != nullptr) {
        core_release(std::exchange(task->live.core, nullptr));
    }
    return error;
}

}  // namespace spargio::detail
