// SPDX-License-Identifier: MIT
// The five error categories, their messages, and the end of a program that is wrong.
#include "spargio/error.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace spargio {
namespace {

// No default label in these switches: the compiler then names an enumerator that was forgotten. What falls out of them
// is a number that is no enumerator.
const char* describe(RuntimeError error) noexcept {
    switch (error) {
    case RuntimeError::InvalidConfig:
        return "a runtime option is invalid: its setter in RuntimeBuilder documents the range";
    case RuntimeError::ThreadSpawn:
        return "the system refused to start a thread: ask for fewer shards, or raise the limit (ulimit -u, pids.max)";
    case RuntimeError::InvalidShard:
        return "no such shard, or the task is pinned elsewhere: use ids below shard_count(), move stealable tasks only";
    case RuntimeError::Closed:
        return "the runtime has been shut down: give it work before shutdown(), or build another runtime";
    case RuntimeError::Overloaded:
        return "a bounded queue of the runtime is full: wait for earlier work, or raise its capacity";
    case RuntimeError::UnsupportedBackend:
        return "the backend of this runtime cannot do this: build it with BackendKind::IoUring; capabilities() says "
               "what is missing";
    case RuntimeError::IoUringInit:
        return "io_uring cannot be used here: look at kernel.io_uring_disabled, the container's seccomp profile and "
               "ulimit -l, or use BackendKind::Queue";
    }
    return nullptr;
}

const char* describe(SendError error) noexcept {
    switch (error) {
    case SendError::Closed:
        return "the target shard does not exist or has stopped, the message will not be seen: stop sending to it";
    case SendError::Backpressure:
        return "the queue to the target shard is full, the message was not taken: let the target catch up and send it "
               "again, or raise msg_ring_queue_capacity";
    case SendError::InvalidTag:
        return "the message tag 0xFFFF is reserved: use a tag from 0 to 0xFFFE";
    }
    return nullptr;
}

const char* describe(JoinError error) noexcept {
    switch (error) {
    case JoinError::Canceled:
        return "the task was destroyed before it finished, it has no result: join it before the runtime shuts down";
    }
    return nullptr;
}

const char* describe(BoundaryError error) noexcept {
    switch (error) {
    case BoundaryError::Closed:
        return "the other side of the boundary channel is gone: make a new channel, or stop";
    case BoundaryError::Overloaded:
        return "the boundary channel is full: try again later, wait with call(), or give the channel a larger capacity";
    case BoundaryError::Timeout:
        return "the deadline of the boundary call passed before the answer: allow more time, or ask for less";
    case BoundaryError::Canceled:
        return "the boundary call was given up: the caller left, or the request was dropped without respond()";
    }
    return nullptr;
}

const char* describe(IoError error) noexcept {
    switch (error) {
    case IoError::UnexpectedEof:
        return "the end came before all bytes were read: ask for fewer bytes, or use the call that may be short";
    case IoError::WriteZero:
        return "a write took no bytes at all: look whether the device is full or the descriptor accepts data";
    }
    return nullptr;
}

std::error_condition condition_of(RuntimeError error, const std::error_category& category) noexcept {
    switch (error) {
    case RuntimeError::InvalidConfig:
    case RuntimeError::InvalidShard:
        return std::errc::invalid_argument;
    case RuntimeError::UnsupportedBackend:
        return std::errc::operation_not_supported;
    default:
        return {static_cast<int>(error), category};
    }
}

std::error_condition condition_of(BoundaryError error, const std::error_category& category) noexcept {
    switch (error) {
    case BoundaryError::Timeout:
        return std::errc::timed_out;
    case BoundaryError::Canceled:
        return std::errc::operation_canceled;
    default:
        return {static_cast<int>(error), category};
    }
}

template <class Enum>
std::error_condition condition_of(Enum error, const std::error_category& category) noexcept {
    return {static_cast<int>(error), category};
}

template <class Enum>
class Category final : public std::error_category {
public:
    explicit constexpr Category(const char* name) noexcept : name_(name) {}

    const char* name() const noexcept override { return name_; }

    std::string message(int value) const override {
        if (const char* text = describe(static_cast<Enum>(value))) {
            return text;
        }
        return std::string("unknown ") + name_ + " error " + std::to_string(value);
    }

    std::error_condition default_error_condition(int value) const noexcept override {
        return condition_of(static_cast<Enum>(value), *this);
    }

private:
    const char* name_;
};

// Never destroyed: a runtime that is a global may report errors after the destructors of this file would have run.
template <class Enum>
union Immortal {
    explicit constexpr Immortal(const char* name) noexcept : category(name) {}
    ~Immortal() {}

    Category<Enum> category;
};

constinit const Immortal<RuntimeError> runtime_errors{"spargio.runtime"};
constinit const Immortal<SendError> send_errors{"spargio.send"};
constinit const Immortal<JoinError> join_errors{"spargio.join"};
constinit const Immortal<BoundaryError> boundary_errors{"spargio.boundary"};
constinit const Immortal<IoError> io_errors{"spargio.io"};

}  // namespace

const std::error_category& runtime_category() noexcept {
    return runtime_errors.category;
}

const std::error_category& send_category() noexcept {
    return send_errors.category;
}

const std::error_category& join_category() noexcept {
    return join_errors.category;
}

const std::error_category& boundary_category() noexcept {
    return boundary_errors.category;
}

const std::error_category& io_category() noexcept {
    return io_errors.category;
}

namespace detail {

void checked_failure(const char* sentence) noexcept {
    std::fprintf(stderr, "spargio: %s\n", sentence);
    std::fflush(stderr);
    std::abort();
}

void throw_system_error(std::error_code error) {
    throw std::system_error(error);
}

}  // namespace detail
}  // namespace spargio
